"""Failed deliveries: attempts, waiting, dead letters, and processes that die."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.runtime.retry import Retry
from daybook.store.ledger import COMMITTED, TRYING
from daybook.testing.world import Context, World
from tests.application.builders import Message, a_loan, from_the_bus, recorded
from tests.application.contracts.loans import LoanRequested
from tests.application.services.loans import open_loan
from tests.application.services.loans.loan import Loan
from tests.unit import faults

RETRY = Retry(max_attempts=3, max_crashes=2, first_backoff=30, max_backoff=900, retry_window=3600)


class Slip(Exception):
    """An unexpected error of a body. Its text may contain anything."""


def failing(error: BaseException, *, for_loan: str = "1001") -> Reaction[LoanRequested]:
    """A reaction that opens a loan's row, but fails for one loan."""

    @reaction(LoanRequested)
    def handler(order: LoanRequested, work: Work) -> None:
        if order.loan_id == for_loan:
            raise error
        work.save(Loan.requested(order))

    return handler


def later(message: Message) -> Message:
    """The same message at its next delivery."""
    return replace(message, tries=message.tries + 1)


def test_a_failed_attempt_is_recorded_and_the_message_is_redelivered(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))

    assert world.deliver(failing(Slip()), message) == [message]

    (entry,) = world.entries(envelope)
    assert entry.state == TRYING
    assert [attempt["error"] for attempt in entry.failed_attempts] == ["Slip"]
    assert world.dead_letters() == []


def test_the_last_attempt_becomes_a_dead_letter_with_a_reason_that_quotes_nothing(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    handler = failing(Slip("Ada Lovelace"))

    again = []
    for _ in range(RETRY.max_attempts):
        again.append(bool(world.deliver(handler, message)))
        message = later(message)

    assert again == [True, True, False]
    (dead,) = world.dead_letters()
    assert (dead.error, dead.body, dead.attributes["event_id"]) == ("Slip", message.body, envelope.metadata.id)
    assert "Lovelace" not in json.dumps(dead.attributes)
    assert "Lovelace" not in str(world.entries(envelope))


def test_an_event_with_a_non_retryable_error_is_dead_at_once(world: World) -> None:
    assert world.deliver(failing(NonRetryable("an order for the past")), Message(from_the_bus(recorded()))) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NonRetryable", "an order for the past")


def test_an_attempt_that_succeeds_is_committed_and_earlier_failed_attempts_stay_recorded(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    world.deliver(failing(Slip()), message)

    assert world.deliver(failing(Slip(), for_loan="another"), later(message)) == []

    (entry,) = world.entries(envelope)
    assert (entry.state, len(entry.failed_attempts)) == (COMMITTED, 1)


def test_attempts_that_must_wait_are_not_counted(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    handler = failing(RetryLater("no such order yet"))

    for _ in range(2 * RETRY.max_attempts):
        assert world.deliver(handler, message) == [message]
        message = later(message)

    (entry,) = world.entries(envelope)
    assert (entry.state, list(entry.failed_attempts)) == (TRYING, [])


def test_waiting_ends_with_the_retry_window(world: World) -> None:
    message = Message(from_the_bus(recorded()), age=RETRY.retry_window + 1)

    assert world.deliver(failing(RetryLater("no such order yet")), message) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("RetryLater", "no such order yet")


def test_an_event_of_a_newer_version_waits_without_a_limit(world: World) -> None:
    message = Message(from_the_bus(recorded(version=2)), age=10 * RETRY.retry_window)

    assert world.deliver(open_loan.handler, message) == [message]

    assert world.dead_letters() == []


def test_a_conflict_that_does_not_end_in_time_returns_the_message_and_is_no_failed_attempt(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    faults.always_answer("TransactWriteItems", faults.CONFLICT)

    assert world.deliver(open_loan.handler, message, context=Context(seconds=4, less=0.3)) == [message]

    (entry,) = world.entries(envelope)
    assert list(entry.failed_attempts) == []


def test_a_message_without_enough_time_is_returned_untouched_and_is_no_suspected_poison_message(world: World) -> None:
    messages = [Message(from_the_bus(recorded(a_loan(str(number))))) for number in range(3)]

    assert world.deliver(open_loan.handler, *messages, context=Context(seconds=1)) == messages
    assert world.items("loans") == []

    assert world.deliver(open_loan.handler, *map(later, messages)) == []
    assert len(world.items("loans")) == 3


def test_of_ten_messages_the_one_that_kills_its_process_becomes_dead_and_the_others_are_committed_once(
    world: World,
) -> None:
    envelopes = {str(number): recorded(a_loan(str(number))) for number in range(10)}
    waiting = [Message(from_the_bus(envelope)) for envelope in envelopes.values()]
    deadly = failing(SystemExit(), for_loan="4")
    deliveries = deaths = 0

    while waiting and deliveries < 100:
        deliveries += 1
        try:
            again = world.deliver(deadly, *waiting)
        except SystemExit:  # the process is gone: SQS delivers its messages again
            again = waiting
            deaths += 1
        waiting = [later(message) for message in again]

    assert waiting == []
    assert {item["id"] for item in world.items("loans")} == envelopes.keys() - {"4"}
    assert {item["version"] for item in world.items("loans")} == {1}
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("ProcessDied", envelopes["4"].metadata.id)
    assert deaths == 1 + RETRY.max_crashes  # once unnoted, with the others, and then with a note
    assert deliveries == 1 + deaths


# Guards: the check of the remaining time before a suspected poison message is processed.
def test_a_suspected_poison_message_without_enough_time_is_returned_without_counting(world: World) -> None:
    envelope = recorded()
    suspect = Message(from_the_bus(envelope), tries=2)

    for _ in range(2 * RETRY.max_crashes):
        assert world.deliver(open_loan.handler, suspect, context=Context(seconds=1)) == [suspect]
        suspect = later(suspect)
    assert world.entries(envelope) == []
    assert world.items("loans") == []

    assert world.deliver(open_loan.handler, suspect) == []
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# Guards: the record before a suspected poison message is processed does not end the suspicion.
def test_a_message_that_killed_a_process_alone_is_processed_alone_the_next_time_too(world: World) -> None:
    deadly, suspect = failing(SystemExit(), for_loan="4"), Message(from_the_bus(recorded(a_loan("4"))), tries=2)
    with pytest.raises(SystemExit):
        world.deliver(deadly, suspect)

    neighbours = [Message(from_the_bus(recorded(a_loan(f"neighbour-{number}")))) for number in range(2)]
    with pytest.raises(SystemExit):
        world.deliver(deadly, neighbours[0], later(suspect), neighbours[1])

    assert [item["id"] for item in world.items("loans")] == ["neighbour-0", "neighbour-1"]


# Guards: the order in which the messages of a batch are processed.
def test_suspected_poison_messages_are_processed_after_all_others(world: World) -> None:
    suspected = [Message(from_the_bus(recorded(a_loan(f"suspected-{number}"))), tries=2) for number in range(3)]
    others = [Message(from_the_bus(recorded(a_loan(f"other-{number}")))) for number in range(2)]
    handler = failing(SystemExit(), for_loan="suspected-1")

    with pytest.raises(SystemExit):
        world.deliver(handler, *suspected, *others)
    assert [item["id"] for item in world.items("loans")] == ["other-0", "other-1", "suspected-0"]

    with pytest.raises(SystemExit):  # now the one that has killed a process is the last
        world.deliver(handler, *map(later, suspected))
    assert [item["id"] for item in world.items("loans")] == ["other-0", "other-1", "suspected-0", "suspected-2"]


# Guards: throttled messages are processed in one invocation, and nothing is noted against them.
def test_ten_messages_that_were_throttled_twice_are_committed_in_one_invocation_without_a_crash(world: World) -> None:
    envelopes = [recorded(a_loan(str(number))) for number in range(10)]
    throttled = [Message(from_the_bus(envelope), tries=3) for envelope in envelopes]
    calls = faults.calls()

    assert world.deliver(open_loan.handler, *throttled) == []

    assert len(world.items("loans")) == 10
    for (entry,) in map(world.entries, envelopes):
        assert (entry.state, entry.details["crashes"], entry.failed_attempts) == (COMMITTED, 0, ())
        assert "begun" not in entry.details
    assert calls.count("UpdateItem") == 10  # one note each


# Guards: only an attempt that has begun and not ended is a crash.
def test_throttling_uses_up_no_attempts_and_no_crashes(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    for attempt in range(1, RETRY.max_attempts):
        message = replace(message, tries=message.tries + 10 * RETRY.max_crashes)
        assert world.deliver(failing(Slip()), message) == [message]
        (entry,) = world.entries(envelope)
        assert (entry.details["failed_count"], entry.details["crashes"]) == (attempt, 0)

    message = replace(message, tries=message.tries + 10 * RETRY.max_crashes)
    assert world.deliver(open_loan.handler, message) == []
    assert world.dead_letters() == []


# Guards: the end of an attempt is noted when the message is handed back.
def test_a_suspected_poison_message_whose_conflict_does_not_end_in_time_has_not_crashed(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope), tries=2)
    faults.always_answer("TransactWriteItems", faults.CONFLICT)

    for _ in range(2 * RETRY.max_crashes):
        assert world.deliver(open_loan.handler, message, context=Context(seconds=4, less=0.3)) == [message]
        message = replace(message, tries=message.tries + 2)  # the next delivery was throttled

    (entry,) = world.entries(envelope)
    assert (entry.state, entry.details["crashes"], entry.details["begun"]) == (TRYING, 0, False)
    assert world.dead_letters() == []


# Guards: the end of an attempt is noted before the message becomes a dead letter.
def test_a_dead_message_keeps_its_reason_although_another_message_kills_the_process_after_it(world: World) -> None:
    hopeless, deadly = (Message(from_the_bus(recorded(a_loan(loan))), tries=2) for loan in ("hopeless", "deadly"))

    @reaction(LoanRequested)
    def handler(order: LoanRequested, _: Work) -> None:
        raise NonRetryable("never") if order.loan_id == "hopeless" else SystemExit

    waiting = [hopeless, deadly]
    for _ in range(2 * RETRY.max_crashes):
        with suppress(SystemExit):
            waiting = world.deliver(handler, *waiting)
        waiting = [later(message) for message in waiting]

    reasons = {dead.attributes["event_id"]: set[str]() for dead in world.dead_letters()}
    for dead in world.dead_letters():
        reasons[dead.attributes["event_id"]].add(dead.error)
    assert list(reasons.values()) == [{"NonRetryable"}, {"ProcessDied"}]


# Guards: the check of the remaining time between two suspected poison messages.
def test_suspected_poison_messages_that_the_time_does_not_suffice_for_are_returned_without_blame(world: World) -> None:
    envelopes = [recorded(a_loan(str(number))) for number in range(10)]
    messages = [Message(from_the_bus(envelope), tries=2) for envelope in envelopes]

    again = world.deliver(open_loan.handler, *messages, context=Context(seconds=7, less=1))

    assert 0 < len(again) < 10
    assert again == messages[-len(again) :]
    assert len(world.items("loans")) == 10 - len(again)
    assert [world.entries(envelope) for envelope in envelopes[-len(again) :]] == [[]] * len(again)
    assert world.deliver(open_loan.handler, *map(later, again)) == []
    assert len(world.items("loans")) == 10


# Guards: half of the invocation's time for a message that has crashed. It comes last, so a slow one would time out.
def test_a_message_that_has_crashed_is_attempted_only_with_half_of_the_time(world: World) -> None:
    envelopes = [recorded(a_loan(str(number))) for number in range(2)]
    deadly, other = (Message(from_the_bus(envelope), tries=2) for envelope in envelopes)

    @reaction(LoanRequested)
    def handler(order: LoanRequested, _: Work) -> None:
        if order.loan_id == "0":
            raise SystemExit

    with pytest.raises(SystemExit):
        world.deliver(handler, deadly)
    (noted,) = world.entries(envelopes[0])
    deadly = later(deadly)

    assert world.deliver(handler, other, deadly, context=Context(seconds=30, less=20)) == [deadly]

    assert world.entries(envelopes[0]) == [noted]
    with pytest.raises(SystemExit):
        world.deliver(handler, deadly, context=Context(seconds=30, less=20))


def test_no_message_is_lost_if_the_ledger_cannot_be_written(world: World) -> None:
    message = Message(from_the_bus(recorded()))
    faults.always_answer("UpdateItem", faults.DENIED)

    assert world.deliver(failing(Slip()), message) == [message]
    assert world.dead_letters() == []


@given(before=st.integers(0, 20), age=st.floats(0, 100_000))
def test_the_back_off_grows_to_a_limit_and_is_never_less_than_half_of_it(before: int, age: float) -> None:
    full = min(RETRY.first_backoff * 2**before, RETRY.max_backoff)
    assert full / 2 - 1 <= RETRY.backoff(before) <= full

    full_wait = min(max(age, RETRY.first_backoff), RETRY.max_backoff)
    assert full_wait / 2 - 1 <= RETRY.waiting_backoff(age) <= full_wait + 1


@pytest.mark.parametrize("reasons", [("None", "ConditionalCheckFailed", "TransactionConflict")])
def test_a_failed_condition_beside_a_conflict_is_retried(world: World, reasons: tuple[str, ...]) -> None:
    faults.answer("TransactWriteItems", faults.cancelled(*reasons))

    world.receive(open_loan.handler, a_loan())

    assert world.row(Loan, "1001") == Loan.requested(a_loan())


def test_saving_a_row_without_reading_it_fails_if_it_exists_and_the_body_does_not_run_again(world: World) -> None:
    envelope = recorded()
    world.put(Loan(loan_id="1001", stage="requested"))
    calls = faults.calls()

    assert len(world.deliver(open_loan.handler, from_the_bus(envelope))) == 1

    assert calls.count("TransactWriteItems") == 1
    (entry,) = world.entries(envelope)
    assert [attempt["error"] for attempt in entry.failed_attempts] == ["RowExists"]
