"""`daybook audit check --since` reads the journal of a period, not both tables, and says what it does not check."""

import json
from typing import Any

import pytest

from daybook.contracts.envelope import Envelope
from daybook.store.attributes import pack_item
from daybook.store.event_store import to_item
from daybook.store.ledger import COMMITTED, DISCARDED, LedgerEntry
from daybook.testing.dynamodb import DynamoDB
from tests.ops.audited import (
    MINUTE,
    PLACE,
    RESERVE,
    WAREHOUSE,
    an_order,
    audited,
    change,
    check,
    counted,
    deliveries,
    forget,
    found,
    place_of,
    remove,
    resealed,
)
from tests.ops.world import World, ms

PERIOD = ("--since", "2h")
DAY = 24 * 60 * MINUTE


@pytest.fixture
def stage(world: World) -> World:
    return audited(world)


def places(*options: str) -> list[tuple[str, str]]:
    return [(kind, where) for kind, where, _ in found(*options)]


# --- what it reads --------------------------------------------------------------------------------------------------


def test_a_period_is_checked_without_a_scan(stage: World, dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        an_order(stage, str(number), after=number)
    called: list[str] = []

    def answer(operation: str, request: Any) -> Any:
        called.append(operation)
        return DynamoDB.answer(dynamodb, operation, request)

    monkeypatch.setattr(dynamodb, "answer", answer)

    result = check(*PERIOD)

    assert result.exit_code == 0, result.output
    assert "6 events that the journal lists" in result.stdout
    assert "Nothing is missing, changed or undelivered" in result.stdout
    assert {"Query", "BatchGetItem"} <= set(called)
    assert "Scan" not in called


def test_a_period_that_has_everything_counts_what_a_check_of_everything_counts(stage: World) -> None:
    for number in range(3):
        placed, _ = an_order(stage, str(number), after=number)
    stage.died(placed, "removed-consumer")  # of any type

    everything, period = counted(), counted(*PERIOD)

    everything.pop("streams")  # the journal does not say which streams begin in it
    assert period == everything


def test_events_before_and_after_the_period_are_not_checked(stage: World) -> None:
    for hours in (-3, 0):
        stage.recorded("OrderPlaced", f"order/{hours}", after=hours * 60 * MINUTE)
    stage.recorded("OrderPlaced", "order/now", after=25 * MINUTE)

    assert places("--since", "2h", "--until", "10m") == [("unpublished", "order/0#1")]


def test_a_long_stream_is_followed_from_page_to_page_and_from_hour_to_hour(stage: World) -> None:
    for number in range(250):
        stage.recorded("StockReceived", "stock/mug", after=-number_of_minutes(number) * MINUTE, producer=WAREHOUSE)
    assert found("--since", "4h") == []

    before = stage.connection.store.stream("stock/mug", after=99)
    change(stage, resealed(next(before), data='{"quantity":900}'))

    text = "it links to another event than the one before it, which was changed"
    assert found("--since", "4h") == [("chain", "stock/mug#101", text)]


def number_of_minutes(number: int) -> float:
    """Three hours in 250 steps, the oldest first."""
    return 180 - number * 180 / 250


def test_the_first_event_of_the_period_is_linked_to_the_last_one_before_it(stage: World) -> None:
    old = stage.recorded("StockReceived", "stock/mug", after=-DAY, producer=WAREHOUSE)
    stage.recorded("StockReceived", "stock/mug", after=0, producer=WAREHOUSE)
    assert found(*PERIOD) == []

    change(stage, resealed(old, data='{"quantity":900}'))
    text = "it links to another event than the one before it, which was changed"
    assert found(*PERIOD) == [("chain", "stock/mug#2", text)]

    remove(stage, old)
    assert found(*PERIOD) == [("chain", "stock/mug#2", "#1 before it is missing")]


# --- what it finds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data", "recorded_at"])
def test_a_changed_event_is_reported(stage: World, name: str) -> None:
    _, second, _ = deliveries(stage, 3)
    change(stage, second, **{name: {"S": "2001-01-01T00:00:00.000000Z"}})

    assert ("chain", "stock/mug#2", "its hash does not match its content: it was changed") in found(*PERIOD)


def test_an_event_that_is_missing_in_a_stream_is_reported(stage: World) -> None:
    _, second, _ = deliveries(stage, 3)
    remove(stage, second)

    assert found(*PERIOD) == [("chain", "stock/mug#3", "#2 before it is missing")]


@pytest.mark.parametrize("attribute", ["bucket", "position"])
def test_an_event_that_the_journal_does_not_list_is_reported_by_the_next_one(stage: World, attribute: str) -> None:
    _, second, _ = deliveries(stage, 3)
    item = {name: value for name, value in to_item(second).items() if name != attribute}
    stage.connection.dynamodb.put_item(TableName=stage.names.store, Item=item)

    assert places(*PERIOD) == [("journal", "stock/mug#2")]


def test_an_item_that_is_not_an_event_is_reported_whether_the_journal_lists_it_or_not(stage: World) -> None:
    events = deliveries(stage, 4)
    listed = {name: to_item(events[3])[name] for name in ("bucket", "position")}
    for event, more in ((events[1], {}), (events[3], listed)):
        item = {**place_of(event), "note": {"S": "by hand"}, **more}
        stage.connection.dynamodb.put_item(TableName=stage.names.store, Item=item)

    assert places(*PERIOD) == [("item", "stock/mug#2"), ("item", "stock/mug#4")]


def test_an_event_that_the_journal_still_lists_is_reported_if_it_was_deleted(stage: World, dynamodb: DynamoDB) -> None:
    *_, last = deliveries(stage, 3)
    with dynamodb.lagging_indexes():
        remove(stage, last)

        assert found(*PERIOD) == [("journal", "stock/mug#3", "the journal lists it, but it is not in the store")]


def test_a_missing_emitted_event_is_reported_with_the_row_that_names_it(stage: World) -> None:
    _, reserved = an_order(stage)
    remove(stage, reserved)

    text = "reserve-stock has emitted it for OrderPlaced-order-1001-1; it is not in the store"
    assert found(*PERIOD) == [("ledger", reserved.metadata.id, text)]


def test_an_event_that_is_in_the_store_twice_is_reported(stage: World) -> None:
    _, reserved = an_order(stage)
    change(stage, resealed(reserved, stream="reservation/copy"))

    text = "the store has it more than once, or the journal does not list the event from which it follows"
    assert [where for _, where, reason in found(*PERIOD) if reason == text] == [
        "reservation/1001#1",
        "reservation/copy#1",
    ]


def test_an_event_without_an_origin_and_one_that_did_not_arrive_are_reported(stage: World) -> None:
    stage.recorded("StockReceived", "stock/mug", producer=WAREHOUSE, admitted=False)
    stage.recorded("OrderPlaced", "order/1002")
    placed, _ = an_order(stage)
    forget(stage, placed, PLACE)

    assert found(*PERIOD) == [
        ("ledger", "stock/mug#1", "the ledger has no origin for it"),
        ("undelivered", "order/1001#1", "it never reached place-order"),
        ("unpublished", "order/1002#1", "it was probably not published: it never reached place-order, reserve-stock"),
    ]


def planted(stage: World, event: Envelope, consumer: str, **values: Any) -> None:
    row = {"key": f"{consumer}#{event.metadata.id}", "state": COMMITTED, "at": ms(9), **values}
    stage.connection.dynamodb.put_item(TableName=stage.names.ledger, Item=pack_item(row))


def test_rows_of_an_event_are_checked_at_each_consumer_that_may_have_one(stage: World) -> None:
    placed, _ = an_order(stage)
    planted(stage, placed, "publish")
    stage.registers("removed-consumer", types=("OrderPlaced",))
    planted(stage, placed, "removed-consumer")
    forget(stage, placed, PLACE)
    stage.died(placed, PLACE, dead=RESERVE)

    event = placed.metadata.id
    assert found(*PERIOD) == [
        ("ledger", event, f"the row {PLACE}#{event} claims to be a dead letter of {RESERVE}"),
        ("proof", event, f"the row publish#{event} has no valid proof by publish"),
        ("proof", event, f"the row removed-consumer#{event} has no valid proof by removed-consumer"),
    ]


def test_a_row_that_names_another_place_than_its_event_has_is_reported(stage: World) -> None:
    placed, _ = an_order(stage)
    key = {"key": {"S": f"{PLACE}#{placed.metadata.id}"}}
    request = {"UpdateExpression": "SET #sequence = :n", "ExpressionAttributeNames": {"#sequence": "sequence"}}
    for value, text in (("7", "place-order has handled it as order/1001 #7"), (None, "it names no place of an event")):
        stage.connection.dynamodb.update_item(
            TableName=stage.names.ledger,
            Key=key,
            ExpressionAttributeValues={":n": {"N": value} if value else {"S": "x"}},
            **request,
        )
        assert ("ledger", text) in [(kind, reason) for kind, _, reason in found(*PERIOD)]


def test_a_decision_without_a_record_is_reported(stage: World) -> None:
    placed, _ = an_order(stage)
    m = placed.metadata
    forget(stage, placed, PLACE)
    details = {"operation": "nobody's"}
    stage.writes(LedgerEntry(m.id, PLACE, DISCARDED, ms(9), m.stream, m.sequence, details=details))

    text = "it was discarded by operation/nobody's, which is not in the store"
    assert found(*PERIOD) == [("operation", "order/1001#1", text)]


# --- the edges of the period ----------------------------------------------------------------------------------------


def test_what_follows_in_the_period_from_an_event_before_it_is_no_difference(stage: World) -> None:
    """A consumer that was paused handles old events. Guards: `RowsOfEvents.of_read_events`."""
    for number in range(3):
        placed = stage.recorded("OrderPlaced", f"order/{number}", after=-DAY)
        reserved = stage.recorded("StockReserved", f"reservation/{number}", cause=placed, producer=RESERVE)
        stage.handled(placed, RESERVE, reserved)
        stage.handled(placed, PLACE)
        stage.handled(reserved, "charge-order")

    assert found(*PERIOD) == []


def test_what_was_emitted_at_the_end_of_the_period_by_another_clock_is_no_difference(stage: World) -> None:
    """Guards: the minute before the end in `Scope.period`."""
    end = ms(5_000)
    placed = stage.recorded("OrderPlaced", "order/1001")
    reserved = stage.recorded("StockReserved", "reservation/1001", after=5_020, cause=placed, producer=RESERVE)
    stage.handled(placed, RESERVE, reserved, after=4_990)
    stage.handled(placed, PLACE, after=100)

    assert found(*PERIOD, "--until", end) == []


def test_events_that_the_index_may_not_have_yet_are_left_out(stage: World) -> None:
    an_order(stage)
    stage.recorded("OrderPlaced", "order/young", after=29 * MINUTE)

    result = check(*PERIOD)

    assert result.exit_code == 0, result.output
    assert "2 events" in result.stdout


# --- what it does not check -----------------------------------------------------------------------------------------


def test_what_is_not_checked_is_said(stage: World) -> None:
    *_, last = deliveries(stage, 3)
    remove(stage, last)
    planted(stage, last, "no-consumer")
    assert len(found()) == 2

    result = check(*PERIOD)

    assert result.exit_code == 0
    assert "Only a check without --since finds:" in result.stdout
    assert "events deleted at the end of a stream" in result.stdout
    assert "Only a check" not in check().stdout
    about = json.loads(check("--json", *PERIOD).stdout.splitlines()[-1])
    assert about["read"] == ["journal"]
    assert len(about["not_checked"]) == 3
