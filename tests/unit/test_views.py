"""A view's rows are the same in whatever order, and however often, their events arrive."""

import random
from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybook.consumers.view import Add, Change, SetIfNewer, View, _stamp, view
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from events.inventory import StockReceived
from functions.orders.order_status import (
    OrderStatus,
    order_status_out_of_stock,
    order_status_placed,
    order_status_reserved,
)
from tests.unit import faults
from tests.unit.builders import a_reservation, a_shortage, an_order, from_the_bus, goods, recorded
from tests.unit.contracts import Tally
from tests.unit.world import Handler, World

STATUS: dict[type[Event], Handler] = {
    type(an_order()): order_status_placed,
    type(a_reservation()): order_status_reserved,
    type(a_shortage()): order_status_out_of_stock,
}
ORDER_EVENTS: list[Event] = [an_order(lines=[("mug", 2)]), a_shortage(), a_reservation()]


class Written:
    """A view that does for each event what the test has planned for it."""

    def __init__(self) -> None:
        self._plans: dict[int, list[Change]] = {}

    def event(self, *changes: Change) -> Envelope:
        """A new event that makes these changes."""
        number = len(self._plans) + 1
        self._plans[number] = list(changes)
        return recorded(goods(quantity=number), id=f"event-{number}")

    @property
    def handler(self) -> View[StockReceived]:
        return view(StockReceived)(self._body)

    def _body(self, stock: StockReceived) -> list[Change]:
        return self._plans[stock.quantity]


def setting(order: int | str, **fields: object) -> SetIfNewer:
    return SetIfNewer(Tally, "a", order=order, fields=fields)


def adding(**differences: int) -> Add:
    return Add(Tally, "a", differences)


def rows_after(world: World, handler: Handler, events: Iterable[Envelope]) -> list[dict[str, object]]:
    """What stands in the view after these deliveries, one by one, bookkeeping and all; then all is cleared away."""
    for event in events:
        assert world.deliver(handler, from_the_bus(event)) == []
    rows = world.items("tallies")
    world.clear("tallies", "ledger")
    return rows


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("happened", [(0,), (0, 1), (0, 2), (0, 1, 2)], ids=str)
def test_the_status_of_an_order_does_not_depend_on_the_order_of_its_events(
    world: World, happened: tuple[int, ...], order: tuple[int, ...]
) -> None:
    envelopes = [recorded(event, id=f"e{number}") for number, event in enumerate(ORDER_EVENTS)]
    deliveries = [(STATUS[type(ORDER_EVENTS[n])], from_the_bus(envelopes[n])) for n in order if n in happened]
    for handler, body in [*deliveries, *deliveries]:
        assert world.deliver(handler, body) == []

    expected = {0: "placed", 1: "out of stock", 2: "reserved"}[max(happened)]
    missing = ("mug",) if 1 in happened else ()
    assert world.row(OrderStatus, "1001") == OrderStatus(
        order_id="1001", status=expected, total=2500, currency="EUR", missing=missing
    )


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_fields_are_set_one_by_one_by_the_newest_event_that_sets_them(world: World, order: tuple[int, ...]) -> None:
    plan = Written()
    events = [
        plan.event(setting(1, left="1", middle="1", right="1"), adding(total=1)),
        plan.event(setting(2, left="2"), adding(total=10)),
        plan.event(setting(3, right="3"), adding(total=100, number=1)),
        plan.event(setting(2, middle="4", right="4")),
    ]
    for number in order:
        world.deliver(plan.handler, from_the_bus(events[number]), from_the_bus(events[number]))

    assert world.row(Tally, "a") == Tally(name="a", left="2", middle="4", right="3", total=111, number=1)


fields = st.dictionaries(
    st.sampled_from(["left", "middle", "right"]), st.text("xyz", min_size=1, max_size=1), max_size=3
)
plans = st.lists(st.tuples(st.integers(0, 3), fields, st.integers(-5, 5)), min_size=2, max_size=4)


@given(plans, st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_repetition_of_any_events_gives_the_same_rows(
    world: World, planned: list[tuple[int, dict[str, str], int]], chance: random.Random
) -> None:
    plan = Written()
    events = [plan.event(setting(order, **values), adding(total=n)) for order, values, n in planned]
    shuffled = [*events, chance.choice(events)]
    chance.shuffle(shuffled)

    assert rows_after(world, plan.handler, events) == rows_after(world, plan.handler, shuffled)


def test_each_event_is_added_once_however_often_it_comes(world: World) -> None:
    plan = Written()
    event = plan.event(adding(total=5, number=1), adding(total=2))

    assert rows_after(world, plan.handler, [event] * 3) == [{"id": "a", "total": 7, "number": 1}]


def test_an_older_event_still_adds_what_it_has_to_add(world: World) -> None:
    plan = Written()
    newer, older = (
        plan.event(setting(2, left="new"), adding(total=1)),
        plan.event(setting(1, left="old"), adding(total=1)),
    )
    world.deliver(plan.handler, from_the_bus(newer), from_the_bus(older))

    assert world.row(Tally, "a") == Tally(name="a", left="new", total=2)


def test_an_event_that_is_older_throughout_is_done_and_changes_nothing(world: World) -> None:
    plan = Written()
    newer, older = plan.event(setting(2, left="new")), plan.event(setting(1, left="old"))
    world.deliver(plan.handler, from_the_bus(newer))
    before = world.items("tallies")

    assert world.deliver(plan.handler, from_the_bus(older)) == []

    assert world.items("tallies") == before
    assert len(world.entries(older)) == 1


def test_an_event_may_change_several_rows_of_which_some_are_newer(world: World) -> None:
    def both(order: int, text: str) -> list[Change]:
        return [SetIfNewer(Tally, key, order=order, fields={"left": text}) for key in ("a", "b", "c")]

    plan = Written()
    middle = plan.event(SetIfNewer(Tally, "b", order=2, fields={"left": "middle"}))
    older, newer = plan.event(*both(1, "old")), plan.event(*both(3, "new"))
    world.deliver(plan.handler, *map(from_the_bus, (middle, older)))
    assert [item["left"] for item in world.items("tallies")] == ["old", "middle", "old"]

    world.deliver(plan.handler, from_the_bus(newer))
    assert [item["left"] for item in world.items("tallies")] == ["new", "new", "new"]


@pytest.mark.parametrize("turned", [False, True], ids=["newest last", "newest first"])
def test_of_two_readings_in_one_event_the_newer_is_kept(world: World, turned: bool) -> None:
    readings = [setting(1, left="older"), setting(2, left="newer")]
    plan = Written()
    world.deliver(plan.handler, from_the_bus(plan.event(*(reversed(readings) if turned else readings))))

    assert world.row(Tally, "a") == Tally(name="a", left="newer")


def test_a_view_that_an_event_does_not_touch_notes_that_it_was_done(world: World) -> None:
    plan = Written()
    event = plan.event()

    assert rows_after(world, plan.handler, [event]) == []


# Guards: the condition on the place in the order of what stands there.
def test_a_newer_event_that_comes_in_between_wins(world: World) -> None:
    plan = Written()
    newer, older = plan.event(setting(2, left="new")), plan.event(setting(1, left="old", right="old"))
    faults.meanwhile("TransactWriteItems", lambda: world.deliver(plan.handler, from_the_bus(newer)))

    assert world.deliver(plan.handler, from_the_bus(older)) == []

    assert world.row(Tally, "a") == Tally(name="a", left="new", right="old")


@given(st.integers(0, 10**20 - 1), st.integers(0, 10**20 - 1))
def test_numbers_are_placed_as_numbers(one: int, other: int) -> None:
    assert (_stamp(one, "") < _stamp(other, "")) == (one < other)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_numbers_below_zero_are_placed_as_numbers_or_refused(one: int, other: int) -> None:
    try:
        placed = _stamp(one, "") < _stamp(other, "")
    except ValueError:
        return
    assert placed == (one < other)


@pytest.mark.parametrize("field", ["left", "right"])
def test_equals_are_decided_by_the_event_and_not_by_arrival(world: World, field: str) -> None:
    plan = Written()
    events = [plan.event(setting(1, **{field: text})) for text in ("one", "other")]

    assert rows_after(world, plan.handler, events) == rows_after(world, plan.handler, reversed(events))
