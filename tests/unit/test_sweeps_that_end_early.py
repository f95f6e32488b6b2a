"""A sweep dies wherever it dies, or forgets where it was: every timer fires exactly once, and nothing is lost."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from daybook.runtime.names import Names
from daybook.store.timers import SHARDS
from tests.unit import faults
from tests.unit.builders import an_order, recorded
from tests.unit.test_timers import PATIENT, armed_long_ago, arming, due_table, last_swept, sweeps, types, waiting
from tests.unit.world import World

OUTAGE = timedelta(minutes=7)
TWO_HOURS = timedelta(hours=2)
ONCE = ["OrderPlaced", "PaymentOverdue"]

CALLS = [
    pytest.param("Query", "watermark", id="reading where to begin"),
    pytest.param("Scan", "", id="searching where to begin"),
    pytest.param("Query", "#3", id="looking into a slot"),
    pytest.param("Query", "order/", id="looking at a stream's end"),
    pytest.param("TransactWriteItems", "", id="firing"),
    pytest.param("SendMessage", "", id="setting aside"),
    pytest.param("DeleteItem", "", id="taking away what was set aside"),
    pytest.param("PutItem", "watermark", id="writing how far it came"),
]


@pytest.fixture
def outage(world: World) -> World:
    """Orders whose timers came due while nobody swept, and just now; one of no order; one that is not due yet."""
    for order in ("1001", "1002", "1003"):
        world.append(recorded(an_order(order)))
    armed_long_ago(world, timedelta(minutes=6), order="1001")
    armed_long_ago(world, timedelta(minutes=6), order="nowhere")
    world.receive(arming(datetime.now(UTC), "1002"), an_order("10"))
    world.receive(arming(datetime.now(UTC) + TWO_HOURS, "1003"), an_order("11"))
    return world


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("operation", "about"), CALLS)
def test_after_a_sweep_that_dies_at_any_of_its_calls_the_next_completes_what_it_left(
    outage: World, operation: str, about: str, when: str
) -> None:
    if operation != "Scan":
        last_swept(outage, OUTAGE)

    deaths = 0
    for nth in count(1):  # each sweep dies one call later than the one before it, until one gets through
        faults.die(operation, when, nth=nth, about=about)
        try:
            sweeps()
        except faults.Death:
            deaths += 1
        else:
            break

    assert deaths > 0
    assert types(outage, "1001") == types(outage, "1002") == ONCE
    assert types(outage, "1003") == ["OrderPlaced"]
    assert [item["stream"] for item in waiting(outage)] == ["order/1003"]
    # What is set aside may be so twice: the ledger has one row for both.
    assert len({letter.attributes["event_id"] for letter in outage.dead_letters()}) == 1


# Guards: the search, where once stood a fixed hour.
def test_without_a_watermark_even_the_oldest_timer_fires(outage: World) -> None:
    armed_long_ago(outage, timedelta(minutes=70), order="1003")
    sweeps()

    assert types(outage, "1003") == ONCE
    reached = due_table(outage).watermark()
    assert reached
    assert not reached.after
    assert datetime.now(UTC) - reached.minute < OUTAGE


def test_a_table_too_large_to_be_searched_by_one_sweep_is_searched_by_several(world: World) -> None:
    world.append(recorded(an_order()))
    for number in range(8):
        store_something_large(world, f"{datetime.now(UTC) + TWO_HOURS:%Y-%m-%dT%H:%M}#{number}")
    armed_long_ago(world, *[timedelta(minutes=30)] * SHARDS)

    sweeps(seconds=5)
    reached = due_table(world).watermark()
    assert reached
    assert reached.after
    assert types(world) == ["OrderPlaced"]
    for _ in range(10):
        sweeps(seconds=5)
    sweeps(seconds=PATIENT)

    assert types(world) == ["OrderPlaced", *["PaymentOverdue"] * SHARDS]


# Guards: the margin, by which a search begins.
def test_a_timer_that_is_armed_while_the_table_is_searched_is_not_overlooked(world: World) -> None:
    world.append(recorded(an_order()))
    longer = timedelta(minutes=3)  # than a unit of work lasts
    faults.meanwhile("PutItem", lambda: armed_long_ago(world, longer))

    sweeps()
    sweeps()

    assert types(world) == ONCE


def test_a_search_passes_over_what_is_no_slot(world: World) -> None:
    for slot in ("nonsense", "2026-99-99T00:00#1", ""):
        store_something_large(world, slot or " ")

    sweeps()

    reached = due_table(world).watermark()
    assert reached
    assert datetime.now(UTC) - reached.minute < OUTAGE


def store_something_large(world: World, slot: str) -> None:
    """A row of 300 KB: a page of a scan holds 1 MB."""
    item = {"slot": {"S": slot}, "due": {"S": f"{slot}#later"}, "data": {"S": "x" * 300_000}}
    world.client.put_item(TableName=Names("test").due, Item=item)
