"""Views are held against the store and made anew from it, deployed, while events keep coming in."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

from daybook.operate.tables import PlainTable, generations
from daybook.store.attributes import pack, pack_item
from tests.deployed.deployed import Deployed, an_order, stock_received, unique
from tests.deployed.test_commands import daybook
from tests.local.processes import until

STATUS = ("order-status", "order-status-placed")


def test_a_view_that_was_damaged_by_hand_is_found_out_and_made_anew_while_orders_come_in(system: Deployed) -> None:
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
    told = {changed: "differs", lost: "missing", ghost: "extra"}
    assert found_among(system, "order-status", *names, ghost) == told
    assert daybook(system, "verify", "order-status").returncode == 1

    with orders_coming_in(system, sku) as sent:
        until(lambda: sent, what="orders come in")
        rebuilt = daybook(system, "rebuild", "order-status", "--apply", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    system.finishes(*sent)

    assert table_of(system, *STATUS).rows(names) == before
    assert sound in before
    placed = [step.removeprefix("order/") for step in streams_of(system, *sent)]
    assert not found_among(system, "order-status", *names, ghost, *placed)
    assert placed
    assert json.loads(rebuilt.stdout)["deleted"] >= len(names)
    acts = [envelope.metadata.type for envelope in operations(system)]
    assert acts[-2:] == ["RebuildStarted", "ViewRebuilt"]


def test_a_rebuild_that_is_only_told_of_changes_nothing(system: Deployed) -> None:
    order = unique("order")
    system.receives(an_order(order))
    table = table_of(system, *STATUS).name
    before = generations(system.connection, table)

    told = daybook(system, "rebuild", "order-status")

    assert told.returncode == 0
    assert "repeat the command with --apply" in told.stdout
    assert generations(system.connection, table) == before


def test_a_view_that_nobody_keeps_is_refused_with_those_there_are(system: Deployed) -> None:
    refused = daybook(system, "rebuild", "stock", "--apply")

    assert refused.returncode == 2
    assert "order-status" in refused.stderr


def found_among(system: Deployed, view: str, *keys: str) -> dict[str, str]:
    """What `daybook verify` has found wrong with these rows: of others, other tests know."""
    *differences, _ = map(json.loads, daybook(system, "verify", view, "--json").stdout.splitlines())
    return {each["key"]: each["what"] for each in differences if each["key"] in keys}


def streams_of(system: Deployed, *events: str) -> list[str]:
    """The streams that these events stand in."""
    return [system.connection.ledger.of_event(event)[0].stream for event in events]


def table_of(system: Deployed, view: str, function: str) -> PlainTable:
    """The view as its readers find it."""
    return PlainTable(system.connection, system.table(view, function)).live()


def operations(system: Deployed) -> list[Any]:
    """What operators have done with views, in order."""
    listed = daybook(system, "events", "--stream", "operation/", "--json", "--limit", "20").stdout.splitlines()
    streams = {json.loads(line)["stream"]: None for line in reversed(listed)}
    found = [envelope for stream in streams for envelope in system.connection.store.stream(stream)]
    return [each for each in found if each.metadata.type in {"RebuildStarted", "ViewRebuilt"}]


@contextmanager
def orders_coming_in(system: Deployed, sku: str) -> Iterator[list[str]]:
    """In the block orders keep coming in; their ids."""
    with coming_in(lambda: system.sends(an_order(unique("meanwhile"), lines=[(sku, 1)]))) as sent:
        yield sent


@contextmanager
def coming_in(send: Any) -> Iterator[list[str]]:
    """In the block events keep coming in, one after the other; their ids."""
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


def stands_under(view: PlainTable, key: str) -> dict[str, Any]:
    """The key of a row as it stands in the table."""
    return {"id": pack(view._stands_under(key))}  # noqa: SLF001 - damage is done past all doors


def damage(system: Deployed, view: PlainTable, key: str, fields: dict[str, Any]) -> None:
    """Somebody writes to the row by hand."""
    for name, value in fields.items():
        system.connection.dynamodb.update_item(
            TableName=view.name,
            Key=stands_under(view, key),
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": pack(value)},
        )


def remove(system: Deployed, view: PlainTable, key: str) -> None:
    """Somebody deletes the row."""
    system.connection.dynamodb.delete_item(TableName=view.name, Key=stands_under(view, key))


def put(system: Deployed, view: PlainTable, key: str, fields: dict[str, Any]) -> None:
    """Somebody writes a row that no event has made."""
    item = stands_under(view, key) | pack_item(fields)
    system.connection.dynamodb.put_item(TableName=view.name, Item=item)
