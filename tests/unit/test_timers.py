"""Timers: armed with the work or not at all; fired once, at their time or as soon as somebody sweeps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.backbone import fire_timers as sweep
from daybook.backbone.fire_timers import NotSwept
from daybook.consumers.work import NotATimersEvent, NotDeclared, Work
from daybook.contracts import clock
from daybook.contracts.contract import ContractError, Event
from daybook.runtime.names import Names
from daybook.store.attributes import pack_item
from daybook.store.timers import DueTable, Timer, Watermark, from_item, minute
from tests.unit import faults
from tests.unit.bodies import fails_with, running
from tests.unit.builders import Message, an_order, from_the_bus, recorded
from tests.unit.contracts import ParcelSent, PaymentOverdue, Tally
from tests.unit.test_tries import later
from tests.unit.world import Context, World, errors

PATIENT = 3600  # seconds
APPENDING = '"bucket"'  # what only an item of the store has


def now() -> datetime:
    return datetime.now(UTC)


def due_table(world: World) -> DueTable:
    return DueTable(world.client, Names("test").due)


def arming(at: datetime, *orders: str) -> Any:
    def body(work: Work) -> None:
        for order in orders or ("1001",):
            work.schedule(PaymentOverdue(order_id=order), at)

    return running(body, PaymentOverdue)


def sweeps(seconds: float = PATIENT) -> None:
    sweep.handler({}, Context(seconds=seconds, less=0.01))


def types(world: World, order: str = "1001") -> list[str]:
    return [event.metadata.type for event in world.stream(f"order/{order}")]


def waiting(world: World) -> list[dict[str, Any]]:
    return [item for item in world.items("due") if item["slot"] != "watermark"]


def last_swept(world: World, ago: timedelta) -> None:
    """Nobody has swept since then."""
    due_table(world).set_watermark(Watermark(minute(now() - ago)))


def armed_long_ago(world: World, *agos: timedelta, order: str = "1001") -> None:
    """Timers whose time came while nobody swept, so long ago."""
    for ago in agos:
        before = waiting(world)
        world.receive(arming(now(), order), an_order("9"))
        (put,) = [item for item in waiting(world) if item not in before]
        key = {"slot": {"S": put["slot"]}, "due": {"S": put["due"]}}
        world.client.delete_item(TableName=Names("test").due, Key=key)

        timer = from_item(pack_item(put))
        earlier = Timer(replace(timer.draft, time=clock.timestamp(now() - ago)), timer.place)
        world.client.transact_write_items(TransactItems=[due_table(world).schedule(earlier)])  # type: ignore[list-item]


@pytest.fixture
def order(world: World) -> World:
    """The world, with an order placed."""
    world.append(recorded(an_order()))
    return world


def test_a_timer_is_armed_in_the_unit_of_work_without_another_call(order: World) -> None:
    calls = faults.calls()
    order.receive(arming(now() + timedelta(minutes=30)), an_order())

    assert calls == ["TransactWriteItems"]
    assert [item["type"] for item in waiting(order)] == ["PaymentOverdue"]


def test_a_unit_of_work_that_fails_arms_nothing(order: World) -> None:
    def body(work: Work) -> None:
        work.schedule(PaymentOverdue(order_id="1001"), now())
        work.save(Tally(name="a"))

    order.put(Tally(name="a"))
    order.deliver(running(body, PaymentOverdue), Message(from_the_bus(recorded())), context=Context(seconds=4))

    assert waiting(order) == []


# Guards: the timer's row is a part of the unit of work's one transaction.
@pytest.mark.parametrize(("when", "armed"), [("before", 0), ("after", 1)])
def test_a_process_that_dies_at_its_commit_has_armed_with_its_work_or_not_at_all(
    order: World, when: str, armed: int
) -> None:
    message, handler = Message(from_the_bus(recorded())), arming(now())
    faults.die("TransactWriteItems", when)
    with pytest.raises(faults.Death):
        order.deliver(handler, message)
    assert len(waiting(order)) == armed

    assert order.deliver(handler, later(message)) == []
    assert len(waiting(order)) == 1


def test_only_declared_events_of_timers_are_armed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails_with(
        world, capsys, running(lambda work: work.schedule(PaymentOverdue(order_id="1"), now())), NotDeclared
    )
    parcel = running(lambda work: work.schedule(ParcelSent(order_id="1"), now()), ParcelSent)
    assert fails_with(world, capsys, parcel, NotATimersEvent)
    emitted = running(lambda work: work.emit(PaymentOverdue(order_id="1")), PaymentOverdue)
    assert fails_with(world, capsys, emitted, NotATimersEvent)


def test_a_timers_event_comes_from_nowhere_outside() -> None:
    with pytest.raises(ContractError, match="external sources cannot send it"):
        type("X", (Event,), {"__annotations__": {"k": str}}, opens="x/{k}", timer=True, sources=("shop",))


def test_a_timer_does_not_fire_before_its_time(order: World) -> None:
    order.receive(arming(now() + timedelta(seconds=40)), an_order())
    sweeps()

    assert types(order) == ["OrderPlaced"]
    assert len(waiting(order)) == 1


def test_a_timer_armed_for_the_past_fires_at_once_and_once(order: World) -> None:
    (cause,) = order.receive(arming(now() - timedelta(days=3)), an_order())
    sweeps()
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]
    assert waiting(order) == []
    m = order.stream("order/1001")[1].metadata
    assert (m.causation_id, m.correlation_id) == (cause.metadata.id, cause.metadata.correlation_id)
    assert m.producer == "try-it"


# Guards: the start at the watermark.
def test_a_timer_whose_time_came_during_an_outage_fires_late(order: World) -> None:
    last_swept(order, timedelta(minutes=90))
    armed_long_ago(order, timedelta(minutes=80))
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]


def test_the_watermark_stays_some_minutes_behind(order: World) -> None:
    sweeps()

    reached = due_table(order).watermark()
    assert reached
    assert timedelta(minutes=4) < now() - reached.minute < timedelta(minutes=7)


def test_a_sweep_without_time_moves_nothing_and_the_next_goes_on(order: World) -> None:
    order.receive(arming(now()), an_order())
    sweeps(seconds=3)
    assert types(order) == ["OrderPlaced"]

    sweeps()
    assert types(order) == ["OrderPlaced", "PaymentOverdue"]


def test_a_sweep_that_dies_after_the_transaction_fires_once(order: World) -> None:
    order.receive(arming(now()), an_order())
    last_swept(order, timedelta(minutes=10))
    faults.answer("PutItem", faults.DENIED)  # the watermark is never written
    with pytest.raises(Exception, match="AccessDenied"):
        sweeps()
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]


# Guards: the condition on the row.
def test_two_sweeps_at_once_fire_once(order: World) -> None:
    order.receive(arming(now()), an_order())
    faults.meanwhile("TransactWriteItems", sweeps)
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]


# Guards: the append's condition.
def test_a_timer_that_loses_the_race_for_its_place_takes_the_next(order: World) -> None:
    order.receive(arming(now()), an_order())
    (first,) = order.stream("order/1001")
    parcel = recorded(ParcelSent(order_id="1001"), after=first)
    faults.meanwhile("TransactWriteItems", lambda: order.append(parcel))
    sweeps()

    assert types(order) == ["OrderPlaced", "ParcelSent", "PaymentOverdue"]


def test_a_timer_without_a_stream_is_set_aside_and_the_others_fire(order: World) -> None:
    order.receive(arming(now(), "1001", "nowhere"), an_order())
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]
    assert errors(order.dead_letters()) == ["StreamNotOpen"]
    assert waiting(order) == []


def test_a_timer_that_fails_is_tried_again_and_holds_back_no_other(order: World) -> None:
    order.append(recorded(an_order("1002")))
    order.receive(arming(now(), "1001", "1002"), an_order())
    faults.answer("TransactWriteItems", faults.DENIED)
    with pytest.raises(NotSwept):
        sweeps()
    assert len(waiting(order)) == 1
    sweeps()

    assert types(order) == types(order, "1002") == ["OrderPlaced", "PaymentOverdue"]


# Guards: the row is brought along, and the watermark does not wait for it.
def test_a_timer_that_keeps_failing_is_brought_along_so_that_sweeps_come_as_far_as_the_present(order: World) -> None:
    last_swept(order, timedelta(minutes=30))
    armed_long_ago(order, timedelta(minutes=20))
    faults.answer("TransactWriteItems", *[faults.DENIED] * 4, about=APPENDING)
    for _ in range(2):
        with pytest.raises(NotSwept):
            sweeps()
        reached = due_table(order).watermark()
        assert reached
        assert now() - reached.minute < timedelta(minutes=7)
        assert len(waiting(order)) == 1
    with pytest.raises(NotSwept):
        sweeps()
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]
    assert waiting(order) == []


def test_the_watermark_waits_for_a_timer_that_can_neither_be_fired_nor_brought_along(order: World) -> None:
    last_swept(order, timedelta(minutes=30))
    armed_long_ago(order, timedelta(minutes=20))
    faults.answer("TransactWriteItems", faults.DENIED, faults.DENIED)
    with pytest.raises(NotSwept):
        sweeps()
    reached = due_table(order).watermark()
    assert reached
    assert now() - reached.minute > timedelta(minutes=19)
    sweeps()

    assert types(order) == ["OrderPlaced", "PaymentOverdue"]
