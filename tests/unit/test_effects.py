"""Effects: what the world outside is asked for once is asked for once, whatever becomes of messages and processes.

Tried out as negative controls, one switched off at a time: the condition of `begin`, the number in an attempt's
conditions, the look at the ledger before it, the withdrawal of what had no effect, the doubt that outlasts it, the dead
letter at once for what cannot be asked about, the account of what has happened in spite of a decision to discard it.
Each time tests of this file fail.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from daybook.consumers.effect import BadIdempotencyKey, Effect, effect
from daybook.consumers.effect_records import CONCLUDED, OPEN, WITHDRAWN, EffectRecord, InProgress, NotPerformed
from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.store.attributes import pack
from daybook.store.ledger import COMMITTED, DISCARDED, TRYING
from events.notifications import EmailSent
from events.orders import OrderPlaced
from tests.unit import faults
from tests.unit.bodies import attempting
from tests.unit.builders import Message, an_order, from_the_bus, goods, recorded
from tests.unit.faults import Death
from tests.unit.test_tries import RETRY, Slip, later
from tests.unit.world import NAMES, Context, World, errors

SENT = EmailSent(letter_id="1001.trial", order_id="1001", message_id="M-1")
MARK = "Zzyzx0815"

Trial = Effect[OrderPlaced]


@dataclass
class Outside:
    """The world outside, which remembers. Before it does the next things, or after, something may happen."""

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


def sending(outside: Outside) -> Trial:
    """An effect that cannot ask what became of an attempt."""

    def body(record: EffectRecord) -> Event:
        outside.make(record.idempotency_key)
        return SENT

    return attempting(body)


def paying(outside: Outside) -> Trial:
    """An effect that can ask: in doubt it looks whether it was made."""

    def body(record: EffectRecord) -> Event:
        if not (record.in_doubt and record.idempotency_key in outside.made):
            outside.make(record.idempotency_key)
        return SENT

    return attempting(body, can_ask=True)


def raising(*failures: BaseException, can_ask: bool = False) -> tuple[Trial, list[EffectRecord]]:
    """An effect that fails with one after the other, then succeeds; and the attempts that it was given."""
    given: list[EffectRecord] = []
    left = list(failures)

    def body(record: EffectRecord) -> Event:
        given.append(record)
        if left:
            raise left.pop(0)
        return SENT

    return attempting(body, can_ask=can_ask), given


def dies() -> None:
    raise Death


def attempt_row(world: World) -> dict[str, Any]:
    """What is noted of the one attempt."""
    (row,) = (item for item in world.items("ledger") if item["event"].startswith("effect#"))
    return row


def time_passes(world: World) -> None:
    """Whoever was at an attempt must have ended by now."""
    for item in world.items("ledger"):
        if "until" in item:
            world.client.update_item(
                TableName=NAMES.ledger,
                Key={name: {"S": item[name]} for name in ("event", "consumer")},
                UpdateExpression="SET #until = :past",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":past": {"S": "2026-01-01T00:00:00.000000Z"}},
            )


def discard(world: World, envelope: Envelope) -> None:
    """Discard the event at the effect, as an operator does."""
    row: dict[str, object] = {"event": envelope.metadata.id, "consumer": "try-it", "state": DISCARDED}
    row |= {"at": clock.now(), "stream": envelope.metadata.stream, "sequence": envelope.metadata.sequence}
    world.client.put_item(TableName=NAMES.ledger, Item={name: pack(value) for name, value in row.items()})


def outlive(world: World, handler: Effect[Any], message: Message, context: Callable[[], Context] = Context) -> Message:
    """Deliver a message until it does not come again, whatever becomes of the processes."""
    for _ in range(20):
        try:
            again = world.deliver(handler, message, context=context())
        except Death:
            again = [message]
        time_passes(world)
        if not again:
            return message
        message = later(message)
    msg = "the message comes again for ever"
    raise AssertionError(msg)


def an_event() -> tuple[Envelope, Message]:
    envelope = recorded()
    return envelope, Message(from_the_bus(envelope))


# --- once -------------------------------------------------------------------------------------------------------------


def test_the_attempt_is_noted_before_the_world_outside_is_called(world: World) -> None:
    seen: list[dict[str, Any]] = []
    envelope, message = an_event()

    def body(_: EffectRecord) -> Event:
        seen.append(attempt_row(world))
        return SENT

    assert world.deliver(attempting(body), message) == []

    (row,) = seen
    assert (row["event"], row["consumer"], row["state"]) == ("effect#trial/1001", "try-it", OPEN)
    assert row["cause"] == envelope.metadata.id


def test_outcome_ledger_and_conclusion_are_one_transaction(world: World) -> None:
    outside = Outside()
    envelope, message = an_event()
    calls = faults.calls()

    assert world.deliver(sending(outside), message) == []

    assert calls == ["BatchGetItem", "UpdateItem", "TransactWriteItems"]
    (told,) = world.recorded()
    assert world.events("letter/1001.trial") == [SENT]
    assert (told.metadata.causation_id, told.metadata.correlation_id) == (envelope.metadata.id,) * 2
    (entry,) = world.entries(envelope)
    assert (entry.state, list(entry.emitted)) == (COMMITTED, [told.metadata.id])
    row = attempt_row(world)
    assert (row["state"], row["events"], "until" in row) == (CONCLUDED, [told.metadata.id], False)


def test_an_effect_may_have_nothing_to_tell(world: World) -> None:
    envelope, message = an_event()

    assert world.deliver(attempting(lambda _: None), message) == []

    assert world.recorded() == []
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert (attempt_row(world)["state"], attempt_row(world)["events"]) == (CONCLUDED, [])


@pytest.mark.parametrize("tries", [1, 2])
def test_a_second_delivery_is_not_attempted(world: World, tries: int) -> None:
    outside = Outside()
    _, message = an_event()
    world.deliver(sending(outside), message)

    assert world.deliver(sending(outside), Message(message.body, tries=tries)) == []

    assert (outside.calls, len(world.recorded())) == (["trial/1001"], 1)


def test_a_second_event_that_asks_for_the_same_finds_it_done(world: World) -> None:
    outside = Outside()
    (first, one), (second, another) = an_event(), an_event()
    world.deliver(sending(outside), one)

    assert world.deliver(sending(outside), another) == []

    assert (outside.calls, len(world.recorded())) == (["trial/1001"], 1)
    assert [entry.state for event in (first, second) for entry in world.entries(event)] == [COMMITTED, COMMITTED]
    assert [len(entry.emitted) for entry in world.entries(second)] == [0]


# Guards: the condition of begin.
def test_a_second_event_that_asks_for_the_same_waits_for_the_outcome_of_the_first(world: World) -> None:
    outside = Outside()
    (_, one), (second, another) = an_event(), an_event()
    handler = sending(outside)
    waited: list[list[Message]] = []
    outside.before.append(lambda: waited.append(world.deliver(handler, another)))

    assert world.deliver(handler, one) == []
    assert waited == [[another]]
    assert [(entry.state, list(entry.tries)) for entry in world.entries(second)] == [(TRYING, [])]

    assert world.deliver(handler, later(another)) == []
    assert (outside.calls, len(world.recorded())) == (["trial/1001"], 1)


@pytest.mark.parametrize("can_ask", [False, True])
def test_while_nobody_knows_the_outcome_no_other_event_takes_the_attempt_up(world: World, can_ask: bool) -> None:
    handler, attempts = raising(Slip(), can_ask=can_ask)
    (_, one), (_, another) = an_event(), an_event()
    world.deliver(handler, one)

    assert world.deliver(handler, another) == [another]

    assert len(attempts) == 1


def test_orders_of_different_numbers_are_different_purposes(world: World) -> None:
    outside = Outside()
    handler = attempting(lambda attempt: outside.make(attempt.idempotency_key))

    for number in ("1001", "1002"):
        world.receive(handler, an_order(number))

    assert outside.calls == ["trial/1001", "trial/1002"]


# Guards: the look at the ledger before the attempt.
@pytest.mark.parametrize("tries", [1, 2])
def test_what_was_discarded_is_not_attempted(world: World, tries: int) -> None:
    outside = Outside()
    envelope, message = an_event()
    discard(world, envelope)

    assert world.deliver(sending(outside), Message(message.body, tries=tries)) == []

    assert (outside.calls, world.recorded()) == ([], [])


# Guards: that what has happened is told, whatever was decided meanwhile.
def test_what_is_discarded_while_it_happens_has_happened_all_the_same(world: World) -> None:
    outside = Outside()
    envelope, message = an_event()
    outside.after.append(lambda: discard(world, envelope))

    assert world.deliver(sending(outside), message) == []

    assert world.events("letter/1001.trial") == [SENT]
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert attempt_row(world)["state"] == CONCLUDED


# --- processes that die -----------------------------------------------------------------------------------------------


def test_a_process_that_dies_during_the_call_leaves_a_dead_letter_and_no_second_call(world: World) -> None:
    outside = Outside(after=[dies])
    envelope, message = an_event()
    with pytest.raises(Death):
        world.deliver(sending(outside), message)
    time_passes(world)

    assert world.deliver(sending(outside), later(message)) == []

    assert outside.calls == ["trial/1001"]
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("OutcomeUnknown", envelope.metadata.id)
    assert "an earlier call has no recorded outcome" in dead.attributes["reason"]


def test_what_is_dead_with_an_unknown_outcome_is_not_attempted_when_it_is_sent_again(world: World) -> None:
    outside = Outside(after=[dies])
    _, message = an_event()
    outlive(world, sending(outside), message)

    assert world.deliver(sending(outside), message.body) == []

    assert outside.calls == ["trial/1001"]
    assert errors(world.dead_letters()) == ["OutcomeUnknown"] * 2


def test_an_attempt_that_is_given_up_is_locked_for_nobody(world: World) -> None:
    outside = Outside(after=[dies])
    outlive(world, sending(outside), an_event()[1])

    assert attempt_row(world)["state"] == OPEN
    assert "until" not in attempt_row(world) or attempt_row(world)["until"] < clock.now()


def test_a_process_that_dies_before_its_attempt_is_noted_has_called_nobody(world: World) -> None:
    outside = Outside()
    faults.die_at_call(2, after=False)
    envelope, message = an_event()
    with pytest.raises(Death):
        world.deliver(sending(outside), message)
    assert outside.calls == []

    assert world.deliver(sending(outside), later(message)) == []

    assert outside.calls == ["trial/1001"]
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# Guards: the condition of begin, and that an attempt in doubt ends, where nobody can be asked.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("accident", [None, Death(), Slip(), NotPerformed("down")], ids=repr)
def test_whenever_a_process_dies_what_cannot_be_asked_about_is_called_once_at_most(
    world: World, call: int | str, after: bool, accident: BaseException | None
) -> None:
    outside = Outside()

    def breaks() -> None:
        if accident:
            raise accident

    # What certainly did nothing, may come again.
    harmless = isinstance(accident, NotPerformed)
    (outside.before if harmless else outside.after).append(breaks)
    envelope, message = an_event()
    faults.die_at_call(call, after=after)

    outlive(world, sending(outside), message)

    assert len(outside.calls) <= (2 if harmless else 1)
    dead = set(errors(world.dead_letters()))
    committed = [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert (dead, len(world.recorded())) == ((set(), 1) if committed else ({"OutcomeUnknown"}, 0))
    assert attempt_row(world)["state"] == (CONCLUDED if committed else OPEN)


# Guards: the condition of begin, and the fencing number.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("accident", [None, Death(), Slip()], ids=repr)
def test_whenever_a_process_dies_what_can_be_asked_about_happens_once_and_is_told_once(
    world: World, call: int | str, after: bool, accident: BaseException | None
) -> None:
    def breaks() -> None:
        if accident:
            raise accident

    outside = Outside(after=[breaks])
    envelope, message = an_event()
    faults.die_at_call(call, after=after)

    outlive(world, paying(outside), message)

    assert outside.calls == ["trial/1001"]
    assert world.events("letter/1001.trial") == [SENT]
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert attempt_row(world)["state"] == CONCLUDED
    assert world.dead_letters() == []


# --- what the body says -----------------------------------------------------------------------------------------------


# Guards: that OutcomeUnknown is final where nobody can be asked.
def test_an_error_of_a_call_that_cannot_be_asked_about_is_dead_at_once(world: World) -> None:
    handler, attempts = raising(Slip(MARK))
    envelope, message = an_event()

    assert world.deliver(handler, message) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("OutcomeUnknown", envelope.metadata.id)
    assert "Slip" in dead.attributes["reason"]
    assert (len(attempts), attempt_row(world)["state"], "until" in attempt_row(world)) == (1, OPEN, False)


def test_an_answer_that_the_body_does_not_understand_is_a_try_and_the_last_is_dead(world: World) -> None:
    handler, attempts = raising(*[ValueError(MARK)] * RETRY.attempts, can_ask=True)
    envelope, message = an_event()
    again = []
    for _ in range(RETRY.attempts):
        again.append(bool(world.deliver(handler, message)))
        message = later(message)

    assert again == [True, True, False]
    assert [attempt.in_doubt for attempt in attempts] == [False, True, True]
    (dead,) = world.dead_letters()
    assert dead.error == "OutcomeUnknown"
    assert [told["error"] for entry in world.entries(envelope) for told in entry.tries] == ["OutcomeUnknown"] * 2


def test_what_is_asked_about_again_finds_what_was_noted(world: World) -> None:
    seen: list[tuple[bool, dict[str, str]]] = []

    def body(record: EffectRecord) -> Event:
        seen.append((record.in_doubt, dict(record.notes)))
        if not record.in_doubt:
            record.note(intent="pi_1")
            record.note(step="confirmed")
            assert record.notes == {"intent": "pi_1", "step": "confirmed"}
            raise Slip
        return SENT

    outlive(world, attempting(body, can_ask=True), an_event()[1])

    assert seen == [(False, {}), (True, {"intent": "pi_1", "step": "confirmed"})]
    assert world.events("letter/1001.trial") == [SENT]


@pytest.mark.parametrize("name", ["number", "open", "state", "until", "token", "now", "one", "notes"])
def test_a_note_may_have_any_name(world: World, name: str) -> None:
    def body(record: EffectRecord) -> Event:
        record.note(**{name: "17"})
        return SENT

    assert world.deliver(attempting(body), an_event()[1]) == []

    assert (attempt_row(world)["notes"], attempt_row(world)["state"]) == ({name: "17"}, CONCLUDED)


# Guards: that what had no effect is withdrawn.
@pytest.mark.parametrize("can_ask", [False, True])
def test_what_certainly_did_nothing_comes_again_uncounted_and_undoubted(world: World, can_ask: bool) -> None:
    down = [NotPerformed("the provider is down")] * (2 * RETRY.attempts)
    handler, attempts = raising(*down, can_ask=can_ask)
    envelope, message = an_event()
    for _ in down:
        assert world.deliver(handler, message) == [message]
        assert (attempt_row(world)["state"], "until" in attempt_row(world)) == (WITHDRAWN, False)
        message = later(message)

    assert world.deliver(handler, message) == []

    assert not any(attempt.in_doubt for attempt in attempts)
    assert world.events("letter/1001.trial") == [SENT]
    assert [list(entry.tries) for entry in world.entries(envelope)] == [[]]


def test_another_event_may_do_what_certainly_was_not_done(world: World) -> None:
    handler, _ = raising(NotPerformed("the provider is down"))
    (first, one), (second, another) = an_event(), an_event()
    world.deliver(handler, one)

    assert world.deliver(handler, another) == []
    assert world.deliver(handler, later(one)) == []

    assert len(world.recorded()) == 1
    assert [entry.state for event in (first, second) for entry in world.entries(event)] == [COMMITTED, COMMITTED]


def test_what_did_nothing_is_tried_for_as_long_as_patience_lasts(world: World) -> None:
    handler, _ = raising(NotPerformed("the provider is down"))

    assert world.deliver(handler, Message(from_the_bus(recorded()), age=RETRY.retry_window + 1)) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NotPerformed", "the provider is down")
    assert attempt_row(world)["state"] == WITHDRAWN


@pytest.mark.parametrize("failure", [NotPerformed("the provider is down"), Slip()], ids=repr)
def test_notes_outlast_an_attempt_that_failed(world: World, failure: Exception) -> None:
    left = [failure]

    def body(record: EffectRecord) -> Event:
        if left:
            record.note(intent="pi_1")
            raise left.pop()
        assert record.notes == {"intent": "pi_1"}
        return SENT

    outlive(world, attempting(body, can_ask=True), an_event()[1])

    assert world.events("letter/1001.trial") == [SENT]


# Guards: that a doubt outlasts all but an outcome.
@pytest.mark.parametrize("failure", [NotPerformed("the provider is down"), NonRetryable("no such payment")], ids=repr)
def test_a_doubt_outlasts_an_attempt_to_ask(world: World, failure: Exception) -> None:
    handler, attempts = raising(Slip(), failure, can_ask=True)
    message = outlive(world, handler, an_event()[1])
    if isinstance(failure, NonRetryable):
        outlive(world, handler, Message(message.body))  # sent again

    assert [attempt.in_doubt for attempt in attempts] == [False, True, True]
    assert world.events("letter/1001.trial") == [SENT]


def test_what_is_rejected_is_dead_and_may_be_attempted_again(world: World) -> None:
    handler, attempts = raising(NonRetryable("the sender is not verified"))
    _, message = an_event()

    assert world.deliver(handler, message) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NonRetryable", "the sender is not verified")
    assert attempt_row(world)["state"] == WITHDRAWN

    assert world.deliver(handler, message.body) == []
    assert [attempt.in_doubt for attempt in attempts] == [False, False]
    assert world.events("letter/1001.trial") == [SENT]


def test_an_outcome_that_is_not_there_yet_is_asked_for_with_a_patience_of_its_own(world: World) -> None:
    retry_window = 10 * RETRY.retry_window
    handler, attempts = raising(*[RetryLater("it is processing", retry_window=retry_window)] * 3, can_ask=True)
    _, message = an_event()

    aged = Message(message.body, age=retry_window - 60)
    assert world.deliver(handler, aged) == [aged]
    assert world.deliver(handler, later(aged)) == [later(aged)]
    assert world.deliver(handler, Message(message.body, age=retry_window + 60)) == []

    assert [attempt.in_doubt for attempt in attempts] == [False, True, True]
    assert errors(world.dead_letters()) == ["RetryLater"]
    assert attempt_row(world)["state"] == OPEN


def test_neither_log_nor_ledger_nor_reason_quotes_what_a_call_has_said(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    handler, _ = raising(*[ValueError(MARK)] * RETRY.attempts, can_ask=True)
    envelope = recorded(an_order(customer={"name": MARK, "email": f"{MARK}@example.com"}))

    outlive(world, handler, Message(from_the_bus(envelope)))

    (dead,) = world.dead_letters()
    assert MARK not in json.dumps(dead.attributes)
    assert MARK not in str(world.items("ledger"))
    output = capsys.readouterr()
    assert "OutcomeUnknown" in output.out
    assert MARK not in output.out + output.err


# --- two at once, and answers that are lost ---------------------------------------------------------------------------


# Guards: the condition of begin.
@pytest.mark.parametrize("make", [sending, paying])
def test_of_two_processes_with_one_event_the_second_waits(world: World, make: Callable[[Outside], Trial]) -> None:
    outside = Outside()
    envelope, message = an_event()
    handler = make(outside)
    waited: list[list[Message]] = []
    outside.before.append(lambda: waited.append(world.deliver(handler, message)))

    assert world.deliver(handler, message) == []

    assert (waited, outside.calls) == ([[message]], ["trial/1001"])
    assert world.events("letter/1001.trial") == [SENT]
    assert [list(entry.tries) for entry in world.entries(envelope)] == [[]]


@pytest.mark.parametrize("make", [sending, paying])
def test_an_attempt_whose_beginning_was_answered_only_the_second_time_is_no_doubt(
    world: World, make: Callable[[Outside], Trial]
) -> None:
    outside = Outside()
    faults.send_again("UpdateItem")
    calls = faults.calls()

    assert world.deliver(make(outside), an_event()[1]) == []

    assert calls.count("UpdateItem") == 1
    assert attempt_row(world)["number"] == 1
    assert (outside.calls, world.events("letter/1001.trial")) == (["trial/1001"], [SENT])


def test_an_attempt_that_others_took_over_is_not_taken_for_the_one_that_was_begun(world: World) -> None:
    outside = Outside()
    handler = paying(outside)
    _, message = an_event()

    def others_die_at_it() -> None:
        time_passes(world)
        outside.before.append(dies)
        with pytest.raises(Death):
            world.deliver(handler, message)

    faults.send_again("UpdateItem")
    faults.meanwhile("GetItem", others_die_at_it)  # when it looks whose attempt it is

    assert world.deliver(handler, message) == [message]

    assert outside.calls == ["trial/1001"]


def test_an_attempt_whose_beginning_was_never_answered_is_not_made(world: World) -> None:
    outside = Outside()
    faults.lose_the_answer("UpdateItem")
    _, message = an_event()

    assert world.deliver(sending(outside), message) == [message]
    assert outside.calls == []

    outlive(world, sending(outside), later(message))
    assert outside.calls == []
    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


@pytest.mark.parametrize("failure", [faults.DENIED, faults.error("ThrottlingException"), faults.CONFLICT])
def test_an_outcome_that_cannot_be_written_down_is_written_while_time_remains(
    world: World, failure: faults.Answer
) -> None:
    outside = Outside()
    faults.answer("TransactWriteItems", *[failure] * 5)

    assert world.deliver(sending(outside), an_event()[1], context=Context(seconds=30, less=0.01)) == []

    assert (outside.calls, world.events("letter/1001.trial")) == (["trial/1001"], [SENT])
    assert world.dead_letters() == []


@pytest.mark.parametrize("make", [sending, paying])
def test_an_outcome_that_was_never_written_down_is_unknown_or_asked_for(
    world: World, make: Callable[[Outside], Trial]
) -> None:
    outside = Outside()
    faults.answer("TransactWriteItems", *[faults.DENIED] * 3)
    envelope, message = an_event()
    assert world.deliver(make(outside), message, context=Context(seconds=10, less=2)) == [message]
    assert [list(entry.tries) for entry in world.entries(envelope)] == [[]]

    faults.answer("TransactWriteItems")
    time_passes(world)
    outlive(world, make(outside), later(message))

    assert outside.calls == ["trial/1001"]
    known = make is paying
    assert errors(world.dead_letters()) == ([] if known else ["OutcomeUnknown"])
    assert len(world.recorded()) == known


@pytest.mark.parametrize("make", [sending, paying])
def test_a_conclusion_whose_answer_was_lost_is_no_second_attempt(
    world: World, make: Callable[[Outside], Trial]
) -> None:
    outside = Outside()
    envelope, message = an_event()
    faults.lose_the_answer("TransactWriteItems")

    outlive(world, make(outside), message)

    assert (outside.calls, world.events("letter/1001.trial")) == (["trial/1001"], [SENT])
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
    assert world.dead_letters() == []


# Guards: that a withdrawal is insisted on.
def test_a_withdrawal_that_fails_at_first_is_written_while_time_remains(world: World) -> None:
    handler, attempts = raising(NotPerformed("the provider is down"))
    faults.answer("UpdateItem", *[faults.DENIED] * 3, about="REMOVE #until")
    _, message = an_event()

    assert world.deliver(handler, message, context=Context(seconds=30, less=0.01)) == [message]
    assert world.deliver(handler, later(message)) == []

    assert not any(attempt.in_doubt for attempt in attempts)
    assert world.events("letter/1001.trial") == [SENT]


def test_a_lock_that_cannot_be_taken_off_holds_up_no_dead_letter(world: World) -> None:
    handler, _ = raising(Slip())
    faults.always_answer("UpdateItem", faults.DENIED, about="REMOVE #until")

    assert world.deliver(handler, an_event()[1]) == []

    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


# Guards: the fencing number.
@pytest.mark.parametrize("says", ["note", "conclude", "withdraw", "leave"])
def test_a_process_that_has_lost_its_attempt_can_say_nothing_more_of_it(world: World, says: str) -> None:
    _, message = an_event()
    lives: list[str] = []

    def body(record: EffectRecord) -> Event:
        lives.append("in doubt" if record.in_doubt else "first")
        if record.in_doubt:
            raise Death
        time_passes(world)
        with pytest.raises(Death):
            world.deliver(handler, message)
        if says == "note":
            record.note(intent="pi_1")
        if says == "withdraw":
            raise NotPerformed("the provider is down")
        if says == "leave":
            raise Slip
        return SENT

    handler = attempting(body, can_ask=True)
    assert world.deliver(handler, message) == [message]

    assert lives == ["first", "in doubt"]
    assert world.recorded() == []
    row = attempt_row(world)
    assert (row["state"], row["number"], row["notes"], "until" in row) == (OPEN, 2, {}, True)


@pytest.mark.parametrize("failure", [None, NotPerformed("the provider is down")], ids=["concluded", "withdrawn"])
def test_of_an_attempt_that_has_ended_nothing_more_can_be_said(world: World, failure: Exception | None) -> None:
    handler, attempts = raising(*[failure] if failure else [])
    world.deliver(handler, an_event()[1])
    before = attempt_row(world)

    for say in (attempts[0].withdraw, attempts[0].leave, lambda: attempts[0].note(intent="pi_1")):
        with pytest.raises(InProgress):
            say()

    assert attempt_row(world) == before


def test_what_one_process_has_concluded_another_does_not_tell_again(world: World) -> None:
    outside = Outside()
    envelope, message = an_event()
    handler = paying(outside)

    def another_takes_over() -> None:
        time_passes(world)
        assert world.deliver(handler, message) == []

    outside.after.append(another_takes_over)
    outlive(world, handler, message)

    assert (outside.calls, world.events("letter/1001.trial")) == (["trial/1001"], [SENT])
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]


# --- time, and declarations -------------------------------------------------------------------------------------------


def test_what_could_not_wait_for_an_answer_is_not_begun(world: World) -> None:
    outside = Outside()
    envelope, message = an_event()

    assert world.deliver(sending(outside), message, context=Context(seconds=3.5, less=1)) == [message]
    assert (outside.calls, attempt_row(world)["state"]) == ([], WITHDRAWN)
    assert [list(entry.tries) for entry in world.entries(envelope)] == [[]]

    assert world.deliver(sending(outside), later(message)) == []
    assert outside.calls == ["trial/1001"]


@pytest.mark.parametrize("idempotency_key", ["trial", "trial/{number}", "trial/{}"])
def test_a_purpose_that_does_not_tell_one_thing_from_another_is_an_error_at_once(idempotency_key: str) -> None:
    def body(_: OrderPlaced, __: EffectRecord) -> None: ...

    with pytest.raises(BadIdempotencyKey, match="OrderPlaced"):
        effect(OrderPlaced, idempotency_key=idempotency_key, emits=())(body)


def test_an_outcome_that_was_not_declared_is_not_lost_in_silence(world: World) -> None:
    outside = Outside()

    def body(record: EffectRecord) -> Event:
        outside.make(record.idempotency_key)
        return goods()

    outlive(world, attempting(body), an_event()[1])

    assert outside.calls == ["trial/1001"]
    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


def test_what_fails_before_anything_is_asked_of_the_world_outside_is_tried_again_as_any_other(world: World) -> None:
    outside = Outside()
    failures = [ValueError("no such letter")]

    def body(record: EffectRecord) -> Event:
        with record.preparing():
            if failures:
                raise failures.pop()
        outside.make(record.idempotency_key)
        return SENT

    handler = attempting(body)
    _, message = an_event()

    (again,) = world.deliver(handler, message)
    assert attempt_row(world)["state"] == WITHDRAWN
    assert world.deliver(handler, later(again)) == []

    assert len(outside.calls) == 1
    assert world.dead_letters() == []
    assert attempt_row(world)["state"] == CONCLUDED


def test_what_fails_after_the_preparation_leaves_the_outcome_unknown(world: World) -> None:
    def body(record: EffectRecord) -> Event:
        with record.preparing():
            pass
        raise TimeoutError

    assert world.deliver(attempting(body), an_event()[1]) == []

    assert errors(world.dead_letters()) == ["OutcomeUnknown"]
