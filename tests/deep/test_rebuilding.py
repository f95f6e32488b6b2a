"""Views are compared with the store and rebuilt from it, in the deployed system, while events arrive."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

from daybook.operate.registered import KnownConsumers
from daybook.operate.tables import PlainTable
from daybook.store.attributes import pack, pack_item
from tests.deployed.bank.test_analytics import a_minute, a_purchase, entry
from tests.deployed.deployed import Deployed, an_order, stock_received
from tests.deployed.test_commands import daybook
from tests.deployed.test_rebuilding import STATUS, table_of
from tests.local.processes import unique, until

DAYS = ("account-days", "tally-transaction")


def test_a_view_that_was_changed_by_hand_is_detected_and_rebuilt_while_orders_arrive(system: Deployed) -> None:
    sku, names = unique("mug"), [unique("rebuilt") for _ in range(4)]
    system.receives(stock_received(sku, 500), *(an_order(name, lines=[(sku, 1)]) for name in names))
    changed, lost, sound, _ = names
    ghost = unique("ghost")
    view = table_of(system, *STATUS)
    before = view.rows(names)
    assert not found_among(system, "order-status", *names)

    damage(system, view, changed, {"status": "fulfilled"})
    remove(system, view, lost)
    put(system, view, ghost, {"status": "placed"})
    differences = {changed: "differs", lost: "missing", ghost: "extra"}
    assert found_among(system, "order-status", *names, ghost) == differences
    assert daybook(system, "verify", "order-status").returncode == 1

    with orders_arriving(system, sku) as sent:
        until(lambda: sent, what="orders arrive")
        rebuilt = daybook(system, "rebuild", "order-status", "--apply", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    system.finishes(*sent)

    assert table_of(system, *STATUS).rows(names) == before
    assert sound in before
    placed = [step.removeprefix("order/") for step in streams_of(system, *sent)]
    assert not found_among(system, "order-status", *names, ghost, *placed)
    assert placed
    assert json.loads(rebuilt.stdout)["deleted"] >= len(names)
    types = [envelope.metadata.type for envelope in operations(system)]
    assert types[-2:] == ["RebuildStarted", "ViewRebuilt"]


def test_sums_that_are_rebuilt_under_load_count_each_transaction_once(system: Deployed) -> None:
    account, minute = unique("acc"), a_minute()
    system.receives(*(entry(a_purchase(account, "m-881", minute, amount=n)) for n in range(1, 31)))
    day = f"{account}#{minute:%Y-%m-%d}"
    damage(system, table_of(system, *DAYS), day, {"EUR:debited": 7})

    with arriving(lambda: system.sends(entry(a_purchase(account, "m-881", minute, amount=1000)))) as sent:
        until(lambda: sent, what="transactions arrive")
        rebuilt = daybook(system, "rebuild", "account-days", "--apply")
    assert rebuilt.returncode == 0, rebuilt.stderr
    system.finishes(*sent)

    row = table_of(system, *DAYS).row(day) or {}
    assert (row["EUR:debit_count"], row["EUR:debited"]) == (30 + len(sent), sum(range(1, 31)) + 1000 * len(sent))
    assert not found_among(system, "account-days", day)


def found_among(system: Deployed, view: str, *keys: str) -> dict[str, str]:
    """The differences that `daybook verify` finds in these rows. Other tests may have changed other rows."""
    *differences, _ = map(json.loads, daybook(system, "verify", view, "--json").stdout.splitlines())
    return {each["key"]: each["what"] for each in differences if each["key"] in keys}


def streams_of(system: Deployed, *events: str) -> list[str]:
    """The streams of these events."""
    return [KnownConsumers.of(system.connection).rows(event)[0].stream for event in events]


def operations(system: Deployed) -> list[Any]:
    """The events of operations on views, in order."""
    listed = daybook(system, "events", "--stream", "operation/", "--json", "--limit", "20").stdout.splitlines()
    streams = {json.loads(line)["stream"]: None for line in reversed(listed)}
    found = [envelope for stream in streams for envelope in system.connection.store.stream(stream)]
    return [each for each in found if each.metadata.type in {"RebuildStarted", "ViewRebuilt"}]


@contextmanager
def orders_arriving(system: Deployed, sku: str) -> Iterator[list[str]]:
    """In the block, orders keep arriving. Yields their ids."""
    with arriving(lambda: system.sends(an_order(unique("meanwhile"), lines=[(sku, 1)]))) as sent:
        yield sent


@contextmanager
def arriving(send: Any) -> Iterator[list[str]]:
    """In the block, events keep arriving one after the other. Yields their ids."""
    sent: list[str] = []
    over = Event()

    def keep_sending() -> None:
        while not over.wait(0.3):
            sent.extend(send())

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(keep_sending)
        try:
            yield sent
        finally:
            over.set()
            sending.result()


def stored_key(view: PlainTable, key: str) -> dict[str, Any]:
    """The key of a row in the table."""
    return {"id": pack(view._stored_key(key))}  # noqa: SLF001 - only tests write to a view past its functions


def damage(system: Deployed, view: PlainTable, key: str, fields: dict[str, Any]) -> None:
    """Change the row by hand."""
    for name, value in fields.items():
        system.connection.dynamodb.update_item(
            TableName=view.name,
            Key=stored_key(view, key),
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": pack(value)},
        )


def remove(system: Deployed, view: PlainTable, key: str) -> None:
    """Delete the row by hand."""
    system.connection.dynamodb.delete_item(TableName=view.name, Key=stored_key(view, key))


def put(system: Deployed, view: PlainTable, key: str, fields: dict[str, Any]) -> None:
    """Write a row that belongs to no event."""
    item = stored_key(view, key) | pack_item(fields)
    system.connection.dynamodb.put_item(TableName=view.name, Item=item)
