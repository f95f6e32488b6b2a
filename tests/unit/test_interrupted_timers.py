"""fire-timers ends early or loses its watermark: every timer fires exactly once, and none is lost."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from daybook.runtime.names import Names
from daybook.store.timers import SHARDS
from daybook.testing.world import World
from tests.application.builders import a_loan, recorded
from tests.unit import faults
from tests.unit.test_timers import (
    NO_LIMIT,
    due_table,
    fire_due_timers,
    schedule_overdue,
    scheduling,
    set_last_run,
    types,
    waiting,
)

OUTAGE = timedelta(minutes=7)
TWO_HOURS = timedelta(hours=2)
ONCE = ["LoanRequested", "LoanOverdue"]

CALLS = [
    pytest.param("Query", "watermark", id="reading the watermark"),
    pytest.param("Scan", "", id="searching for the first timer"),
    pytest.param("Query", "#3", id="reading a slot"),
    pytest.param("Query", "loan/", id="reading the head of a stream"),
    pytest.param("TransactWriteItems", "", id="firing"),
    pytest.param("SendMessage", "", id="sending a dead letter"),
    pytest.param("DeleteItem", "", id="deleting the timer of a dead letter"),
    pytest.param("PutItem", "watermark", id="writing the watermark"),
]


@pytest.fixture
def outage(world: World) -> World:
    """Loans with timers that were due in an outage or are due now; a timer without a loan; and a later one."""
    for number in ("1001", "1002", "1003"):
        world.append(recorded(a_loan(number)))
    schedule_overdue(world, timedelta(minutes=6), number="1001")
    schedule_overdue(world, timedelta(minutes=6), number="nowhere")
    world.receive(scheduling(datetime.now(UTC), "1002"), a_loan("10"))
    world.receive(scheduling(datetime.now(UTC) + TWO_HOURS, "1003"), a_loan("11"))
    return world


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("operation", "about"), CALLS)
def test_after_a_run_that_dies_at_any_call_the_next_run_completes_its_work(
    outage: World, operation: str, about: str, when: str
) -> None:
    if operation != "Scan":
        set_last_run(outage, OUTAGE)

    deaths = 0
    for nth in count(1):  # each run dies one call later than the run before, until one completes
        faults.die(operation, when, nth=nth, about=about)
        try:
            fire_due_timers()
        except faults.Death:
            deaths += 1
        else:
            break

    assert deaths > 0
    assert types(outage, "1001") == types(outage, "1002") == ONCE
    assert types(outage, "1003") == ["LoanRequested"]
    assert [item["stream"] for item in waiting(outage)] == ["loan/1003"]
    # A timer may be sent to the dead letters twice: the ledger has one row for both.
    assert len({dead_letter.attributes["event_id"] for dead_letter in outage.dead_letters()}) == 1


# Guards: the search for the first timer, not for a fixed time.
def test_without_a_watermark_even_the_oldest_timer_fires(outage: World) -> None:
    schedule_overdue(outage, timedelta(minutes=70), number="1003")
    fire_due_timers()

    assert types(outage, "1003") == ONCE
    reached = due_table(outage).watermark()
    assert reached
    assert not reached.after
    assert datetime.now(UTC) - reached.minute < OUTAGE


def test_a_table_that_is_too_large_for_one_run_is_searched_by_several_runs(world: World) -> None:
    world.append(recorded(a_loan()))
    for number in range(8):
        store_large_row(world, f"{datetime.now(UTC) + TWO_HOURS:%Y-%m-%dT%H:%M}#{number}")
    schedule_overdue(world, *[timedelta(minutes=30)] * SHARDS)

    fire_due_timers(seconds=5)
    reached = due_table(world).watermark()
    assert reached
    assert reached.after
    assert types(world) == ["LoanRequested"]
    for _ in range(10):
        fire_due_timers(seconds=5)
    fire_due_timers(seconds=NO_LIMIT)

    assert types(world) == ["LoanRequested", *["LoanOverdue"] * SHARDS]


# Guards: the search begins some time before the present.
def test_a_timer_that_is_scheduled_during_the_search_is_found(world: World) -> None:
    world.append(recorded(a_loan()))
    longer = timedelta(minutes=3)  # longer than a unit of work lasts
    faults.meanwhile("PutItem", lambda: schedule_overdue(world, longer))

    fire_due_timers()
    fire_due_timers()

    assert types(world) == ONCE


def test_a_search_skips_keys_that_are_not_slots(world: World) -> None:
    for slot in ("nonsense", "2026-99-99T00:00#1", ""):
        store_large_row(world, slot or " ")

    fire_due_timers()

    reached = due_table(world).watermark()
    assert reached
    assert datetime.now(UTC) - reached.minute < OUTAGE


def store_large_row(world: World, slot: str) -> None:
    """Store a row of 300 KB: a page of a scan has 1 MB."""
    item = {"slot": {"S": slot}, "due": {"S": f"{slot}#later"}, "data": {"S": "x" * 300_000}}
    world.client.put_item(TableName=Names("test").due, Item=item)
