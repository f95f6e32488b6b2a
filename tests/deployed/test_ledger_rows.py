"""The ledger's rows are safe from other consumers: a planted row is refused, and an illegal change is reported.

A row that somebody with rights to the whole table has planted is not believed.
"""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from daybook.contracts.identity import admitted_id
from daybook.operate.dead_letters.index import DeadLetter, Selection, dead_letters, still_dead
from daybook.operate.dead_letters.results import DONE
from daybook.operate.dead_letters.retry import RetryOperation
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item
from daybook.store.ledger import COMMITTED, DEAD, Ledger, LedgerEntry, Note
from tests.deployed.deployed import CHECKOUT, CONFIRMED, Deployed, an_order, stock_received
from tests.deployed.test_permissions import roles
from tests.local.callers import Caller
from tests.local.processes import unique, until

DENIED = "not authorized to perform"
NOON = "2026-03-01T12:00:00.000000Z"


@pytest.fixture
def receive_stock(system: Deployed) -> Any:
    """A DynamoDB client with the permissions of `receive-stock`, as code in its function has it."""
    return client_of(system, "receive-stock")


# Guards: the condition `dynamodb:LeadingKeys` in BackboneAccess.allow_ledger. Without it, each of these calls succeeds.
def test_a_consumer_cannot_write_or_read_rows_of_another_consumer(system: Deployed, receive_stock: Any) -> None:
    table, event = system.connection.names.ledger, unique("event")
    ledger = Ledger(receive_stock, table)

    # A consumer that emits events may read the number of the journal's shards, and no more.
    shards = {"TableName": table, "Key": pack_item(ledger_keys.SHARDS)}
    emitting = client_of(system, "reserve-stock")
    emitting.get_item(**shards)
    ledger.note(event, "receive-stock", ("stock/mug", 1), a_note())
    assert ledger.find(event, "receive-stock")

    writer = system.connection.keyring.writer("receive-stock")
    planted = ledger.record(LedgerEntry(event, "screen-transaction", COMMITTED, NOON), writer)
    own = ledger.record(LedgerEntry(event, "receive-stock", COMMITTED, NOON), writer)
    for attempt in (
        lambda: receive_stock.update_item(**planted["Update"]),
        lambda: receive_stock.transact_write_items(TransactItems=[planted]),
        lambda: receive_stock.transact_write_items(TransactItems=[own, planted]),  # each item must be allowed
        lambda: ledger.find(event, "screen-transaction"),
        lambda: receive_stock.get_item(TableName=table, Key=pack_item(ledger_keys.of_switch("screen-transaction"))),
        lambda: receive_stock.get_item(TableName=table, Key=pack_item(ledger_keys.REGISTER)),
        lambda: receive_stock.get_item(**shards),
        lambda: emitting.update_item(**shards),
        lambda: receive_stock.scan(TableName=table),
    ):
        with pytest.raises(ClientError, match=DENIED):
            attempt()

    assert system.connection.ledger.find(event, "screen-transaction") is None
    assert system.connection.ledger.find(event, "receive-stock").state == "trying"  # type: ignore[union-attr]


# Guards: the condition in BackboneAccess.allow_dead_letters.
def test_record_dead_letters_may_write_statuses_of_all_consumers_and_no_other_rows(system: Deployed) -> None:
    dynamodb, table, event = client_of(system, "record-dead-letters"), system.connection.names.ledger, unique("event")
    Ledger(dynamodb, table).note(event, "charge-order", ("order/1", 1), a_note())

    for key in (
        ledger_keys.of_effect("charge/1001", "charge-order"),
        ledger_keys.of_cursor("order/1001", "charge-order"),
        ledger_keys.of_switch("charge-order"),
        ledger_keys.REGISTER,
        ledger_keys.SHARDS,
        ledger_keys.of_checkpoint("operation", "part-0"),
    ):
        with pytest.raises(ClientError, match=DENIED):
            dynamodb.get_item(TableName=table, Key=pack_item(key))


# Guards: the filter and the handler of watch-ledger.
def test_an_illegal_change_with_rights_to_the_whole_table_is_reported(system: Deployed) -> None:
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.ledger
    (placed,) = system.sends(an_order())
    system.finishes()
    key = ledger_keys.of_event(placed, "place-order")

    dynamodb.update_item(
        TableName=table,
        Key=pack_item(key),
        UpdateExpression="SET #state = :dead",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":dead": pack(DEAD)},
    )
    until(lambda: reports(system, key["key"]) == ["a row was changed that is committed"], what="the change is reported")
    dynamodb.delete_item(TableName=table, Key=pack_item(key))
    until(lambda: len(reports(system, key["key"])) == 2, what="the deletion is reported")


# Guards: the proofs of the ledger's rows. Without them, the stock of this order is never reserved, and nothing says so.
def test_a_committed_row_that_was_planted_before_its_event_ends_no_work(system: Deployed) -> None:
    sku, order, key = unique("mug"), unique("order"), unique("checkout")
    system.receives(stock_received(sku, 1))
    placed = admitted_id(system.connection.account, CHECKOUT, key)
    row = ledger_keys.of_event(placed, "reserve-stock")
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.ledger
    dynamodb.put_item(TableName=table, Item=pack_item({**row, "state": COMMITTED, "at": NOON}))

    assert system.sends(an_order(order, lines=[(sku, 1)], producer_id=key)) == [placed]
    until(lambda: dead_letters_about(system, placed), what="the message is a dead letter")
    (dead_letter,) = dead_letters_about(system, placed)
    assert (dead_letter.consumer, dead_letter.error) == ("reserve-stock", "LedgerRowNotProven")
    assert system.pieces(sku) == (1, 0)

    dynamodb.delete_item(TableName=table, Key=pack_item(row))
    assert [each.result for each in RetryOperation(system.connection).run([dead_letter])] == [DONE]
    system.finishes(placed)
    assert system.types(f"order/{order}") == CONFIRMED


def dead_letters_about(system: Deployed, event: str) -> list[DeadLetter]:
    """The dead letters that name this event, whose own row is not proven."""
    found = still_dead(system.connection, dead_letters(system.connection, Selection(error="LedgerRowNotProven")))
    return [dead_letter for dead_letter, _ in found if dead_letter.named_event == event]


def reports(system: Deployed, key: str) -> list[str]:
    """What watch-ledger has reported about a row."""
    return [line["change"] for line in system.log("watch-ledger", key) if line["message"] == "tampered"]


def client_of(system: Deployed, function: str) -> Any:
    """A DynamoDB client with the permissions of a function's role."""
    iam, role = system.cloud.client("iam"), roles(system)[function]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    statements = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    return Caller(system.cloud, *statements).client("dynamodb")


def a_note() -> Note:
    return Note(message="m", deliveries=1, at=NOON)
