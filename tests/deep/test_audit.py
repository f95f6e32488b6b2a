"""The audit of the deployed system: it finds nothing after normal traffic, and reports each damaged or missing item."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.proof import KEY_BYTES, Writer
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.event_store import Draft, Head, from_item, successor, to_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING
from tests.deployed.deployed import Deployed, an_order, deployed_system, stock_received
from tests.deployed.test_commands import daybook
from tests.deployed.test_republishing import publish_again, without_change_stream
from tests.local.processes import unique, until

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def running(templates: Path) -> Iterator[Deployed]:
    """A system only for this file, because the tests damage its tables. Some orders were placed."""
    with deployed_system(templates, iam=True) as system:
        sku = unique("mug")
        system.receives(stock_received(sku, 5))
        system.receives(*(an_order(f"traffic-{number}", lines=[(sku, 1)]) for number in range(7)))
        for _ in range(12):  # with more than nine, scans of the local cloud return them out of order
            system.receives(stock_received(sku, 1))
        yield system


@pytest.fixture
def own(running: Deployed) -> Deployed:
    return running.from_now_on()


def checked(system: Deployed, *options: str) -> tuple[Found, dict[str, int]]:
    """The differences that the check finds, and its counts."""
    ran = daybook(system, "audit", "check", "--settled", "0s", "--json", *options)
    *differences, last = (json.loads(line) for line in ran.stdout.splitlines())
    assert ran.returncode == bool(differences), ran.stderr
    return differences, last["checked"]


def test_after_normal_traffic_nothing_differs_and_everything_is_checked(own: Deployed) -> None:
    differences, counts = checked(own)

    assert differences == []
    stored = own.items(own.connection.names.store)
    assert counts["events"] == len(stored)
    assert counts["streams"] == len({item["stream"] for item in stored})
    states = [row.get("state") for row in own.items(own.connection.names.ledger)]
    assert counts["rows"] == sum(state in {TRYING, COMMITTED, DEAD, DISCARDED} for state in states)
    shown = daybook(own, "audit", "check", "--settled", "0s")
    assert shown.returncode == 0
    assert "Nothing is missing, changed or undelivered" in shown.stdout


def test_events_that_arrive_during_the_check_are_no_differences(own: Deployed) -> None:
    for _ in range(3):
        own.sends(*(an_order(lines=[(unique("poster"), 1)]) for _ in range(20)))
        differences, _ = checked(own, "--settled", "1m")
        assert differences == []
    own.finishes()
    assert checked(own)[0] == []


def test_the_exported_file_can_be_checked_without_daybook(own: Deployed, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl.gz"

    ran = daybook(own, "audit", "export", "--to", str(file), "--json")

    assert ran.returncode == 0, ran.stderr
    exported = json.loads(ran.stdout)
    assert exported["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    heads: dict[str, str] = {}
    count, recorded = 0, ""
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        event = json.loads(line)
        own_hash, metadata, _ = event.pop("hash"), event["metadata"], event.pop("proof")
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == own_hash
        assert heads.get(metadata["stream"], "0" * 64) == event["previous"]
        assert metadata["recorded_at"] >= recorded
        heads[metadata["stream"]], count, recorded = own_hash, count + 1, metadata["recorded_at"]
    assert count == exported["events"] == len(own.items(own.connection.names.store))


def test_each_damaged_item_is_reported_and_nothing_else(own: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    own.receives(stock_received(sku, 2))
    for _ in range(3):
        own.receives(stock_received(sku, 1))
    own.receives(an_order(order, lines=[(sku, 1)]))
    stock, reservation = f"stock/{sku}", f"reservation/{order}"
    assert checked(own)[0] == []

    with damaged(own, (stock, 2), lambda item: item | {"data": '{"sku":"mug","quantity":900}'}):
        assert places(own, "chain") == {f"{stock}#2"}
    with damaged(own, (stock, 2), None):
        assert places(own, "chain") == {f"{stock}#3"}
        assert places(own, "ledger") == {f"{stock}#2"}
    with damaged(own, (stock, 4), None):
        assert places(own, "chain") == set()
        assert places(own, "ledger") == {f"{stock}#4"}
    with damaged(own, (reservation, 1), None):
        assert places(own, "ledger") == {f"{reservation}#1"}
    with damaged(own, (stock, 4), lambda item: another_valid_event(own, item)):
        assert places(own, "ledger") == {f"{stock}#4"}
        assert places(own, "chain") == set()
    with damaged(own, (stock, 2), lambda item: another_valid_event(own, item)):
        assert places(own, "chain") == {f"{stock}#3"}
    assert checked(own)[0] == []


def test_an_item_that_is_not_an_event_is_reported(own: Deployed) -> None:
    key = {"stream": "note/1", "sequence": 7}
    own.connection.dynamodb.put_item(TableName=own.connection.names.store, Item=pack_item(key | {"text": "hello"}))
    try:
        assert places(own, "item") == {"note/1#7"}
    finally:
        own.connection.dynamodb.delete_item(TableName=own.connection.names.store, Key=pack_item(key))


def test_a_deleted_row_of_the_ledger_is_reported(own: Deployed) -> None:
    (placed, *_) = own.connection.store.stream("order/traffic-0")
    key = pack_item({"key": f"reserve-stock#{placed.metadata.id}"})
    ledger = own.connection.names.ledger
    row = own.connection.dynamodb.get_item(TableName=ledger, Key=key)["Item"]
    own.connection.dynamodb.delete_item(TableName=ledger, Key=key)
    try:
        differences, _ = checked(own)
    finally:
        own.connection.dynamodb.put_item(TableName=ledger, Item=row)

    reported = {(each["kind"], each["stream"], each["consumer"]) for each in differences}
    assert ("undelivered", "order/traffic-0", "reserve-stock") in reported
    # The event that it emitted now has no row either.
    assert reported - {("undelivered", "order/traffic-0", "reserve-stock")} == {("ledger", "reservation/traffic-0", "")}
    assert checked(own)[0] == []


def test_an_unpublished_event_is_reported_until_it_is_published_again(own: Deployed) -> None:
    order, stopped = unique("order"), clock.now()
    with without_change_stream(own):
        (placed,) = own.sends(an_order(order, lines=[(unique("mug"), 1)]))
        until(lambda: bool(own.log_messages("admit", placed)), what="the order is in the store")
        differences, _ = checked(own)
        assert [(each["kind"], each["event"]) for each in differences] == [("unpublished", placed)]
        assert checked(own, "--settled", "1h")[0] == []

    assert publish_again(own, since=stopped) >= 1
    own.finishes()
    assert checked(own)[0] == []


def places(system: Deployed, kind: str) -> set[str]:
    """The stream and sequence of each difference of one kind."""
    return {f"{each['stream']}#{each['sequence']}" for each in checked(system)[0] if each["kind"] == kind}


@contextmanager
def damaged(system: Deployed, place: tuple[str, int], change: Any) -> Iterator[None]:
    """Change the stored item in the block, or delete it."""
    dynamodb, table = system.connection.dynamodb, system.connection.names.store
    key = pack_item({"stream": place[0], "sequence": place[1]})
    before = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    if change:
        dynamodb.put_item(TableName=table, Item=pack_item(change(unpack_item(before))))
    else:
        dynamodb.delete_item(TableName=table, Key=key)
    try:
        yield
    finally:
        dynamodb.put_item(TableName=table, Item=before)


def another_valid_event(system: Deployed, item: dict[str, Any]) -> dict[str, Any]:
    """Another event for the same sequence, with a valid hash and link, and a proof by a key of the forger."""
    event = from_item(pack_item(item))
    m = event.metadata
    head: Head | None = None
    for before in system.connection.store.stream(m.stream):
        if before.metadata.sequence < m.sequence:
            head = Head.at(before)
    now = clock.timestamp(datetime.now(UTC))
    draft = Draft(unique("forged"), m.type, m.version, m.stream, m.time, event.data, m.producer, event.source)
    return unpack_item(to_item(successor(draft, head, m.recorded_at or now, Writer(event.writer, bytes(KEY_BYTES)))))
