"""Effects: the external system is called at most once for each idempotency key, in spite of failures.

Each guard was switched off in turn, and each time tests of this file failed: the condition of `begin`, the number in
the conditions of an effect record, the read of the ledger before it, the withdrawal of an effect that did not happen,
the unknown outcome that stays until there is an outcome, the dead letter at once for effects without a query, and the
outcome event in spite of a decision to discard.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from daybook.consumers.effect import BadIdempotencyKey, Effect, effect
from daybook.consumers.effect_records import OPEN, WITHDRAWN, EffectRecord, InProgress, NotPerformed
from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.store.attributes import pack_item
from daybook.store.ledger import COMMITTED, DISCARDED, TRYING
from daybook.testing.keys import proven
from daybook.testing.world import NAMES, Context, World, errors
from tests.application.builders import Message, a_loan, from_the_bus, received_books, recorded
from tests.application.contracts.loans import LoanRequested
from tests.application.contracts.reminders import ReminderSent
from tests.unit import faults
from tests.unit.bodies import attempting
from tests.unit.contracts import BookReturned
from tests.unit.faults import Death
from tests.unit.test_delivery_attempts import RETRY, Slip, later

SENT = ReminderSent(reminder_id="1001.trial", loan_id="1001", message_id="M-1")
MARK = "Zzyzx0815"

Trial = Effect[LoanRequested]


@dataclass
class ExternalSystem:
    """The external system, which remembers its calls. Actions may run before or after the next calls."""

    calls: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    before: list[Callable[[], object]] = field(default_factory=list)
    after: list[Callable[[], object]] = field(default_factory=list)

    def make(self, idempotency_key: str) -> None:
        self.calls.append(idempotency_key)
        for act in self.before[:1]:
            self.before.remove(act)
            act()
        self.made.add(idempotency_key)
        for act in self.after[:1]:
            self.after.remove(act)
            act()


def sending(external: ExternalSystem) -> Trial:
    """An effect that cannot query the outcome of a call."""

    def body(record: EffectRecord) -> Event:
        external.make(record.idempotency_key)
        return SENT

    return attempting(body)


def paying(external: ExternalSystem) -> Trial:
    """An effect that can query: if the outcome is unknown, it looks whether the call was made."""

    def body(record: EffectRecord) -> Event:
        if not (record.outcome_unknown and record.idempotency_key in external.made):
            external.make(record.idempotency_key)
        return SENT

    return attempting(body, can_query=True)


def raising(*failures: BaseException, can_query: bool = False) -> tuple[Trial, list[EffectRecord]]:
    """An effect that raises these errors one after the other and then succeeds, and the records that it was given."""
    given: list[EffectRecord] = []
    left = list(failures)

    def body(record: EffectRecord) -> Event:
        given.append(record)
        if left:
            raise left.pop(0)
        return SENT

    return attempting(body, can_query=can_query), given


def dies() -> None:
    raise Death


def effect_record(world: World) -> dict[str, Any]:
    """The only effect record."""
    (row,) = (item for item in world.items("ledger") if "#effect#" in item["key"])
    return row


def time_passes(world: World) -> None:
    """Let all locks of processes end."""
    for item in world.items("ledger"):
        if "until" in item:
            world.client.update_item(
                TableName=NAMES.ledger,
                Key={"key": {"S": item["key"]}},
                UpdateExpression="SET #until = :past",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":past": {"S": "2026-01-01T00:00:00.000000Z"}},
            )


def discard(world: World, envelope: Envelope) -> None:
    """Discard the event at the effect, as an operator does."""
    row: dict[str, object] = {"key": f"try-it#{envelope.metadata.id}", "state": DISCARDED}
    row |= {"at": clock.now(), "stream": envelope.metadata.stream, "sequence": envelope.metadata.sequence}
    world.client.put_item(TableName=NAMES.ledger, Item=pack_item(proven(row)))


def deliver_until_done(
    world: World, handler: Effect[Any], message: Message, context: Callable[[], Context] = Context
) -> Message:
    """Deliver a message until it is not redelivered, although processes die."""
    for _ in range(20):
        try:
            again = world.deliver(handler, message, context=context())
        except Death:
            again = [message]
        time_passes(world)
        if not again:
            return message
        message = later(message)
    msg = "the message is redelivered without end"
    raise AssertionError(msg)


def an_event() -> tuple[Envelope, Message]:
    envelope = recorded()
    return envelope, Message(from_the_bus(envelope))


# --- once -------------------------------------------------------------------------------------------------------------


def test_the_effect_record_is_written_before_the_external_system_is_called(world: World) -> None:
    seen: list[dict[str, Any]] = []
    envelope, message = an_event()

    def body(_: EffectRecord) -> Event:
        seen.append(effect_record(world))
        return SENT

    assert world.deliver(attempting(body), message) == []

    (row,) = seen
    assert (row["key"], row["state"]) == ("try-it#effect#trial/1001", OPEN)
    assert row["cause"] == envelope.metadata.id


def test_outcome_event_and_ledger_row_are_written_in_one_transaction(world: World) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    calls = faults.calls()

    assert world.deliver(sending(external), message) == []

    assert calls == ["BatchGetItem", "BatchGetItem", "UpdateItem", "TransactWriteItems"]
    (outcome,) = world.recorded()
    assert world.events("reminder/1001.trial") == [SENT]
    assert (outcome.metadata.causation_id, outcome.metadata.correlation_id) == (envelope.metadata.id,) * 2
    (entry,) = world.entries(envelope)
    assert (entry.state, list(entry.emitted)) == (COMMITTED, [outcome.metadata.id])
    assert entry.details["effect"] == effect_record(world)["key"].removeprefix("try-it#effect#") == "trial/1001"


def test_an_effect_may_have_no_outcome_event(world: World) -> None:
    envelope, message = an_event()

    assert world.deliver(attempting(lambda _: None), message) == []

    assert world.recorded() == []
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


@pytest.mark.parametrize("tries", [1, 2])
def test_a_duplicate_makes_no_call(world: World, tries: int) -> None:
    external = ExternalSystem()
    _, message = an_event()
    world.deliver(sending(external), message)

    assert world.deliver(sending(external), Message(message.body, tries=tries)) == []

    assert (external.calls, len(world.recorded())) == (["trial/1001"], 1)


def test_a_second_event_with_the_same_key_finds_the_effect_done(world: World) -> None:
    external = ExternalSystem()
    (first, one), (second, another) = an_event(), an_event()
    world.deliver(sending(external), one)

    assert world.deliver(sending(external), another) == []

    assert (external.calls, len(world.recorded())) == (["trial/1001"], 1)
    assert [entry.state for event in (first, second) for entry in world.entries(event)] == [COMMITTED, COMMITTED]
    assert [len(entry.emitted) for entry in world.entries(second)] == [0]


# Guards: the condition of begin.
def test_a_second_event_with_the_same_key_waits_for_the_outcome_of_the_first(world: World) -> None:
    external = ExternalSystem()
    (_, one), (second, another) = an_event(), an_event()
    handler = sending(external)
    waited: list[list[Message]] = []
    external.before.append(lambda: waited.append(world.deliver(handler, another)))

    assert world.deliver(handler, one) == []
    assert waited == [[another]]
    assert [(entry.state, list(entry.failed_attempts)) for entry in world.entries(second)] == [(TRYING, [])]

    assert world.deliver(handler, later(another)) == []
    assert (external.calls, len(world.recorded())) == (["trial/1001"], 1)


@pytest.mark.parametrize("can_query", [False, True])
def test_while_the_outcome_is_unknown_no_other_event_makes_the_call(world: World, can_query: bool) -> None:
    handler, attempts = raising(Slip(), can_query=can_query)
    (_, one), (_, another) = an_event(), an_event()
    world.deliver(handler, one)

    assert world.deliver(handler, another) == [another]

    assert len(attempts) == 1


def test_different_loans_have_different_idempotency_keys(world: World) -> None:
    external = ExternalSystem()
    handler = attempting(lambda attempt: external.make(attempt.idempotency_key))

    for number in ("1001", "1002"):
        world.receive(handler, a_loan(number))

    assert external.calls == ["trial/1001", "trial/1002"]


# Guards: the read of the ledger before the attempt.
@pytest.mark.parametrize("tries", [1, 2])
def test_a_discarded_event_makes_no_call(world: World, tries: int) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    discard(world, envelope)

    assert world.deliver(sending(external), Message(message.body, tries=tries)) == []

    assert (external.calls, world.recorded()) == ([], [])


# Guards: a call that was made has its outcome event in spite of any decision.
def test_an_effect_whose_event_is_discarded_during_the_call_is_recorded(world: World) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    external.after.append(lambda: discard(world, envelope))

    assert world.deliver(sending(external), message) == []

    assert world.events("reminder/1001.trial") == [SENT]
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# --- processes that die -----------------------------------------------------------------------------------------------


def test_a_process_that_dies_during_the_call_leaves_a_dead_letter_and_makes_no_second_call(world: World) -> None:
    external = ExternalSystem(after=[dies])
    envelope, message = an_event()
    with pytest.raises(Death):
        world.deliver(sending(external), message)
    time_passes(world)

    assert world.deliver(sending(external), later(message)) == []

    assert external.calls == ["trial/1001"]
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("OutcomeUnknown", envelope.metadata.id)
    assert "an earlier call has no recorded outcome" in dead.attributes["reason"]


def test_a_retry_of_an_effect_with_an_unknown_outcome_makes_no_call(world: World) -> None:
    external = ExternalSystem(after=[dies])
    _, message = an_event()
    deliver_until_done(world, sending(external), message)

    assert world.deliver(sending(external), message.body) == []

    assert external.calls == ["trial/1001"]
    assert errors(world.dead_letters()) == ["OutcomeUnknown"] * 2


def test_an_effect_record_with_an_unknown_outcome_is_not_locked(world: World) -> None:
    external = ExternalSystem(after=[dies])
    deliver_until_done(world, sending(external), an_event()[1])

    assert effect_record(world)["state"] == OPEN
    assert "until" not in effect_record(world) or effect_record(world)["until"] < clock.now()


def test_a_process_that_dies_before_it_writes_the_effect_record_makes_no_call(world: World) -> None:
    external = ExternalSystem()
    faults.die_at_call(2, after=False)
    envelope, message = an_event()
    with pytest.raises(Death):
        world.deliver(sending(external), message)
    assert external.calls == []

    assert world.deliver(sending(external), later(message)) == []

    assert external.calls == ["trial/1001"]
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# Guards: the condition of begin, and that an unknown outcome is final for an effect without a query.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("accident", [None, Death(), Slip(), NotPerformed("down")], ids=repr)
def test_an_effect_without_a_query_is_called_at_most_once_if_a_process_dies(
    world: World, call: int | str, after: bool, accident: BaseException | None
) -> None:
    external = ExternalSystem()

    def breaks() -> None:
        if accident:
            raise accident

    # A call that had no effect may be repeated.
    harmless = isinstance(accident, NotPerformed)
    (external.before if harmless else external.after).append(breaks)
    envelope, message = an_event()
    faults.die_at_call(call, after=after)

    deliver_until_done(world, sending(external), message)

    assert len(external.calls) <= (2 if harmless else 1)
    dead = set(errors(world.dead_letters()))
    committed = [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert (dead, len(world.recorded())) == ((set(), 1) if committed else ({"OutcomeUnknown"}, 0))
    assert effect_record(world)["state"] == OPEN


# Guards: the condition of begin, and the fencing number.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("accident", [None, Death(), Slip()], ids=repr)
def test_an_effect_with_a_query_happens_once_and_is_recorded_once_if_a_process_dies(
    world: World, call: int | str, after: bool, accident: BaseException | None
) -> None:
    def breaks() -> None:
        if accident:
            raise accident

    external = ExternalSystem(after=[breaks])
    envelope, message = an_event()
    faults.die_at_call(call, after=after)

    deliver_until_done(world, paying(external), message)

    assert external.calls == ["trial/1001"]
    assert world.events("reminder/1001.trial") == [SENT]
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert world.dead_letters() == []


# --- errors of the body -----------------------------------------------------------------------------------------------


# Guards: OutcomeUnknown is final for an effect without a query.
def test_an_error_of_a_call_without_a_query_is_dead_at_once(world: World) -> None:
    handler, attempts = raising(Slip(MARK))
    envelope, message = an_event()

    assert world.deliver(handler, message) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("OutcomeUnknown", envelope.metadata.id)
    assert "Slip" in dead.attributes["reason"]
    assert (len(attempts), effect_record(world)["state"], "until" in effect_record(world)) == (1, OPEN, False)


def test_an_unexpected_error_of_a_call_with_a_query_counts_as_an_attempt_and_the_last_one_is_dead(world: World) -> None:
    handler, attempts = raising(*[ValueError(MARK)] * RETRY.max_attempts, can_query=True)
    envelope, message = an_event()
    again = []
    for _ in range(RETRY.max_attempts):
        again.append(bool(world.deliver(handler, message)))
        message = later(message)

    assert again == [True, True, False]
    assert [attempt.outcome_unknown for attempt in attempts] == [False, True, True]
    (dead,) = world.dead_letters()
    assert dead.error == "OutcomeUnknown"
    assert [attempt["error"] for entry in world.entries(envelope) for attempt in entry.failed_attempts] == [
        "OutcomeUnknown"
    ] * 2


def test_a_query_finds_the_notes_of_the_earlier_attempt(world: World) -> None:
    seen: list[tuple[bool, dict[str, str]]] = []

    def body(record: EffectRecord) -> Event:
        seen.append((record.outcome_unknown, dict(record.notes)))
        if not record.outcome_unknown:
            record.note(intent="pi_1")
            record.note(step="confirmed")
            assert record.notes == {"intent": "pi_1", "step": "confirmed"}
            raise Slip
        return SENT

    deliver_until_done(world, attempting(body, can_query=True), an_event()[1])

    assert seen == [(False, {}), (True, {"intent": "pi_1", "step": "confirmed"})]
    assert world.events("reminder/1001.trial") == [SENT]


@pytest.mark.parametrize("name", ["number", "open", "state", "until", "token", "now", "one", "notes"])
def test_a_note_may_have_any_name(world: World, name: str) -> None:
    def body(record: EffectRecord) -> Event:
        record.note(**{name: "17"})
        return SENT

    assert world.deliver(attempting(body), an_event()[1]) == []

    assert effect_record(world)["notes"] == {name: "17"}


# Guards: a call that had no effect is withdrawn.
@pytest.mark.parametrize("can_query", [False, True])
def test_a_call_that_had_no_effect_is_retried_without_counting_and_its_outcome_is_known(
    world: World, can_query: bool
) -> None:
    down = [NotPerformed("the provider is down")] * (2 * RETRY.max_attempts)
    handler, attempts = raising(*down, can_query=can_query)
    envelope, message = an_event()
    for _ in down:
        assert world.deliver(handler, message) == [message]
        assert (effect_record(world)["state"], "until" in effect_record(world)) == (WITHDRAWN, False)
        message = later(message)

    assert world.deliver(handler, message) == []

    assert not any(attempt.outcome_unknown for attempt in attempts)
    assert world.events("reminder/1001.trial") == [SENT]
    assert [list(entry.failed_attempts) for entry in world.entries(envelope)] == [[]]


def test_another_event_may_make_a_call_that_had_no_effect(world: World) -> None:
    handler, _ = raising(NotPerformed("the provider is down"))
    (first, one), (second, another) = an_event(), an_event()
    world.deliver(handler, one)

    assert world.deliver(handler, another) == []
    assert world.deliver(handler, later(one)) == []

    assert len(world.recorded()) == 1
    assert [entry.state for event in (first, second) for entry in world.entries(event)] == [COMMITTED, COMMITTED]


def test_a_call_that_had_no_effect_is_retried_until_the_retry_window_ends(world: World) -> None:
    handler, _ = raising(NotPerformed("the provider is down"))

    assert world.deliver(handler, Message(from_the_bus(recorded()), age=RETRY.retry_window + 1)) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NotPerformed", "the provider is down")
    assert effect_record(world)["state"] == WITHDRAWN


@pytest.mark.parametrize("failure", [NotPerformed("the provider is down"), Slip()], ids=repr)
def test_notes_stay_after_a_failed_attempt(world: World, failure: Exception) -> None:
    left = [failure]

    def body(record: EffectRecord) -> Event:
        if left:
            record.note(intent="pi_1")
            raise left.pop()
        assert record.notes == {"intent": "pi_1"}
        return SENT

    deliver_until_done(world, attempting(body, can_query=True), an_event()[1])

    assert world.events("reminder/1001.trial") == [SENT]


# Guards: an unknown outcome stays unknown until there is an outcome.
@pytest.mark.parametrize("failure", [NotPerformed("the provider is down"), NonRetryable("no such payment")], ids=repr)
def test_an_unknown_outcome_stays_unknown_after_a_failed_query(world: World, failure: Exception) -> None:
    handler, attempts = raising(Slip(), failure, can_query=True)
    message = deliver_until_done(world, handler, an_event()[1])
    if isinstance(failure, NonRetryable):
        deliver_until_done(world, handler, Message(message.body))  # retried

    assert [attempt.outcome_unknown for attempt in attempts] == [False, True, True]
    assert world.events("reminder/1001.trial") == [SENT]


def test_a_non_retryable_call_is_dead_and_can_be_retried_by_an_operator(world: World) -> None:
    handler, attempts = raising(NonRetryable("the sender is not verified"))
    _, message = an_event()

    assert world.deliver(handler, message) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NonRetryable", "the sender is not verified")
    assert effect_record(world)["state"] == WITHDRAWN

    assert world.deliver(handler, message.body) == []
    assert [attempt.outcome_unknown for attempt in attempts] == [False, False]
    assert world.events("reminder/1001.trial") == [SENT]


def test_a_query_for_an_outcome_that_is_not_known_yet_has_its_own_retry_window(world: World) -> None:
    retry_window = 10 * RETRY.retry_window
    handler, attempts = raising(*[RetryLater("it is processing", retry_window=retry_window)] * 3, can_query=True)
    _, message = an_event()

    aged = Message(message.body, age=retry_window - 60)
    assert world.deliver(handler, aged) == [aged]
    assert world.deliver(handler, later(aged)) == [later(aged)]
    assert world.deliver(handler, Message(message.body, age=retry_window + 60)) == []

    assert [attempt.outcome_unknown for attempt in attempts] == [False, True, True]
    assert errors(world.dead_letters()) == ["RetryLater"]
    assert effect_record(world)["state"] == OPEN


def test_log_ledger_and_reason_do_not_quote_the_error_of_a_call(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    handler, _ = raising(*[ValueError(MARK)] * RETRY.max_attempts, can_query=True)
    envelope = recorded(a_loan(reader={"name": MARK, "email": f"{MARK}@example.com"}))

    deliver_until_done(world, handler, Message(from_the_bus(envelope)))

    (dead,) = world.dead_letters()
    assert MARK not in json.dumps(dead.attributes)
    assert MARK not in str(world.items("ledger"))
    output = capsys.readouterr()
    assert "OutcomeUnknown" in output.out
    assert MARK not in output.out + output.err


# --- concurrent processes and lost responses --------------------------------------------------------------------------


# Guards: the condition of begin.
@pytest.mark.parametrize("make", [sending, paying])
def test_of_two_processes_with_one_event_the_second_one_waits(
    world: World, make: Callable[[ExternalSystem], Trial]
) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    handler = make(external)
    waited: list[list[Message]] = []
    external.before.append(lambda: waited.append(world.deliver(handler, message)))

    assert world.deliver(handler, message) == []

    assert (waited, external.calls) == ([[message]], ["trial/1001"])
    assert world.events("reminder/1001.trial") == [SENT]
    assert [list(entry.failed_attempts) for entry in world.entries(envelope)] == [[]]


@pytest.mark.parametrize("make", [sending, paying])
def test_a_begin_that_botocore_sends_twice_is_one_attempt(
    world: World, make: Callable[[ExternalSystem], Trial]
) -> None:
    external = ExternalSystem()
    faults.send_again("UpdateItem")
    calls = faults.calls()

    assert world.deliver(make(external), an_event()[1]) == []

    assert calls.count("UpdateItem") == 1
    assert effect_record(world)["number"] == 1
    assert (external.calls, world.events("reminder/1001.trial")) == (["trial/1001"], [SENT])


def test_an_attempt_that_another_process_has_continued_is_not_taken_as_the_own_one(world: World) -> None:
    external = ExternalSystem()
    handler = paying(external)
    _, message = an_event()

    def another_process_dies() -> None:
        time_passes(world)
        external.before.append(dies)
        with pytest.raises(Death):
            world.deliver(handler, message)

    faults.send_again("UpdateItem")
    faults.meanwhile("GetItem", another_process_dies)  # when it reads whose attempt it is

    assert world.deliver(handler, message) == [message]

    assert external.calls == ["trial/1001"]


def test_without_a_response_to_begin_no_call_is_made(world: World) -> None:
    external = ExternalSystem()
    faults.lose_the_answer("UpdateItem")
    _, message = an_event()

    assert world.deliver(sending(external), message) == [message]
    assert external.calls == []

    deliver_until_done(world, sending(external), later(message))
    assert external.calls == []
    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


@pytest.mark.parametrize("failure", [faults.DENIED, faults.error("ThrottlingException"), faults.CONFLICT])
def test_the_write_of_an_outcome_is_retried_while_time_remains(world: World, failure: faults.Answer) -> None:
    external = ExternalSystem()
    faults.answer("TransactWriteItems", *[failure] * 5)

    assert world.deliver(sending(external), an_event()[1], context=Context(seconds=30, less=0.01)) == []

    assert (external.calls, world.events("reminder/1001.trial")) == (["trial/1001"], [SENT])
    assert world.dead_letters() == []


@pytest.mark.parametrize("make", [sending, paying])
def test_an_outcome_that_was_never_written_is_unknown_or_queried(
    world: World, make: Callable[[ExternalSystem], Trial]
) -> None:
    external = ExternalSystem()
    faults.answer("TransactWriteItems", *[faults.DENIED] * 3)
    envelope, message = an_event()
    assert world.deliver(make(external), message, context=Context(seconds=10, less=2)) == [message]
    assert [list(entry.failed_attempts) for entry in world.entries(envelope)] == [[]]

    faults.answer("TransactWriteItems")
    time_passes(world)
    deliver_until_done(world, make(external), later(message))

    assert external.calls == ["trial/1001"]
    known = make is paying
    assert errors(world.dead_letters()) == ([] if known else ["OutcomeUnknown"])
    assert len(world.recorded()) == known


@pytest.mark.parametrize("make", [sending, paying])
def test_a_completion_whose_response_is_lost_does_not_cause_a_second_call(
    world: World, make: Callable[[ExternalSystem], Trial]
) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    faults.lose_the_answer("TransactWriteItems")

    deliver_until_done(world, make(external), message)

    assert (external.calls, world.events("reminder/1001.trial")) == (["trial/1001"], [SENT])
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert world.dead_letters() == []


# Guards: the retries of a withdrawal.
def test_a_withdrawal_is_retried_while_time_remains(world: World) -> None:
    handler, attempts = raising(NotPerformed("the provider is down"))
    faults.answer("UpdateItem", *[faults.DENIED] * 3, about="REMOVE #until")
    _, message = an_event()

    assert world.deliver(handler, message, context=Context(seconds=30, less=0.01)) == [message]
    assert world.deliver(handler, later(message)) == []

    assert not any(attempt.outcome_unknown for attempt in attempts)
    assert world.events("reminder/1001.trial") == [SENT]


def test_a_lock_that_cannot_be_removed_does_not_delay_the_dead_letter(world: World) -> None:
    handler, _ = raising(Slip())
    faults.always_answer("UpdateItem", faults.DENIED, about="REMOVE #until")

    assert world.deliver(handler, an_event()[1]) == []

    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


# Guards: the fencing number.
@pytest.mark.parametrize("ends_with", ["note", "withdraw", "leave"])
def test_a_process_that_has_lost_its_effect_record_cannot_write_to_it(world: World, ends_with: str) -> None:
    _, message = an_event()
    lives: list[str] = []

    def body(record: EffectRecord) -> Event:
        lives.append("outcome unknown" if record.outcome_unknown else "first")
        if record.outcome_unknown:
            raise Death
        time_passes(world)
        with pytest.raises(Death):
            world.deliver(handler, message)
        if ends_with == "note":
            record.note(intent="pi_1")
        if ends_with == "withdraw":
            raise NotPerformed("the provider is down")
        raise Slip

    handler = attempting(body, can_query=True)
    assert world.deliver(handler, message) == [message]

    assert lives == ["first", "outcome unknown"]
    assert world.recorded() == []
    row = effect_record(world)
    assert (row["state"], row["number"], row["notes"], "until" in row) == (OPEN, 2, {}, True)


def test_a_process_that_has_lost_its_effect_record_records_the_outcome_that_it_knows(world: World) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    handler = sending(external)

    def another_takes_over() -> None:
        time_passes(world)
        assert world.deliver(handler, later(message)) == []
        assert errors(world.dead_letters()) == ["OutcomeUnknown"]

    external.after.append(another_takes_over)
    assert world.deliver(handler, message) == []

    assert (external.calls, world.events("reminder/1001.trial")) == (["trial/1001"], [SENT])
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


def test_a_withdrawn_effect_record_cannot_be_changed(world: World) -> None:
    handler, attempts = raising(NotPerformed("the provider is down"))
    world.deliver(handler, an_event()[1])
    before = effect_record(world)

    for say in (attempts[0].withdraw, attempts[0].release, lambda: attempts[0].note(intent="pi_1")):
        with pytest.raises(InProgress):
            say()

    assert effect_record(world) == before


def test_an_outcome_that_one_process_has_recorded_is_not_recorded_by_another(world: World) -> None:
    external = ExternalSystem()
    envelope, message = an_event()
    handler = paying(external)

    def another_takes_over() -> None:
        time_passes(world)
        assert world.deliver(handler, message) == []

    external.after.append(another_takes_over)
    deliver_until_done(world, handler, message)

    assert (external.calls, world.events("reminder/1001.trial")) == (["trial/1001"], [SENT])
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# --- time and declarations --------------------------------------------------------------------------------------------


def test_a_call_that_has_not_enough_time_for_its_answer_is_not_started(world: World) -> None:
    external = ExternalSystem()
    envelope, message = an_event()

    assert world.deliver(sending(external), message, context=Context(seconds=3.5, less=1)) == [message]
    assert (external.calls, effect_record(world)["state"]) == ([], WITHDRAWN)
    assert [list(entry.failed_attempts) for entry in world.entries(envelope)] == [[]]

    assert world.deliver(sending(external), later(message)) == []
    assert external.calls == ["trial/1001"]


@pytest.mark.parametrize("idempotency_key", ["trial", "trial/{number}", "trial/{}"])
def test_an_idempotency_key_without_a_field_of_the_event_is_an_error(idempotency_key: str) -> None:
    def body(_: LoanRequested, __: EffectRecord) -> None: ...

    with pytest.raises(BadIdempotencyKey, match="LoanRequested"):
        effect(LoanRequested, idempotency_key=idempotency_key, emits=())(body)


def test_an_idempotency_key_with_a_personal_field_is_an_error() -> None:
    def body(_: BookReturned, __: EffectRecord) -> None: ...

    with pytest.raises(BadIdempotencyKey, match="not personal"):
        effect(BookReturned, idempotency_key="return/{loan_id}/{returned_by}", emits=())(body)


def test_an_outcome_event_that_is_not_declared_leads_to_a_dead_letter(world: World) -> None:
    external = ExternalSystem()

    def body(record: EffectRecord) -> Event:
        external.make(record.idempotency_key)
        return received_books()

    deliver_until_done(world, attempting(body), an_event()[1])

    assert external.calls == ["trial/1001"]
    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


def test_an_error_before_the_call_is_retried_like_an_error_of_a_reaction(world: World) -> None:
    external = ExternalSystem()
    failures = [ValueError("no such recipient")]

    def body(record: EffectRecord) -> Event:
        with record.preparing():
            if failures:
                raise failures.pop()
        external.make(record.idempotency_key)
        return SENT

    handler = attempting(body)
    _, message = an_event()

    (again,) = world.deliver(handler, message)
    assert effect_record(world)["state"] == WITHDRAWN
    assert world.deliver(handler, later(again)) == []

    assert len(external.calls) == 1
    assert world.dead_letters() == []


def test_an_error_after_the_preparation_leaves_the_outcome_unknown(world: World) -> None:
    def body(record: EffectRecord) -> Event:
        with record.preparing():
            pass
        raise TimeoutError

    assert world.deliver(attempting(body), an_event()[1]) == []

    assert errors(world.dead_letters()) == ["OutcomeUnknown"]
