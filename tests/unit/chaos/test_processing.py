"""The checker finds events that are lost, duplicated, out of order or without a status."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaos.checker.processing import IN_ORDER, PROCESSED, PROCESSING, RECORDED_FIRST, STORED_ONCE, WHOLE
from chaos.checker.snapshot import Event, Row, Sent, Snapshot
from chaos.checker.violation import Invariant

Change = Callable[[Snapshot], Snapshot]

ORDER = {"order_id": "1001"}
READINGS = [{"device_id": "MON-7", "value": number} for number in range(3)]


def a_snapshot() -> Snapshot:
    """An order with a reservation, a rejected order, and three readings for an ordered consumer."""
    placed = an_event("e-1", "OrderPlaced", "order/1001", 1, ORDER)
    reserved = an_event("e-2", "StockReserved", "reservation/1001", 1, ORDER, cause="e-1", producer="reserve-stock")
    readings = [
        replace(
            an_event(f"r-{number}", "Reading", "device/MON-7", number + 1, data), previous=f"hash of r-{number - 1}"
        )
        for number, data in enumerate(READINGS)
    ]
    refused = json.dumps({"detail": {"metadata": {"id": "checkout-2"}}})
    rows = [
        admitted(placed, "checkout-1"),
        *(admitted(reading, f"reading-{reading.id}") for reading in readings),
        a_row("e-1", "reserve-stock", emitted=["e-2"]),
        *(a_row(reading.id, "raise-alarm") for reading in readings),
        a_row("x", "admit", state="dead", error="ContractBroken", reason="no lines", body=refused),
    ]
    return Snapshot(
        streams={"order/1001": [placed], "reservation/1001": [reserved], "device/MON-7": readings},
        listeners={"OrderPlaced": frozenset({"reserve-stock"}), "Reading": frozenset({"raise-alarm"})},
        ordered=frozenset({"raise-alarm"}),
        statuses={(row["event"], row["consumer"]): row for row in rows},
        other_rows={},
        tables={},
        sent=[
            sent("OrderPlaced", "checkout-1", ORDER),
            sent("OrderPlaced", "checkout-1", ORDER),  # sent twice
            sent("OrderPlaced", "checkout-2", {}, may_be_admitted=False, allowed_errors=frozenset({"ContractBroken"})),
            *(sent("Reading", f"reading-r-{number}", data) for number, data in enumerate(READINGS)),
        ],
    )


def an_event(
    name: str, event_type: str, stream: str, sequence: int, data: Any, *, cause: str | None = None, producer: str = "x"
) -> Event:
    return Event(
        id=name,
        type=event_type,
        stream=stream,
        sequence=sequence,
        recorded_at="2026-03-01T12:00:00.000000Z",
        correlation_id="correlation",
        causation_id=cause,
        producer=producer,
        data=data,
        previous="",
        hash=f"hash of {name}",
    )


def a_row(event: str, consumer: str, **details: Any) -> Row:
    return {"event": event, "consumer": consumer, "state": "committed", **details}


def admitted(event: Event, producer_id: str) -> Row:
    return a_row(event.id, "admit", producer_id=producer_id, stream=event.stream, sequence=event.sequence)


def sent(event_type: str, producer_id: str, data: Any, **details: Any) -> Sent:
    return Sent(type=event_type, source="outside", producer_id=producer_id, data=data, **details)


def with_row(row: Row) -> Change:
    return lambda snapshot: replace(snapshot, statuses={**snapshot.statuses, (row["event"], row["consumer"]): row})


def without_row(event: str, consumer: str) -> Change:
    return lambda snapshot: replace(
        snapshot, statuses={key: row for key, row in snapshot.statuses.items() if key != (event, consumer)}
    )


def with_stream(stream: str, change: Callable[[list[Event]], list[Event]]) -> Change:
    return lambda snapshot: replace(
        snapshot, streams={**snapshot.streams, stream: change(list(snapshot.streams.get(stream, ())))}
    )


def without_event(name: str) -> Change:
    return lambda snapshot: replace(
        snapshot,
        streams={
            stream: [event for event in events if event.id != name] for stream, events in snapshot.streams.items()
        },
    )


def dead(event: str, consumer: str, **details: Any) -> Row:
    return a_row(event, consumer, **{"state": "dead", "error": "KeyError", "reason": "a bug", "body": "{}", **details})


DISCARDED = with_row(a_row("r-0", "raise-alarm", state="discarded"))
DECIDED = with_stream(
    "operation/1",
    lambda _: [
        an_event(
            "o-1",
            "DeadLettersDiscarded",
            "operation/1",
            1,
            {"reason": "a test", "operator": "ada", "dead_letters": [{"event": "r-0", "consumer": "raise-alarm"}]},
        )
    ],
)


def test_a_valid_snapshot_violates_no_invariant() -> None:
    assert found(a_snapshot(), *PROCESSING) == []


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param([with_row(dead("r-2", "raise-alarm"))], id="the last one is dead"),
        pytest.param(
            [with_row(dead("r-0", "raise-alarm")), *(without_row(f"r-{late}", "raise-alarm") for late in (1, 2))],
            id="what waits behind a dead one",
        ),
        pytest.param([DISCARDED, DECIDED], id="discarded by a decision"),
    ],
)
def test_events_may_be_dead_blocked_or_discarded(otherwise: list[Change]) -> None:
    assert found(changed(*otherwise), *PROCESSING) == []


@pytest.mark.parametrize(
    ("break_it", "invariant", "expected"),
    [
        (without_event("e-1"), STORED_ONCE, "OrderPlaced checkout-1 was admitted, but is not in the store"),
        (without_row("e-1", "admit"), STORED_ONCE, "OrderPlaced checkout-1 was neither admitted nor rejected"),
        (without_row("x", "admit"), STORED_ONCE, "OrderPlaced checkout-2 was neither admitted nor rejected"),
        (
            with_row(dead("x", "admit", error="UnknownType", body='{"detail": {"metadata": {"id": "checkout-2"}}}')),
            STORED_ONCE,
            "OrderPlaced checkout-2 was rejected with UnknownType",
        ),
        (
            with_row(admitted(an_event("e-9", "OrderPlaced", "order/1", 1, {}), "checkout-2")),
            STORED_ONCE,
            "OrderPlaced checkout-2 was admitted, but should have been rejected",
        ),
        (
            with_row(admitted(an_event("e-9", "OrderPlaced", "order/1001", 1, {}), "checkout-1")),
            STORED_ONCE,
            "OrderPlaced checkout-1 was admitted 2 times",
        ),
        (
            with_stream("order/1001", lambda events: [replace(events[0], data={"order_id": "another"})]),
            STORED_ONCE,
            "OrderPlaced checkout-1 is in the store with different content",
        ),
        (
            with_stream("order/1001", lambda events: [*events, replace(events[0], sequence=2)]),
            STORED_ONCE,
            "event e-1 is in the store 2 times",
        ),
        (
            with_stream("order/1001", lambda events: [replace(events[0], id="e-9")]),
            STORED_ONCE,
            "event e-1 was admitted, but order/1001 #1 is another event",
        ),
        (without_event("r-1"), WHOLE, "device/MON-7 has the sequence numbers [1, 3]"),
        (
            with_stream("device/MON-7", lambda events: [events[0], replace(events[1], hash="changed"), events[2]]),
            WHOLE,
            "device/MON-7 #3 does not have the hash of its predecessor",
        ),
        (
            with_stream("device/MON-7", lambda events: [*events[:2], replace(events[2], recorded_at="2026-02-01")]),
            WHOLE,
            "device/MON-7 #3 was recorded before its predecessor",
        ),
        (without_row("e-1", "reserve-stock"), PROCESSED, "reserve-stock has not finished OrderPlaced e-1"),
        (
            with_row(a_row("e-1", "reserve-stock", state="trying")),
            PROCESSED,
            "reserve-stock has not finished OrderPlaced e-1: its status is trying",
        ),
        (
            with_row(dead("r-2", "raise-alarm", reason="")),
            PROCESSED,
            "r-2 is dead at raise-alarm without a reason",
        ),
        (
            with_row(dead("r-2", "raise-alarm", body="")),
            PROCESSED,
            "r-2 is dead at raise-alarm without its body",
        ),
        (DISCARDED, PROCESSED, "r-0 is discarded at raise-alarm without a recorded decision"),
        (
            with_row(a_row("gone", "reserve-stock")),
            RECORDED_FIRST,
            "reserve-stock has processed gone, which is not in the store",
        ),
        (without_event("e-2"), RECORDED_FIRST, "reserve-stock has emitted e-2 for e-1, but it is not in the store"),
        (
            without_row("e-1", "reserve-stock"),
            RECORDED_FIRST,
            "StockReserved e-2 is in the store, but reserve-stock has not committed the causing event",
        ),
        (
            with_row(dead("r-0", "raise-alarm")),
            IN_ORDER,
            "raise-alarm has processed device/MON-7 #2 before #1",
        ),
        (
            without_row("r-1", "raise-alarm"),
            IN_ORDER,
            "raise-alarm has processed device/MON-7 #3 before #2",
        ),
    ],
)
def test_a_violation_is_found(break_it: Change, invariant: Invariant, expected: str) -> None:
    several = found(changed(break_it), invariant)

    assert any(each.startswith(expected) for each in several), several


def changed(*several: Change) -> Snapshot:
    snapshot = a_snapshot()
    for change in several:
        snapshot = change(snapshot)
    return snapshot


def found(snapshot: Snapshot, *invariants: Invariant) -> list[str]:
    # A copy, because a snapshot builds its index by id when it is created.
    whole = replace(snapshot)
    return [violation.message for invariant in invariants for violation in invariant.violations(whole)]
