"""The rows of a view are the same for any order of events and any number of duplicates."""

import random
from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybook.consumers.view import Add, Change, SetIfNewer, View, _stamp, view
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.store.attributes import pack_item
from daybook.store.ledger import COMMITTED, DISCARDED
from daybook.testing.keys import proven
from daybook.testing.world import NAMES, Handler, World
from tests.application.builders import (
    Message,
    a_loan,
    a_reservation,
    a_shortage,
    from_the_bus,
    received_books,
    recorded,
)
from tests.application.contracts.books import BooksReceived
from tests.application.services.loans.loan_status import (
    LoanStatus,
    loan_status_requested,
    loan_status_reserved,
    loan_status_unavailable,
)
from tests.unit import faults
from tests.unit.contracts import Tally
from tests.unit.test_delivery_attempts import later

STATUS: dict[type[Event], Handler] = {
    type(a_loan()): loan_status_requested,
    type(a_reservation()): loan_status_reserved,
    type(a_shortage()): loan_status_unavailable,
}
ORDER_EVENTS: list[Event] = [a_loan(books=[("emma", 2)]), a_shortage(), a_reservation()]


class Written:
    """A view that makes the changes that a test has planned for each event."""

    def __init__(self) -> None:
        self._plans: dict[int, list[Change]] = {}

    def event(self, *changes: Change) -> Envelope:
        """A new event that makes these changes."""
        number = len(self._plans) + 1
        self._plans[number] = list(changes)
        return recorded(received_books(copies=number), id=f"event-{number}")

    @property
    def handler(self) -> View[BooksReceived]:
        return view(BooksReceived)(self._body)

    def _body(self, stock: BooksReceived) -> list[Change]:
        return self._plans[stock.copies]


def setting(order: int | str, **fields: object) -> SetIfNewer:
    return SetIfNewer(Tally, "a", order=order, fields=fields)


def adding(**differences: int) -> Add:
    return Add(Tally, "a", differences)


def rows_after(world: World, handler: Handler, events: Iterable[Envelope]) -> list[dict[str, object]]:
    """The rows of the view after these deliveries, with all stored attributes. Then the tables are cleared."""
    for event in events:
        assert world.deliver(handler, from_the_bus(event)) == []
    rows = world.items("tallies")
    world.clear("tallies", "ledger")
    return rows


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("happened", [(0,), (0, 1), (0, 2), (0, 1, 2)], ids=str)
def test_the_status_of_a_loan_does_not_depend_on_the_order_of_its_events(
    world: World, happened: tuple[int, ...], order: tuple[int, ...]
) -> None:
    envelopes = [recorded(event, id=f"e{number}") for number, event in enumerate(ORDER_EVENTS)]
    deliveries = [(STATUS[type(ORDER_EVENTS[n])], from_the_bus(envelopes[n])) for n in order if n in happened]
    for handler, body in [*deliveries, *deliveries]:
        assert world.deliver(handler, body) == []

    expected = {0: "requested", 1: "unavailable", 2: "reserved"}[max(happened)]
    missing = ("emma",) if 1 in happened else ()
    assert world.row(LoanStatus, "1001") == LoanStatus(loan_id="1001", status=expected, books=2, missing=missing)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_each_field_has_the_value_of_the_newest_event_that_sets_it(world: World, order: tuple[int, ...]) -> None:
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
def test_any_order_and_any_duplicates_of_events_give_the_same_rows(
    world: World, planned: list[tuple[int, dict[str, str], int]], chance: random.Random
) -> None:
    plan = Written()
    events = [plan.event(setting(order, **values), adding(total=n)) for order, values, n in planned]
    shuffled = [*events, chance.choice(events)]
    chance.shuffle(shuffled)

    assert rows_after(world, plan.handler, events) == rows_after(world, plan.handler, shuffled)


def test_each_event_is_added_once(world: World) -> None:
    plan = Written()
    event = plan.event(adding(total=5, number=1), adding(total=2))

    assert rows_after(world, plan.handler, [event] * 3) == [{"id": "a", "total": 7, "number": 1}]


def test_an_older_event_still_adds_its_amount(world: World) -> None:
    plan = Written()
    newer, older = (
        plan.event(setting(2, left="new"), adding(total=1)),
        plan.event(setting(1, left="old"), adding(total=1)),
    )
    world.deliver(plan.handler, from_the_bus(newer), from_the_bus(older))

    assert world.row(Tally, "a") == Tally(name="a", left="new", total=2)


def test_an_event_that_is_older_in_all_fields_is_committed_and_changes_nothing(world: World) -> None:
    plan = Written()
    newer, older = plan.event(setting(2, left="new")), plan.event(setting(1, left="old"))
    world.deliver(plan.handler, from_the_bus(newer))
    before = world.items("tallies")

    assert world.deliver(plan.handler, from_the_bus(older)) == []

    assert world.items("tallies") == before
    assert len(world.entries(older)) == 1


def test_an_event_may_change_several_rows_and_be_newer_in_some_of_them(world: World) -> None:
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
def test_of_two_values_in_one_event_the_newer_one_is_kept(world: World, turned: bool) -> None:
    readings = [setting(1, left="older"), setting(2, left="newer")]
    plan = Written()
    world.deliver(plan.handler, from_the_bus(plan.event(*(reversed(readings) if turned else readings))))

    assert world.row(Tally, "a") == Tally(name="a", left="newer")


def test_an_event_that_changes_no_row_is_committed(world: World) -> None:
    plan = Written()
    event = plan.event()

    assert rows_after(world, plan.handler, [event]) == []


# Guards: the condition on the order value of the stored row.
def test_a_newer_event_that_is_committed_meanwhile_wins(world: World) -> None:
    plan = Written()
    newer, older = plan.event(setting(2, left="new")), plan.event(setting(1, left="old", right="old"))
    faults.meanwhile("UpdateItem", lambda: world.deliver(plan.handler, from_the_bus(newer)))

    assert world.deliver(plan.handler, from_the_bus(older)) == []

    assert world.row(Tally, "a") == Tally(name="a", left="new", right="old")


def test_a_newer_event_that_is_added_to_the_same_row_meanwhile_wins(world: World) -> None:
    plan = Written()
    newer = plan.event(setting(2, left="new"), adding(total=1))
    older = plan.event(setting(1, left="old", right="old"), adding(total=10))
    faults.meanwhile("TransactWriteItems", lambda: world.deliver(plan.handler, from_the_bus(newer)))

    assert world.deliver(plan.handler, from_the_bus(older)) == []

    assert world.row(Tally, "a") == Tally(name="a", left="new", right="old", total=11)


# --- one row that only takes newer values: without a transaction ------------------------------------------------------


def test_one_row_that_only_takes_newer_values_is_written_without_a_transaction(world: World) -> None:
    plan = Written()
    calls = faults.calls()

    world.deliver(plan.handler, from_the_bus(plan.event(setting(1, left="1", right="1"))))

    # the event, the generations, the status, the row, and the ledger's row
    assert calls == ["BatchGetItem", "BatchGetItem", "GetItem", "UpdateItem", "UpdateItem"]


@pytest.mark.parametrize(
    "changes",
    [
        [adding(total=1)],
        [setting(1, left="1"), adding(total=1)],
        [SetIfNewer(Tally, key, order=1, fields={"left": "1"}) for key in "ab"],
    ],
    ids=["adds", "sets and adds", "two rows"],
)
def test_all_other_changes_are_one_transaction(world: World, changes: list[Change]) -> None:
    plan = Written()
    calls = faults.calls()

    world.deliver(plan.handler, from_the_bus(plan.event(*changes)))

    assert calls == ["BatchGetItem", "BatchGetItem", "TransactWriteItems"]


# Guards: the order of the two writes, in Projection.write.
@pytest.mark.parametrize(("write", "when"), [(1, "before"), (1, "after"), (2, "before"), (2, "after")])
def test_a_redelivery_completes_what_a_process_that_died_has_begun(world: World, write: int, when: str) -> None:
    plan = Written()
    event = plan.event(setting(1, left="1"))
    message = Message(from_the_bus(event))
    faults.die("UpdateItem", when, nth=write)
    with pytest.raises(faults.Death):
        world.deliver(plan.handler, message)
    row = Tally(name="a", left="1")
    assert (world.row(Tally, "a"), len(world.entries(event))) == (
        None if (write, when) == (1, "before") else row,
        (write, when) == (2, "after"),
    )

    assert world.deliver(plan.handler, later(message)) == []

    assert world.row(Tally, "a") == row
    assert [entry.state for entry in world.entries(event)] == [COMMITTED]


def test_a_value_that_is_newer_than_what_a_process_that_died_has_written_is_kept(world: World) -> None:
    plan = Written()
    older, newer = plan.event(setting(1, left="old", right="old")), plan.event(setting(2, left="new"))
    message = Message(from_the_bus(older))
    faults.die("UpdateItem", "after")
    with pytest.raises(faults.Death):
        world.deliver(plan.handler, message)
    world.deliver(plan.handler, from_the_bus(newer))

    assert world.deliver(plan.handler, later(message)) == []

    assert world.row(Tally, "a") == Tally(name="a", left="new", right="old")
    assert [entry.state for event in (older, newer) for entry in world.entries(event)] == [COMMITTED] * 2


# botocore repeats a call whose answer was lost. Without a transaction it has no token.
@pytest.mark.parametrize("changes", [[setting(1, left="1")], []], ids=["a row and the status", "only the status"])
def test_a_write_that_botocore_repeats_changes_nothing_more(world: World, changes: list[Change]) -> None:
    plan = Written()
    event = plan.event(*changes)
    world.deliver(plan.handler, from_the_bus(plan.event()))
    faults.send_again("UpdateItem")

    assert world.deliver(plan.handler, from_the_bus(event)) == []

    assert world.row(Tally, "a") == (Tally(name="a", left="1") if changes else None)
    assert [entry.state for entry in world.entries(event)] == [COMMITTED]
    assert world.dead_letters() == []


# Guards: the read of the ledger before the row is written.
@pytest.mark.parametrize("tries", [1, 2])
def test_a_discarded_event_changes_no_row(world: World, tries: int) -> None:
    plan = Written()
    event, m = (made := plan.event(setting(1, left="1"))), made.metadata
    name = plan.handler.name
    row: dict[str, object] = {"key": f"{name}#{m.id}", "state": DISCARDED, "at": m.recorded_at}
    world.client.put_item(TableName=NAMES.ledger, Item=pack_item(proven(row)))

    assert world.deliver(plan.handler, Message(from_the_bus(event), tries=tries)) == []

    assert world.items("tallies") == []
    assert [entry.state for entry in world.entries(event)] == [DISCARDED]


@pytest.mark.parametrize("about", ["tallies", "ledger"])
def test_a_write_without_a_transaction_waits_for_the_transaction_of_another(world: World, about: str) -> None:
    plan = Written()
    event = plan.event(setting(1, left="1"))
    conflict = faults.error("TransactionConflictException")
    faults.answer("UpdateItem", conflict, conflict, about=NAMES.of(about))

    assert world.deliver(plan.handler, from_the_bus(event)) == []

    assert world.row(Tally, "a") == Tally(name="a", left="1")
    assert [(entry.state, list(entry.failed_attempts)) for entry in world.entries(event)] == [(COMMITTED, [])]


@given(st.integers(0, 10**20 - 1), st.integers(0, 10**20 - 1))
def test_numbers_are_compared_as_numbers(one: int, other: int) -> None:
    assert (_stamp(one, "") < _stamp(other, "")) == (one < other)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_negative_numbers_are_compared_as_numbers_or_are_an_error(one: int, other: int) -> None:
    try:
        placed = _stamp(one, "") < _stamp(other, "")
    except ValueError:
        return
    assert placed == (one < other)


@pytest.mark.parametrize("field", ["left", "right"])
def test_equal_order_values_are_decided_by_the_event_and_not_by_arrival(world: World, field: str) -> None:
    plan = Written()
    events = [plan.event(setting(1, **{field: text})) for text in ("one", "other")]

    assert rows_after(world, plan.handler, events) == rows_after(world, plan.handler, reversed(events))
