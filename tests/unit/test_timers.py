"""Timers are scheduled in the transaction of their unit of work. Each fires once, at its time or soon after."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest

from daybook.backbone import fire_timers
from daybook.backbone.fire_timers import TimersNotFired
from daybook.consumers.work import NotDeclared, TimerMismatch, Work
from daybook.contracts import clock
from daybook.contracts.contract import ContractError, Event, Place
from daybook.runtime.names import Names
from daybook.store.attributes import pack_item
from daybook.store.event_store import Draft
from daybook.store.timers import SHARDS, DueTable, Timer, Watermark, from_item, minute
from daybook.testing.keys import writer
from daybook.testing.world import Context, World, errors
from tests.application.builders import Message, a_loan, from_the_bus, recorded
from tests.unit import faults
from tests.unit.bodies import fails_with, running
from tests.unit.contracts import BookReturned, LoanOverdue, Tally
from tests.unit.test_delivery_attempts import later

NO_LIMIT = 3600  # seconds
APPENDING = '"bucket"'  # only items of the store have this attribute


def now() -> datetime:
    return datetime.now(UTC)


def due_table(world: World) -> DueTable:
    return DueTable(world.client, Names("test").due)


def scheduling(at: datetime, *loans: str) -> Any:
    def body(work: Work) -> None:
        for number in loans or ("1001",):
            work.schedule(LoanOverdue(loan_id=number), at)

    return running(body, LoanOverdue)


def fire_due_timers(seconds: float = NO_LIMIT) -> None:
    fire_timers.handler({}, Context(seconds=seconds, less=0.01))


def types(world: World, number: str = "1001") -> list[str]:
    return [event.metadata.type for event in world.stream(f"loan/{number}")]


def waiting(world: World) -> list[dict[str, Any]]:
    return [item for item in world.items("due") if item["slot"] != "watermark"]


def set_last_run(world: World, ago: timedelta) -> None:
    """Make fire-timers have run last at this time."""
    due_table(world).set_watermark(Watermark(minute(now() - ago)))


def schedule_overdue(world: World, *agos: timedelta, number: str = "1001") -> None:
    """Timers that were due at these times and were not fired."""
    for ago in agos:
        before = waiting(world)
        world.receive(scheduling(now(), number), a_loan("9"))
        (put,) = [item for item in waiting(world) if item not in before]
        key = {"slot": {"S": put["slot"]}, "due": {"S": put["due"]}}
        world.client.delete_item(TableName=Names("test").due, Key=key)

        timer = from_item(pack_item(put))
        draft = replace(timer.draft, time=clock.timestamp(now() - ago))
        earlier = Timer.proven(draft, timer.place, writer(draft.producer))
        world.client.transact_write_items(TransactItems=[due_table(world).schedule(earlier)])  # type: ignore[list-item]


def schedule_in_all_slots(world: World, at: datetime) -> None:
    """One timer in each slot of the minute, which no run has reached yet."""
    due_table(world).set_watermark(Watermark(minute(at)))
    slots = set[str]()
    for number in count():
        draft = Draft(
            id=f"timer-{number}",
            type="LoanOverdue",
            version=1,
            stream="loan/1001",
            time=clock.timestamp(at),
            data='{"loan_id": "1001"}',
            producer="try-it",
            source="library",
        )
        timer = Timer.proven(draft, Place.CONTINUES, writer("try-it"))
        if timer.key["slot"] not in slots:
            slots.add(timer.key["slot"])
            world.client.transact_write_items(TransactItems=[due_table(world).schedule(timer)])  # type: ignore[list-item]
        if len(slots) == SHARDS:
            return


@pytest.fixture
def loan(world: World) -> World:
    """The world with a requested loan."""
    world.append(recorded(a_loan()))
    return world


def test_a_timer_is_scheduled_in_the_unit_of_work_without_another_call(loan: World) -> None:
    calls = faults.calls()
    loan.receive(scheduling(now() + timedelta(minutes=30)), a_loan())

    assert calls == ["BatchGetItem", "TransactWriteItems"]
    assert [item["type"] for item in waiting(loan)] == ["LoanOverdue"]


def test_a_unit_of_work_that_fails_schedules_no_timer(loan: World) -> None:
    def body(work: Work) -> None:
        work.schedule(LoanOverdue(loan_id="1001"), now())
        work.save(Tally(name="a"))

    loan.put(Tally(name="a"))
    loan.deliver(running(body, LoanOverdue), Message(from_the_bus(recorded())), context=Context(seconds=4))

    assert waiting(loan) == []


# Guards: the timer's row is part of the unit of work's only transaction.
@pytest.mark.parametrize(("when", "scheduled"), [("before", 0), ("after", 1)])
def test_a_process_that_dies_at_its_commit_schedules_the_timer_only_if_the_commit_succeeded(
    loan: World, when: str, scheduled: int
) -> None:
    message, handler = Message(from_the_bus(recorded())), scheduling(now())
    faults.die("TransactWriteItems", when)
    with pytest.raises(faults.Death):
        loan.deliver(handler, message)
    assert len(waiting(loan)) == scheduled

    assert loan.deliver(handler, later(message)) == []
    assert len(waiting(loan)) == 1


def test_only_declared_timer_events_can_be_scheduled(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails_with(world, capsys, running(lambda work: work.schedule(LoanOverdue(loan_id="1"), now())), NotDeclared)
    not_a_timer = running(lambda work: work.schedule(BookReturned(loan_id="1"), now()), BookReturned)
    assert fails_with(world, capsys, not_a_timer, TimerMismatch)
    emitted = running(lambda work: work.emit(LoanOverdue(loan_id="1")), LoanOverdue)
    assert fails_with(world, capsys, emitted, TimerMismatch)


def test_an_external_source_cannot_send_the_event_of_a_timer() -> None:
    with pytest.raises(ContractError, match="external sources cannot send it"):
        type("X", (Event,), {"__annotations__": {"k": str}}, opens="x/{k}", timer=True, sources=("shop",))


def test_a_timer_does_not_fire_before_its_time(loan: World) -> None:
    loan.receive(scheduling(now() + timedelta(seconds=40)), a_loan())
    fire_due_timers()

    assert types(loan) == ["LoanRequested"]
    assert len(waiting(loan)) == 1


def test_a_timer_for_a_time_in_the_past_fires_at_once_and_once(loan: World) -> None:
    (cause,) = loan.receive(scheduling(now() - timedelta(days=3)), a_loan())
    fire_due_timers()
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]
    assert waiting(loan) == []
    m = loan.stream("loan/1001")[1].metadata
    assert (m.causation_id, m.correlation_id) == (cause.metadata.id, cause.metadata.correlation_id)
    assert m.producer == "try-it"


# Guards: each slot has a thread. One after the other, no firing would meet the others at the barrier.
def test_the_slots_of_a_minute_are_fired_in_parallel(loan: World) -> None:
    schedule_in_all_slots(loan, now() - timedelta(minutes=20))
    barrier = Barrier(SHARDS, timeout=60)
    faults.meanwhile("TransactWriteItems", *[barrier.wait] * SHARDS)
    fire_due_timers()

    assert not barrier.broken
    assert waiting(loan) == []
    assert types(loan) == ["LoanRequested", *["LoanOverdue"] * SHARDS]


# Guards: a run moves the watermark only after the threads of all slots have ended without an error.
def test_the_watermark_waits_for_a_slot_that_cannot_be_read_and_the_other_slots_are_fired(loan: World) -> None:
    schedule_in_all_slots(loan, now() - timedelta(minutes=20))
    unread = waiting(loan)[0]["slot"]
    faults.answer("Query", faults.DENIED, about=unread)
    with pytest.raises(Exception, match="AccessDenied"):
        fire_due_timers()
    assert [item["slot"] for item in waiting(loan)] == [unread]

    fire_due_timers()
    assert types(loan) == ["LoanRequested", *["LoanOverdue"] * SHARDS]


# Guards: fire-timers starts at the watermark.
def test_a_timer_that_was_due_during_an_outage_fires_late(loan: World) -> None:
    set_last_run(loan, timedelta(minutes=90))
    schedule_overdue(loan, timedelta(minutes=80))
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]


def test_the_watermark_stays_some_minutes_behind_the_present(loan: World) -> None:
    fire_due_timers()

    reached = due_table(loan).watermark()
    assert reached
    assert timedelta(minutes=4) < now() - reached.minute < timedelta(minutes=7)


def test_a_run_without_enough_time_fires_nothing_and_the_next_run_continues(loan: World) -> None:
    loan.receive(scheduling(now()), a_loan())
    fire_due_timers(seconds=3)
    assert types(loan) == ["LoanRequested"]

    fire_due_timers()
    assert types(loan) == ["LoanRequested", "LoanOverdue"]


def test_a_timer_fires_once_if_the_run_dies_after_the_transaction(loan: World) -> None:
    loan.receive(scheduling(now()), a_loan())
    set_last_run(loan, timedelta(minutes=10))
    faults.answer("PutItem", faults.DENIED)  # the watermark is not written
    with pytest.raises(Exception, match="AccessDenied"):
        fire_due_timers()
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]


# Guards: the condition on the row.
def test_two_concurrent_runs_fire_a_timer_once(loan: World) -> None:
    loan.receive(scheduling(now()), a_loan())
    faults.meanwhile("TransactWriteItems", fire_due_timers)
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]


# Guards: the condition of the append.
def test_a_timer_whose_sequence_is_taken_meanwhile_gets_the_next_sequence(loan: World) -> None:
    loan.receive(scheduling(now()), a_loan())
    (first,) = loan.stream("loan/1001")
    returned = recorded(BookReturned(loan_id="1001"), after=first)
    faults.meanwhile("TransactWriteItems", lambda: loan.append(returned))
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "BookReturned", "LoanOverdue"]


def test_a_timer_without_a_stream_becomes_a_dead_letter_and_the_others_fire(loan: World) -> None:
    loan.receive(scheduling(now(), "1001", "nowhere"), a_loan())
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]
    assert errors(loan.dead_letters()) == ["StreamNotOpen"]
    assert waiting(loan) == []


def test_a_timer_that_fails_is_retried_and_delays_no_other(loan: World) -> None:
    loan.append(recorded(a_loan("1002")))
    loan.receive(scheduling(now(), "1001", "1002"), a_loan())
    faults.answer("TransactWriteItems", faults.DENIED)
    with pytest.raises(TimersNotFired):
        fire_due_timers()
    assert len(waiting(loan)) == 1
    fire_due_timers()

    assert types(loan) == types(loan, "1002") == ["LoanRequested", "LoanOverdue"]


# Guards: a failed timer moves to a later slot, so the watermark does not wait for it.
def test_a_timer_that_keeps_failing_is_moved_so_that_the_watermark_advances(loan: World) -> None:
    set_last_run(loan, timedelta(minutes=30))
    schedule_overdue(loan, timedelta(minutes=20))
    faults.answer("TransactWriteItems", *[faults.DENIED] * 4, about=APPENDING)
    for _ in range(2):
        with pytest.raises(TimersNotFired):
            fire_due_timers()
        reached = due_table(loan).watermark()
        assert reached
        assert now() - reached.minute < timedelta(minutes=7)
        assert len(waiting(loan)) == 1
    with pytest.raises(TimersNotFired):
        fire_due_timers()
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]
    assert waiting(loan) == []


def test_the_watermark_waits_for_a_timer_that_can_neither_be_fired_nor_moved(loan: World) -> None:
    set_last_run(loan, timedelta(minutes=30))
    schedule_overdue(loan, timedelta(minutes=20))
    faults.answer("TransactWriteItems", faults.DENIED, faults.DENIED)
    with pytest.raises(TimersNotFired):
        fire_due_timers()
    reached = due_table(loan).watermark()
    assert reached
    assert now() - reached.minute > timedelta(minutes=19)
    fire_due_timers()

    assert types(loan) == ["LoanRequested", "LoanOverdue"]
