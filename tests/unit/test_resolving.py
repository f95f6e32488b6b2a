"""An operator resolves effects with an unknown outcome: each outcome is recorded once, and no effect runs twice."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from daybook.consumers.effect_records import OPEN, WITHDRAWN, EffectRecord, InProgress
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import EffectResolved
from daybook.operate.connection import Connection
from daybook.operate.dead_letters import resolve as resolving
from daybook.operate.dead_letters.decision import NoAnswer, RowNotProven
from daybook.operate.dead_letters.index import NoSuchDeadLetter
from daybook.operate.dead_letters.resolve import (
    EffectMayBeRunning,
    EffectRecordChanged,
    InvalidOutcomeEvent,
    NothingToResolve,
    UnknownOutcome,
)
from daybook.store.attributes import pack_item
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from daybook.store.transaction import Backoff, write_alone
from daybook.testing.keys import writer
from daybook.testing.world import NAMES, World
from tests.application.builders import from_the_bus, recorded
from tests.application.contracts.reminders import ReminderSent
from tests.unit.bodies import attempting
from tests.unit.bodies import running as reacting
from tests.unit.running import Running, dies_at, error_of, operation_event
from tests.unit.test_delivery_attempts import Slip
from tests.unit.test_effects import effect_record, time_passes

WHY = "SES has no such message"
SENT = ReminderSent(reminder_id="1001.trial", loan_id="1001", message_id="M-1")
OUTCOME = json.dumps({"DetailType": "ReminderSent", "data": json.loads(SENT.to_json())})


class Mailer:
    """The external system. It accepts every call, and does not always answer."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.silent = True
        self.meanwhile: Callable[[EffectRecord], object] = lambda _: None

    def body(self, record: EffectRecord) -> Event:
        self.sent.append(record.idempotency_key)
        self.meanwhile(record)
        if self.silent:
            raise Slip
        return SENT


@pytest.fixture
def running(world: World, library: None) -> Running:  # noqa: ARG001 - the application that commands serve
    return Running(world)


@pytest.fixture
def mailer() -> Mailer:
    return Mailer()


def with_unknown_outcome(running: Running, mailer: Mailer) -> Envelope:
    """An event whose effect has an unknown outcome. From now on the external system answers."""
    running.deploy(attempting(mailer.body))
    envelope = recorded()
    running.world.append(envelope)
    running.receives(from_the_bus(envelope), "try-it")
    mailer.silent = False
    return envelope


def resolved(
    running: Running,
    dead_letter: Envelope | str,
    outcome: str,
    text: str = OUTCOME,
    connection: Connection | None = None,
) -> resolving.Resolved:
    """What the command `daybook dead resolve` does."""
    connection = connection or running.connection()
    name = dead_letter if isinstance(dead_letter, str) else dead_letter.metadata.id
    try:
        unknown = resolving.find(connection, name)
    except NoSuchDeadLetter:
        done = resolving.already_resolved(connection, name)
        if done is None:
            raise
        return done
    if outcome == resolving.NO_EFFECT:
        return resolving.had_no_effect(connection, unknown, WHY, pause=running.pause)
    event = resolving.outcome_in(unknown, text) if text else None
    return resolving.took_effect(connection, unknown, event, WHY)


def unknown_outcome(running: Running, dead_letter: Envelope) -> UnknownOutcome:
    return resolving.find(running.connection(), dead_letter.metadata.id)


def state(running: Running, event: Envelope) -> str:
    (entry,) = running.world.entries(event)
    return entry.state


def plant(running: Running, event: Envelope) -> None:
    """Write a row that says that the effect is done, as somebody with rights to the ledger's table could."""
    row = {"key": f"try-it#{event.metadata.id}", "state": COMMITTED, "at": clock.now()}
    running.world.client.put_item(TableName=NAMES.ledger, Item=pack_item(row))


# Guards: the check in `already_resolved`.
def test_a_planted_row_is_not_taken_as_an_earlier_resolution(running: Running, mailer: Mailer) -> None:
    envelope = with_unknown_outcome(running, mailer)
    plant(running, envelope)

    for outcome in (resolving.NO_EFFECT, resolving.TOOK_EFFECT):
        name = f"{envelope.metadata.id}@try-it"
        assert envelope.metadata.id in error_of(lambda: resolved(running, name, outcome), RowNotProven)  # noqa: B023


# Guards: the check in `_wait_for_result`.
def test_a_planted_row_is_not_taken_as_the_result_of_the_effect(running: Running, mailer: Mailer) -> None:
    envelope = with_unknown_outcome(running, mailer)
    time_passes(running.world)
    mailer.meanwhile = lambda _: plant(running, envelope)

    error = error_of(lambda: resolved(running, envelope, resolving.NO_EFFECT), RowNotProven)

    assert envelope.metadata.id in error


# --- the effect did not happen ----------------------------------------------------------------------------------------


def test_an_effect_that_did_not_happen_runs_again_and_records_its_outcome_itself(
    running: Running, mailer: Mailer
) -> None:
    event = with_unknown_outcome(running, mailer)
    assert (state(running, event), mailer.sent) == (DEAD, ["trial/1001"])

    done = resolved(running, event, resolving.NO_EFFECT)

    assert mailer.sent == ["trial/1001"] * 2
    assert (done.state, state(running, event)) == (COMMITTED, COMMITTED)
    assert running.world.events("reminder/1001.trial") == [SENT]
    (operation,) = running.operations()
    resolution = operation_event(operation)
    assert isinstance(resolution, EffectResolved)
    assert (resolution.dead_letter.event, resolution.dead_letter.error, resolution.idempotency_key) == (
        event.metadata.id,
        "OutcomeUnknown",
        "trial/1001",
    )
    assert (resolution.outcome, resolution.reason, resolution.outcome_events) == (resolving.NO_EFFECT, WHY, ())


def test_an_outcome_that_is_unknown_again_is_reported(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    mailer.silent = True

    done = resolved(running, event, resolving.NO_EFFECT)

    assert (done.state, done.error) == (DEAD, "OutcomeUnknown")
    assert (effect_record(running.world)["state"], len(mailer.sent)) == (OPEN, 2)


def test_without_an_answer_of_the_effect_the_command_fails_and_the_event_stays_in_its_queue(
    running: Running, mailer: Mailer
) -> None:
    event = with_unknown_outcome(running, mailer)
    unknown = unknown_outcome(running, event)

    error = error_of(
        lambda: resolving.had_no_effect(running.connection(), unknown, WHY, pause=lambda _: None), NoAnswer
    )

    assert "daybook dead show" in error
    assert (state(running, event), effect_record(running.world)["state"]) == (DEAD, WITHDRAWN)
    assert running.waiting("try-it") == 1


# Guards: an interrupted command is found by its mark on the effect record, and the withdrawal is conditional.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_an_interrupted_resolution_as_no_effect_that_is_repeated_runs_the_effect_once(
    running: Running, mailer: Mailer, call: int | str, after: bool
) -> None:
    event = with_unknown_outcome(running, mailer)

    dies_at(
        running,
        lambda connection: resolved(running, event, resolving.NO_EFFECT, connection=connection),
        call,
        after=after,
    )
    done = resolved(running, event, resolving.NO_EFFECT)
    running.process_all()

    assert mailer.sent == ["trial/1001"] * 2  # the call with the unknown outcome, and one more
    assert (done.state, state(running, event)) == (COMMITTED, COMMITTED)
    assert running.world.events("reminder/1001.trial") == [SENT]
    assert len(running.operations()) == 1


# Guards: the number that the withdrawal increases.
@pytest.mark.parametrize("says", ["note", "complete", "withdraw", "leave"])
def test_a_process_that_was_thought_dead_cannot_write_to_an_effect_record_that_was_withdrawn(
    running: Running, mailer: Mailer, says: str
) -> None:
    def delay(record: EffectRecord) -> None:
        mailer.meanwhile = lambda _: None
        mailer.silent = False
        time_passes(running.world)
        running.receives(from_the_bus(event), "try-it")  # again, in another process, which finds an unknown outcome
        done = resolved(running, event, resolving.NO_EFFECT)
        assert done.state == COMMITTED
        if says == "note":
            with pytest.raises(InProgress):
                record.note(x="1")
        if says == "withdraw":
            with pytest.raises(InProgress):
                record.withdraw()
        if says == "leave":
            with pytest.raises(InProgress):
                record.release()

    running.deploy(attempting(mailer.body))
    event = recorded()
    running.world.append(event)
    mailer.meanwhile = delay
    running.receives(from_the_bus(event), "try-it")
    running.process_all()

    assert running.world.events("reminder/1001.trial") == [SENT]
    assert effect_record(running.world)["notes"] == {}


# --- the effect happened ----------------------------------------------------------------------------------------------


def test_an_effect_that_happened_does_not_run_again_and_has_the_outcome_event_that_it_would_have_emitted(
    running: Running, mailer: Mailer
) -> None:
    event = with_unknown_outcome(running, mailer)

    done = resolved(running, event, resolving.TOOK_EFFECT)
    running.receives(from_the_bus(event), "try-it")

    assert mailer.sent == ["trial/1001"]
    (by_hand,) = running.world.stream("reminder/1001.trial")
    assert running.world.events("reminder/1001.trial") == [SENT]
    assert done == resolving.Resolved(f"{event.metadata.id}@try-it", COMMITTED, (by_hand.metadata.id,))
    (entry,) = running.world.entries(event)
    (operation,) = running.operations()
    assert (entry.state, list(entry.emitted)) == (COMMITTED, [by_hand.metadata.id])
    assert not entry.details.keys() & {"dead", "error", "reason", "body"}
    assert entry.details["operation"] == operation_event(operation).operation_id
    assert entry.details["effect"] == "trial/1001"
    row = effect_record(running.world)
    assert (row["resolved_by"], "until" in row) == (entry.details["operation"], False)
    assert (operation_event(operation).outcome, operation_event(operation).outcome_events) == (
        resolving.TOOK_EFFECT,
        (by_hand.metadata.id,),
    )


def test_the_outcome_event_is_that_of_the_effect_except_for_time_and_hash(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    resolved(running, event, resolving.TOOK_EFFECT)
    (by_hand,) = running.world.stream("reminder/1001.trial")
    running.world.clear("ledger")
    running.world.clear_store()
    running.world.append(event)

    running.receives(from_the_bus(event), "try-it")

    (by_itself,) = running.world.stream("reminder/1001.trial")
    for name in ("id", "type", "version", "stream", "sequence", "correlation_id", "causation_id", "producer"):
        assert getattr(by_hand.metadata, name) == getattr(by_itself.metadata, name), name
    assert (by_hand.data, by_hand.source, by_hand.in_correlation_index, by_hand.previous) == (
        by_itself.data,
        by_itself.source,
        by_itself.in_correlation_index,
        by_itself.previous,
    )


def test_an_effect_that_happened_may_have_no_outcome_event(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)

    done = resolved(running, event, resolving.TOOK_EFFECT, text="")

    assert (done.state, done.outcome_events) == (COMMITTED, ())
    assert running.business_events() == [event]


# Guards: all writes are one transaction.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_an_interrupted_resolution_as_took_effect_that_is_repeated_records_one_outcome_event(
    running: Running, mailer: Mailer, call: int | str, after: bool
) -> None:
    event = with_unknown_outcome(running, mailer)

    died = dies_at(
        running,
        lambda connection: resolved(running, event, resolving.TOOK_EFFECT, connection=connection),
        call,
        after=after,
    )
    recorded_types = [envelope.metadata.type for envelope in running.world.recorded()]
    done = resolved(running, event, resolving.TOOK_EFFECT)

    assert died == (call not in {7, 8})
    assert len(recorded_types) in {1, 3}  # all writes, or none
    assert (done.state, state(running, event), mailer.sent) == (COMMITTED, COMMITTED, ["trial/1001"])
    assert running.world.events("reminder/1001.trial") == [SENT]
    assert len(running.operations()) == 1


# Guards: the number of the effect record, in both transactions.
@pytest.mark.parametrize("outcome", [resolving.NO_EFFECT, resolving.TOOK_EFFECT])
def test_an_effect_record_that_was_changed_meanwhile_is_not_resolved(
    running: Running, mailer: Mailer, outcome: str
) -> None:
    event = with_unknown_outcome(running, mailer)
    unknown = unknown_outcome(running, event)
    running.receives(from_the_bus(event), "try-it")  # finds an unknown outcome, and changes only the number

    connection = running.connection()
    commands: dict[str, Callable[[], object]] = {
        resolving.NO_EFFECT: lambda: resolving.had_no_effect(connection, unknown, WHY, pause=running.pause),
        resolving.TOOK_EFFECT: lambda: resolving.took_effect(connection, unknown, SENT, WHY),
    }
    error_of(commands[outcome], EffectRecordChanged)

    assert (effect_record(running.world)["state"], running.operations(), mailer.sent) == (OPEN, [], ["trial/1001"])


# Guards: the condition on the ledger's row of the withdrawal.
def test_an_effect_whose_outcome_was_recorded_meanwhile_is_not_withdrawn(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    unknown = unknown_outcome(running, event)
    m = event.metadata
    late = LedgerEntry(m.id, "try-it", COMMITTED, m.time, m.stream, m.sequence, details={"effect": "trial/1001"})
    write_alone(running.world.client, "row", running.world.ledger.record(late, writer("try-it")), Backoff(lambda: 9))

    command = partial(resolving.had_no_effect, running.connection(), unknown, WHY, pause=running.pause)
    error_of(command, EffectRecordChanged)

    assert (effect_record(running.world)["state"], running.operations(), mailer.sent) == (OPEN, [], ["trial/1001"])


def test_of_two_resolutions_as_took_effect_both_succeed(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    unknown = unknown_outcome(running, event)
    first = resolved(running, event, resolving.TOOK_EFFECT)

    second = resolving.took_effect(running.connection(), unknown, SENT, WHY)

    assert second == first
    assert (len(running.operations()), len(running.business_events())) == (1, 2)


def test_of_two_different_resolutions_the_second_one_fails(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    unknown = unknown_outcome(running, event)
    connection = running.connection()
    with pytest.raises(NoAnswer):
        resolving.had_no_effect(connection, unknown, WHY, pause=lambda _: None)

    error = error_of(lambda: resolved(running, event, resolving.TOOK_EFFECT), EffectRecordChanged)

    assert "had no effect" in error
    assert running.world.stream("reminder/1001.trial") == []


def test_an_outcome_event_cannot_open_a_stream_that_is_open(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    running.world.append(recorded(SENT))

    error = error_of(lambda: resolved(running, event, resolving.TOOK_EFFECT), InvalidOutcomeEvent)

    assert "reminder/1001.trial" in error
    assert (state(running, event), running.operations()) == (DEAD, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no JSON", "not JSON"),
        ("[]", "remove the others from the file"),
        ('{"data": {}}', "does not have the form"),
        ('{"DetailType": "ReminderSent"}', "does not have the form"),
        ('{"DetailType": "EmailRefused", "data": {}}', "try-it emits ReminderSent, not EmailRefused"),
        (OUTCOME.replace('"M-1"', "5"), "message_id"),
        (OUTCOME.replace('"M-1"', '"FILL IN, such as 0100"'), "fill in message_id"),
        (OUTCOME.replace('"M-1"', '"•••"'), "fill in message_id"),
        (OUTCOME.replace('"1001"', '"1002"'), "loan_id differs from the dead letter's event"),
    ],
)
def test_an_event_that_the_effect_could_not_emit_is_refused(
    running: Running, mailer: Mailer, text: str, expected: str
) -> None:
    unknown = unknown_outcome(running, with_unknown_outcome(running, mailer))

    assert expected in error_of(lambda: resolving.outcome_in(unknown, text), InvalidOutcomeEvent)


@pytest.mark.parametrize(
    "text",
    [
        OUTCOME,
        f"[{OUTCOME}]",
        json.dumps({"Source": "x", "DetailType": "ReminderSent", "Detail": {"data": json.loads(OUTCOME)["data"]}}),
    ],
)
def test_an_outcome_event_may_have_several_forms(running: Running, mailer: Mailer, text: str) -> None:
    assert resolving.outcome_in(unknown_outcome(running, with_unknown_outcome(running, mailer)), text) == SENT


def test_a_template_contains_known_values_and_hides_personal_data(running: Running, mailer: Mailer) -> None:
    unknown = unknown_outcome(running, with_unknown_outcome(running, mailer))

    (template,) = unknown.templates

    assert template == {
        "DetailType": "ReminderSent",
        "data": {
            "reminder_id": "FILL IN, for example 1001.first",
            "loan_id": "1001",
            "message_id": f"FILL IN, for example {ReminderSent.example['message_id']}",
        },
    }


# --- dead letters without an unknown outcome --------------------------------------------------------------------------


def test_a_dead_letter_of_a_reaction_cannot_be_resolved(running: Running) -> None:
    running.deploy(reacting(lambda _: None))

    error = error_of(lambda: unknown_outcome(running, a_dead_letter(running)), NothingToResolve)

    assert "try-it is a reaction, not an effect" in error


def test_an_event_that_died_before_its_attempt_cannot_be_resolved(running: Running, mailer: Mailer) -> None:
    running.deploy(attempting(mailer.body))

    error = error_of(lambda: unknown_outcome(running, a_dead_letter(running)), NothingToResolve)

    assert "there was no attempt of trial/1001" in error
    assert "daybook dead retry" in error


def test_an_event_that_is_not_in_the_store_cannot_be_resolved(running: Running, mailer: Mailer) -> None:
    running.deploy(attempting(mailer.body))

    error = error_of(lambda: unknown_outcome(running, a_dead_letter(running, stored=False)), NothingToResolve)

    assert "is not in the store" in error


def test_an_effect_that_is_known_not_to_have_happened_must_be_retried(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    set_effect_record(running, state=WITHDRAWN)

    error = error_of(lambda: unknown_outcome(running, event), NothingToResolve)

    assert "had no effect; to attempt it again: daybook dead retry" in error


def test_an_effect_that_is_known_to_have_happened_must_be_retried(running: Running, mailer: Mailer) -> None:
    first = with_unknown_outcome(running, mailer)
    event = a_dead_letter(running, sequence=False)
    resolved(running, first, resolving.TOOK_EFFECT)

    error = error_of(lambda: unknown_outcome(running, event), NothingToResolve)

    assert "is already recorded" in error


def test_an_attempt_for_another_event_is_resolved_at_that_event(running: Running, mailer: Mailer) -> None:
    with_unknown_outcome(running, mailer)
    another = a_dead_letter(running, sequence=False)
    cause = effect_record(running.world)["cause"]

    error = error_of(lambda: unknown_outcome(running, another), NothingToResolve)

    assert f"daybook dead resolve {cause}@try-it" in error


def test_an_effect_cannot_be_resolved_while_its_process_may_be_running(running: Running, mailer: Mailer) -> None:
    event = with_unknown_outcome(running, mailer)
    soon = clock.timestamp(datetime.now(UTC) + timedelta(seconds=30))
    set_effect_record(running, until=soon)

    error = error_of(lambda: unknown_outcome(running, event), EffectMayBeRunning)

    ended = clock.timestamp(clock.moment(soon) + timedelta(minutes=1))  # clocks differ
    assert f"repeat the command after {ended[:19]}Z" in error


def a_dead_letter(running: Running, *, stored: bool = True, sequence: bool = True) -> Envelope:
    """An event that is dead at the consumer and was never delivered to it."""
    first = recorded()
    envelope = first if sequence else recorded(after=first)
    if stored:
        running.world.append(envelope)
    m = envelope.metadata
    details = {"error": "MaxReceiveCount", "reason": "…", "body": from_the_bus(envelope), "event_type": m.type}
    running.world.ledger.record_dead(
        LedgerEntry(m.id, "try-it", DEAD, clock.now(), m.stream, m.sequence, details=details)
    )
    return envelope


def set_effect_record(running: Running, **values: str) -> None:
    """Change the effect record, as another process would."""
    running.world.client.update_item(
        TableName=NAMES.ledger,
        Key={"key": {"S": effect_record(running.world)["key"]}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
    )
