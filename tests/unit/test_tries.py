"""What comes again, how often, and what ends among the dead letters: tries, waiting, and processes that die."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.runtime.retry import Retry
from daybook.store.ledger import COMMITTED, TRYING
from events.orders import OrderPlaced
from functions.orders import place_order
from functions.orders.order import Order
from tests.unit import faults
from tests.unit.builders import Message, an_order, from_the_bus, recorded
from tests.unit.world import Context, World

RETRY = Retry(attempts=3, crashes=2, first=30, longest=900, retry_window=3600)


class Slip(Exception):
    """What a body may raise that nobody has thought of. Its text may hold anything."""


def failing(error: BaseException, *, for_order: str = "1001") -> Reaction[OrderPlaced]:
    """A reaction that opens an order's row, but fails for one order."""

    @reaction(OrderPlaced)
    def handler(order: OrderPlaced, work: Work) -> None:
        if order.order_id == for_order:
            raise error
        work.save(Order.placed(order))

    return handler


def later(message: Message) -> Message:
    """The same message at its next delivery."""
    return replace(message, tries=message.tries + 1)


def test_a_failed_try_is_noted_and_the_message_comes_again(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))

    assert world.deliver(failing(Slip()), message) == [message]

    (entry,) = world.entries(envelope)
    assert entry.state == TRYING
    assert [told["error"] for told in entry.tries] == ["Slip"]
    assert world.dead_letters() == []


def test_the_last_allowed_try_ends_among_the_dead_letters_with_a_reason_that_quotes_nothing(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    handler = failing(Slip("Ada Lovelace"))

    again = []
    for _ in range(RETRY.attempts):
        again.append(bool(world.deliver(handler, message)))
        message = later(message)

    assert again == [True, True, False]
    (dead,) = world.dead_letters()
    assert (dead.error, dead.body, dead.attributes["event_id"]) == ("Slip", message.body, envelope.metadata.id)
    assert "Lovelace" not in json.dumps(dead.attributes)
    assert "Lovelace" not in str(world.entries(envelope))


def test_what_is_rejected_is_dead_at_once(world: World) -> None:
    assert world.deliver(failing(NonRetryable("an order for the past")), Message(from_the_bus(recorded()))) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NonRetryable", "an order for the past")


def test_a_try_that_succeeds_after_failures_is_committed_and_the_failures_stay_on_record(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    world.deliver(failing(Slip()), message)

    assert world.deliver(failing(Slip(), for_order="another"), later(message)) == []

    (entry,) = world.entries(envelope)
    assert (entry.state, len(entry.tries)) == (COMMITTED, 1)


def test_what_is_not_there_yet_is_waited_for_without_counting(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    handler = failing(RetryLater("no such order yet"))

    for _ in range(2 * RETRY.attempts):
        assert world.deliver(handler, message) == [message]
        message = later(message)

    (entry,) = world.entries(envelope)
    assert (entry.state, list(entry.tries)) == (TRYING, [])


def test_waiting_ends_when_patience_does(world: World) -> None:
    message = Message(from_the_bus(recorded()), age=RETRY.retry_window + 1)

    assert world.deliver(failing(RetryLater("no such order yet")), message) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("RetryLater", "no such order yet")


def test_an_event_of_a_version_to_come_waits_however_long_it_takes(world: World) -> None:
    message = Message(from_the_bus(recorded(), version=2), age=10 * RETRY.retry_window)

    assert world.deliver(place_order.handler, message) == [message]

    assert world.dead_letters() == []


def test_a_conflict_that_does_not_end_in_time_is_handed_back_and_is_no_try(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    faults.always_answer("TransactWriteItems", faults.CONFLICT)

    assert world.deliver(place_order.handler, message, context=Context(seconds=4, less=0.3)) == [message]

    (entry,) = world.entries(envelope)
    assert list(entry.tries) == []


def test_what_cannot_be_finished_in_time_is_handed_back_untouched_and_is_no_suspect(world: World) -> None:
    messages = [Message(from_the_bus(recorded(an_order(str(number))))) for number in range(3)]

    assert world.deliver(place_order.handler, *messages, context=Context(seconds=1)) == messages
    assert world.items("orders") == []

    assert world.deliver(place_order.handler, *map(later, messages)) == []
    assert len(world.items("orders")) == 3


def test_one_message_of_ten_that_kills_its_process_ends_dead_and_the_nine_are_done_once(world: World) -> None:
    envelopes = {str(number): recorded(an_order(str(number))) for number in range(10)}
    waiting = [Message(from_the_bus(envelope)) for envelope in envelopes.values()]
    deadly = failing(SystemExit(), for_order="4")
    deliveries = deaths = 0

    while waiting and deliveries < 100:
        deliveries += 1
        try:
            again = world.deliver(deadly, *waiting)
        except SystemExit:  # the process is gone, and all that it had comes again
            again = waiting
            deaths += 1
        waiting = [later(message) for message in again]

    assert waiting == []
    assert {item["id"] for item in world.items("orders")} == envelopes.keys() - {"4"}
    assert {item["version"] for item in world.items("orders")} == {1}
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("ProcessDied", envelopes["4"].metadata.id)
    assert deaths == 1 + RETRY.crashes  # in company once, and then alone


# Guards: the look at the time before a suspect is handled.
def test_a_suspect_for_whom_no_time_is_left_is_handed_back_without_being_accused(world: World) -> None:
    envelope = recorded()
    suspect = Message(from_the_bus(envelope), tries=2)

    for _ in range(2 * RETRY.crashes):
        assert world.deliver(place_order.handler, suspect, context=Context(seconds=1)) == [suspect]
        suspect = later(suspect)
    assert world.entries(envelope) == []
    assert world.items("orders") == []

    assert world.deliver(place_order.handler, suspect) == []
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# Guards: the note before a suspect is handled does not clear it of suspicion.
def test_who_has_killed_a_process_alone_takes_no_neighbours_along_the_next_time(world: World) -> None:
    deadly, suspect = failing(SystemExit(), for_order="4"), Message(from_the_bus(recorded(an_order("4"))), tries=2)
    with pytest.raises(SystemExit):
        world.deliver(deadly, suspect)

    neighbours = [Message(from_the_bus(recorded(an_order(f"neighbour-{number}")))) for number in range(2)]
    with pytest.raises(SystemExit):
        world.deliver(deadly, neighbours[0], later(suspect), neighbours[1])

    assert [item["id"] for item in world.items("orders")] == ["neighbour-0", "neighbour-1"]


def test_suspects_are_handled_one_at_a_time_and_after_all_others(world: World) -> None:
    suspects = [Message(from_the_bus(recorded(an_order(f"suspect-{number}"))), tries=2) for number in range(3)]
    others = [Message(from_the_bus(recorded(an_order(f"other-{number}")))) for number in range(2)]

    again = world.deliver(place_order.handler, suspects[0], others[0], suspects[1], others[1], suspects[2])

    assert again == suspects[1:]
    assert [item["id"] for item in world.items("orders")] == ["other-0", "other-1", "suspect-0"]


def test_a_ledger_that_cannot_be_written_loses_no_message(world: World) -> None:
    message = Message(from_the_bus(recorded()))
    faults.always_answer("UpdateItem", faults.DENIED)

    assert world.deliver(failing(Slip()), message) == [message]
    assert world.dead_letters() == []


@given(before=st.integers(0, 20), age=st.floats(0, 100_000))
def test_distances_grow_to_a_limit_and_are_never_less_than_half_of_it(before: int, age: float) -> None:
    full = min(RETRY.first * 2**before, RETRY.longest)
    assert full / 2 - 1 <= RETRY.distance(before) <= full

    full_wait = min(max(age, RETRY.first), RETRY.longest)
    assert full_wait / 2 - 1 <= RETRY.wait(age) <= full_wait + 1


@pytest.mark.parametrize("reasons", [("None", "ConditionalCheckFailed", "TransactionConflict")])
def test_a_failed_condition_beside_a_conflict_decides_nothing(world: World, reasons: tuple[str, ...]) -> None:
    faults.answer("TransactWriteItems", faults.cancelled(*reasons))

    world.receive(place_order.handler, an_order())

    assert world.row(Order, "1001") == Order.placed(an_order())


def test_a_row_that_is_saved_unread_and_is_there_already_is_no_reason_to_run_the_body_again(world: World) -> None:
    envelope = recorded()
    world.put(Order(order_id="1001", stage="placed"))
    calls = faults.calls()

    assert len(world.deliver(place_order.handler, from_the_bus(envelope))) == 1

    assert calls.count("TransactWriteItems") == 1
    (entry,) = world.entries(envelope)
    assert [told["error"] for told in entry.tries] == ["RowExists"]
