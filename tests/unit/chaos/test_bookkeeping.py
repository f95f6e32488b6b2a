"""The checker sees it when an event is lost, doubled, out of its place or without an account, and when it is not."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaos.checker.bookkeeping import ACCOUNTED, BOOKKEEPING, IN_ORDER, RECORDED_FIRST, STORED_ONCE, WHOLE
from chaos.checker.breach import Invariant
from chaos.checker.world import Event, Row, Sent, World

Breaking = Callable[[World], World]

ORDER = {"order_id": "1001"}
READINGS = [{"device_id": "MON-7", "value": number} for number in range(3)]


def a_world() -> World:
    """An order that was reserved, one that was refused, and three readings of a device that one consumer orders."""
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
    return World(
        streams={"order/1001": [placed], "reservation/1001": [reserved], "device/MON-7": readings},
        listeners={"OrderPlaced": frozenset({"reserve-stock"}), "Reading": frozenset({"raise-alarm"})},
        ordered=frozenset({"raise-alarm"}),
        accounts={(row["event"], row["consumer"]): row for row in rows},
        others={},
        tables={},
        sent=[
            sent("OrderPlaced", "checkout-1", ORDER),
            sent("OrderPlaced", "checkout-1", ORDER),  # the checkout has said it again
            sent("OrderPlaced", "checkout-2", {}, taken=False, refused=frozenset({"ContractBroken"})),
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
        correlation_id="story",
        causation_id=cause,
        producer=producer,
        data=data,
        previous="",
        hash=f"hash of {name}",
    )


def a_row(event: str, consumer: str, **told: Any) -> Row:
    return {"event": event, "consumer": consumer, "state": "committed", **told}


def admitted(event: Event, producer_id: str) -> Row:
    return a_row(event.id, "admit", producer_id=producer_id, stream=event.stream, sequence=event.sequence)


def sent(event_type: str, producer_id: str, data: Any, **told: Any) -> Sent:
    return Sent(type=event_type, source="outside", producer_id=producer_id, data=data, **told)


def with_row(row: Row) -> Breaking:
    return lambda world: replace(world, accounts={**world.accounts, (row["event"], row["consumer"]): row})


def without_row(event: str, consumer: str) -> Breaking:
    return lambda world: replace(
        world, accounts={key: row for key, row in world.accounts.items() if key != (event, consumer)}
    )


def with_stream(stream: str, change: Callable[[list[Event]], list[Event]]) -> Breaking:
    return lambda world: replace(world, streams={**world.streams, stream: change(list(world.streams.get(stream, ())))})


def without_event(name: str) -> Breaking:
    return lambda world: replace(
        world,
        streams={stream: [event for event in events if event.id != name] for stream, events in world.streams.items()},
    )


def dead(event: str, consumer: str, **told: Any) -> Row:
    return a_row(event, consumer, **{"state": "dead", "error": "KeyError", "reason": "a bug", "body": "{}", **told})


DISCARDED = with_row(a_row("r-0", "raise-alarm", state="discarded"))
DECIDED = with_stream(
    "operation/1",
    lambda _: [
        an_event(
            "o-1",
            "DeadLettersDiscarded",
            "operation/1",
            1,
            {"reason": "a test", "operator": "ada", "letters": [{"event": "r-0", "consumer": "raise-alarm"}]},
        )
    ],
)


def test_a_world_in_which_all_is_where_it_should_be_breaks_nothing() -> None:
    assert found(a_world(), *BOOKKEEPING) == []


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
def test_what_has_come_to_another_end_than_a_commit_breaks_nothing(otherwise: list[Breaking]) -> None:
    assert found(changed(*otherwise), *BOOKKEEPING) == []


@pytest.mark.parametrize(
    ("breaking", "invariant", "says"),
    [
        (without_event("e-1"), STORED_ONCE, "OrderPlaced checkout-1 was admitted, and is not in the store"),
        (without_row("e-1", "admit"), STORED_ONCE, "OrderPlaced checkout-1 was neither admitted nor refused"),
        (without_row("x", "admit"), STORED_ONCE, "OrderPlaced checkout-2 was neither admitted nor refused"),
        (
            with_row(dead("x", "admit", error="UnknownType", body='{"detail": {"metadata": {"id": "checkout-2"}}}')),
            STORED_ONCE,
            "OrderPlaced checkout-2 was refused as UnknownType",
        ),
        (
            with_row(admitted(an_event("e-9", "OrderPlaced", "order/1", 1, {}), "checkout-2")),
            STORED_ONCE,
            "OrderPlaced checkout-2 was admitted, and should have been refused",
        ),
        (
            with_row(admitted(an_event("e-9", "OrderPlaced", "order/1001", 1, {}), "checkout-1")),
            STORED_ONCE,
            "OrderPlaced checkout-1 was admitted 2 times",
        ),
        (
            with_stream("order/1001", lambda events: [replace(events[0], data={"order_id": "another"})]),
            STORED_ONCE,
            "OrderPlaced checkout-1 is in the store with other content than was sent",
        ),
        (
            with_stream("order/1001", lambda events: [*events, replace(events[0], sequence=2)]),
            STORED_ONCE,
            "event e-1 is in the store 2 times",
        ),
        (
            with_stream("order/1001", lambda events: [replace(events[0], id="e-9")]),
            STORED_ONCE,
            "event e-1 was admitted, and its place order/1001 #1 is another's",
        ),
        (without_event("r-1"), WHOLE, "device/MON-7 is not 1, 2, 3"),
        (
            with_stream("device/MON-7", lambda events: [events[0], replace(events[1], hash="changed"), events[2]]),
            WHOLE,
            "device/MON-7 #3 does not follow what stands before it",
        ),
        (
            with_stream("device/MON-7", lambda events: [*events[:2], replace(events[2], recorded_at="2026-02-01")]),
            WHOLE,
            "device/MON-7 #3 was recorded before its predecessor",
        ),
        (without_row("e-1", "reserve-stock"), ACCOUNTED, "reserve-stock has no account of OrderPlaced e-1"),
        (
            with_row(a_row("e-1", "reserve-stock", state="trying")),
            ACCOUNTED,
            "reserve-stock has no account of OrderPlaced e-1: the ledger says trying",
        ),
        (
            with_row(dead("r-2", "raise-alarm", reason="")),
            ACCOUNTED,
            "r-2 is dead at raise-alarm, and nothing says why",
        ),
        (
            with_row(dead("r-2", "raise-alarm", body="")),
            ACCOUNTED,
            "r-2 is dead at raise-alarm, and its message is gone",
        ),
        (DISCARDED, ACCOUNTED, "r-0 is discarded at raise-alarm, and nobody has said why"),
        (
            with_row(a_row("gone", "reserve-stock")),
            RECORDED_FIRST,
            "reserve-stock has handled gone, which is not in the store",
        ),
        (without_event("e-2"), RECORDED_FIRST, "reserve-stock has emitted e-2 for e-1, and it is not in the store"),
        (
            without_row("e-1", "reserve-stock"),
            RECORDED_FIRST,
            "StockReserved e-2 is in the store, and reserve-stock has not committed what caused it",
        ),
        (
            with_row(dead("r-0", "raise-alarm")),
            IN_ORDER,
            "raise-alarm has handled device/MON-7 #2, though #1 has come to no end",
        ),
        (
            without_row("r-1", "raise-alarm"),
            IN_ORDER,
            "raise-alarm has handled device/MON-7 #3, though #2 has come to no end",
        ),
    ],
)
def test_what_breaks_a_promise_is_found_and_told(breaking: Breaking, invariant: Invariant, says: str) -> None:
    several = found(changed(breaking), invariant)

    assert any(each.startswith(says) for each in several), several


def changed(*several: Breaking) -> World:
    world = a_world()
    for change in several:
        world = change(world)
    return world


def found(world: World, *invariants: Invariant) -> list[str]:
    # A copy, since what is found by its id is noted when a world is made.
    whole = replace(world)
    return [breach.what for invariant in invariants for breach in invariant.breaches(whole)]
