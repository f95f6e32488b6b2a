"""The deployed system with keys of KMS: what somebody puts into its tables by hand has no effect."""

from datetime import UTC, datetime
from functools import partial

from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.proof import FIRE_TIMERS, OPERATIONS, Writer
from daybook.operate.registered import KnownConsumers
from daybook.store.event_store import Draft, Head, successor, to_item
from daybook.store.timers import Timer
from daybook.store.timers import to_item as to_row
from tests.deployed.deployed import Deployed, an_order
from tests.local.processes import unique, until


def test_an_event_and_a_timer_that_were_put_into_the_tables_have_no_effect(system: Deployed) -> None:
    order, connection = unique("order"), system.connection
    system.receives(an_order(order, lines=[(unique("sold-out"), 1)]))
    forger = connection.keyring.find("place-order")
    assert forger, "place-order has proven its events"
    head = connection.store.head(f"order/{order}")
    assert head
    now = clock.timestamp(datetime.now(UTC))

    def draft(event_type: str, producer: str) -> Draft:
        return Draft(unique("forged"), event_type, 1, f"order/{order}", now, "{}", producer, "daybook.orders")

    refund = successor(draft("RefundRequested", "daybook"), head, now, Writer(OPERATIONS, forger.key))
    ended = successor(draft("PaymentWindowEnded", "place-order"), Head.at(refund), now, Writer(FIRE_TIMERS, forger.key))
    timer = Timer.proven(draft("RefundRequested", "place-order"), Place.CONTINUES, forger)
    dynamodb = connection.dynamodb
    for event in (refund, ended):
        dynamodb.put_item(TableName=connection.names.store, Item=to_item(event))
    dynamodb.put_item(TableName=connection.names.due, Item=to_row(timer))
    connection.lambda_.invoke(FunctionName=connection.names.of("fire-timers"))

    for event_id, consumer in (
        (refund.metadata.id, "publish"),
        (ended.metadata.id, "publish"),
        (timer.draft.id, "fire-timers"),
    ):
        until(partial(error, system, event_id, consumer), what="it is set aside")
        assert error(system, event_id, consumer) == "NotProven"
        assert [entry.consumer for entry in KnownConsumers.of(connection).rows(event_id)] == [consumer]
    assert [event.metadata.id for event in connection.store.stream(f"order/{order}", after=head.sequence)] == [
        refund.metadata.id,
        ended.metadata.id,
    ]


def error(system: Deployed, event_id: str, consumer: str) -> str:
    entry = system.connection.ledger.find(event_id, consumer)
    return str(entry.details["error"]) if entry else ""
