"""Resolves effects whose outcome is unknown: an operator has looked in the external system, and records the outcome.

If it had no effect, the effect record is withdrawn, and the effect receives its event again. If it took effect, the
outcome is recorded as an event, as the effect would have emitted it. Each is one transaction with the record of the
operation, so an interrupted command can be repeated.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any, Final, Literal

from pydantic import BaseModel

from daybook.application import catalogue
from daybook.consumers.effect_records import OPEN, WITHDRAWN, EffectRecords
from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken, Event, Place, UnknownVersion, personal_fields
from daybook.contracts.envelope import Envelope, EventTooLarge
from daybook.contracts.identity import emitted_id, filled_key
from daybook.contracts.operations import EffectResolved
from daybook.contracts.proof import OPERATIONS
from daybook.operate import moments
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import NoAnswer, check_proven, recorded
from daybook.operate.dead_letters.index import DeadLetter, named, split_id
from daybook.operate.delivery import Delivery
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.masking import HIDDEN, shown
from daybook.operate.operation import Operation
from daybook.operate.polling import poll
from daybook.operate.reading import line_of
from daybook.operate.registered import rows_of
from daybook.operate.send.entries import json_in
from daybook.operate.terminal import daybook
from daybook.store.event_store import Draft, Head, successor
from daybook.store.ledger import COMMITTED, DEAD, EFFECT_KEY, LedgerEntry
from daybook.store.transaction import ConditionsFailed

EFFECT: Final = "effect"
TOOK_EFFECT: Final = "took-effect"
NO_EFFECT: Final = "no-effect"
Outcome = Literal["took-effect", "no-effect"]

# The placeholder in a template for values that the operator must fill in.
FILL_IN: Final = "FILL IN"

# How long to wait for the effect.
_MAX_WAIT: Final = 60.0  # seconds
# The names of the transaction's parts.
_LEDGER, _EFFECT_RECORD = "ledger", "effect record"


class NothingToResolve(Unsuccessful):
    """The dead letter does not belong to an effect whose outcome is unknown."""


class EffectMayBeRunning(Unsuccessful):
    """A process may still be running the effect, and will record the outcome itself."""


class EffectRecordChanged(Unsuccessful):
    """The effect record was changed by another process."""


class InvalidOutcomeEvent(OperatorError):
    """The effect could not have emitted this event as its outcome."""


class EventNotSent(Unsuccessful):
    """SQS rejected the message to the effect."""


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """A dead letter of an effect whose outcome is unknown.

    `stored` is the event that the effect processed, `number` the number of the attempt. `withdrawn`: an interrupted run
    of the command has already recorded that it had no effect.
    """

    dead_letter: DeadLetter
    consumer: Consumer
    idempotency_key: str
    stored: Envelope = field(repr=False)
    number: int
    withdrawn: bool = False

    @property
    def templates(self) -> list[dict[str, Any]]:
        """A template for each type of event that may record the outcome. Fields that the dead letter's event has are
        filled in, personal data is hidden, and the others have FILL_IN with an example.
        """
        known = shown(self.stored)
        return [
            {"DetailType": name, "data": _template(catalogue()[name], catalogue()[name].example, known)}
            for name in self.consumer.emits
        ]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The result. `state` is the processing status of the dead letter's event, `outcome_events` are the ids of the
    events that record the outcome; `error` and `reason` are set if it is dead again.
    """

    dead_letter: str
    state: str
    outcome_events: tuple[str, ...] = ()
    error: str = ""
    reason: str = ""


def find(connection: Connection, name: str) -> UnknownOutcome:
    """The unknown outcome that belongs to the dead letter with this id.

    Raises NoSuchDeadLetter, NothingToResolve, EffectMayBeRunning, and botocore's errors.
    """
    dead_letter = named(connection, name)
    consumer = consumers(connection).get(dead_letter.consumer)
    if consumer is None or consumer.kind != EFFECT:
        what = f"is a {consumer.kind}, not an effect" if consumer else "is not deployed"
        raise NothingToResolve(f"{dead_letter.consumer} {what}; retry the dead letter, or discard it")
    stored = _stored(connection, dead_letter)
    idempotency_key = filled_key(consumer.idempotency_key, dict(_read(dead_letter, stored, consumer)))
    records = _records(connection, consumer)
    record = records.find(idempotency_key)
    again = daybook("dead", "retry", dead_letter.id, stage=connection.stage)
    if record is None:
        why = f"there was no attempt of {idempotency_key}: {dead_letter.id} died before it; {again}"
    elif record["cause"] != dead_letter.event and records.performed(idempotency_key, record):
        why = f"the outcome of {idempotency_key} is already recorded; to remove the dead letter: {again}"
    elif record["cause"] != dead_letter.event:
        other = daybook("dead", "resolve", f"{record['cause']}@{dead_letter.consumer}", stage=connection.stage)
        why = f"{idempotency_key} was attempted for another event; resolve that one: {other}"
    elif record["state"] == WITHDRAWN and "resolved_by" not in record:
        why = f"{idempotency_key} had no effect; to attempt it again: {again}"
    else:
        if record["state"] == OPEN and (until := record.get("until")):
            _check_process_has_ended(connection, idempotency_key, until)
        return UnknownOutcome(
            dead_letter, consumer, idempotency_key, stored, int(record["number"]), record["state"] == WITHDRAWN
        )
    raise NothingToResolve(why)


def already_resolved(connection: Connection, name: str) -> Resolved | None:
    """The result for the dead letter with this id, if its event is already committed at its effect. Raises
    RowNotProven.
    """
    event, consumer = split_id(name)
    found = rows_of(connection, event, consumer)
    effects = consumers(connection) if found else {}
    settled = [row for row in found if row.consumer in effects and effects[row.consumer].kind == EFFECT]
    if len(settled) != 1 or settled[0].state != COMMITTED:
        return None
    (row,) = settled
    check_proven(connection, row)
    return Resolved(f"{row.event}@{row.consumer}", COMMITTED, tuple(row.emitted))


def had_no_effect(
    connection: Connection, unknown: UnknownOutcome, reason: str, *, pause: Callable[[float], None] = time.sleep
) -> Resolved:
    """Withdraw the effect record, send the event to the effect again, and wait for its result.

    Raises EffectRecordChanged, EventNotSent, RowNotProven, NoAnswer, and botocore's errors. It can be repeated after
    each of them.
    """
    if not unknown.withdrawn:
        operation = Operation.start(connection)
        withdrawal = _records(connection, unknown.consumer).update(
            unknown.idempotency_key,
            "SET #state = :withdrawn, resolved_by = :operation REMOVE #until",
            unknown.number,
            values={":withdrawn": WITHDRAWN, ":operation": operation.id},
        )
        parts = {
            _EFFECT_RECORD: {"Update": withdrawal},
            # A process that still runs may have recorded the outcome.
            _LEDGER: connection.ledger.still_dead(unknown.dead_letter.event, unknown.consumer.name),
        }
        if not operation.try_to_commit(_resolved(operation, unknown, NO_EFFECT, reason), parts):
            raise _record_changed(unknown)
    known = connection.ledger.find(unknown.dead_letter.event, unknown.consumer.name)
    for outcome in Delivery(connection, unknown.consumer.name).deliver([line_of(unknown.stored)]):
        if not outcome.delivered:
            raise EventNotSent(
                f"the effect record is withdrawn, but SQS rejected the message ({outcome.error}); repeat the command"
            )
    return _wait_for_result(connection, unknown, known, pause)


def took_effect(connection: Connection, unknown: UnknownOutcome, outcome: Event | None, reason: str) -> Resolved:
    """Record that it took effect, with the event that the effect would have emitted, or without an event.

    Raises EffectRecordChanged, InvalidOutcomeEvent, and botocore's errors, after which it may have been recorded.
    """
    if unknown.withdrawn:
        raise EffectRecordChanged(
            f"{unknown.idempotency_key} is already recorded as having had no effect; nothing was changed"
        )
    operation = Operation.start(connection)
    event_id = emitted_id(unknown.dead_letter.event, unknown.consumer.name, outcome.contract.type, 0) if outcome else ""
    outcome_events = (event_id,) if outcome else ()
    while True:
        now = clock.now()
        parts = {
            _LEDGER: _ledger_part(connection, unknown, operation, outcome_events, now),
            _EFFECT_RECORD: _effect_record_part(connection, unknown, operation),
        }
        if outcome:
            parts["event"] = connection.store.append(_envelope(connection, unknown, outcome, event_id, now))
        try:
            operation.commit(_resolved(operation, unknown, TOOK_EFFECT, reason, outcome_events), parts)
        except ConditionsFailed as error:
            if _LEDGER in error.failed and (done := already_resolved(connection, unknown.dead_letter.id)):
                return done
            if error.failed.keys() & {_LEDGER, _EFFECT_RECORD}:
                raise _record_changed(unknown) from error
            if outcome and outcome.contract.place is Place.OPENS:
                raise InvalidOutcomeEvent(
                    f"{outcome.contract.type} opens the stream {outcome.stream}, which already exists"
                ) from error
        else:
            return Resolved(unknown.dead_letter.id, COMMITTED, outcome_events)


def outcome_in(unknown: UnknownOutcome, text: str) -> Event:
    """The outcome event in `text`: `{"DetailType": …, "data": {…}}`, or in the form of `daybook send`.

    Values that are hidden in a template are taken from the dead letter's event. Raises InvalidOutcomeEvent.
    """
    event_type, data = _given(text)
    if event_type not in unknown.consumer.emits:
        raise InvalidOutcomeEvent(
            f"{unknown.consumer.name} emits {', '.join(unknown.consumer.emits) or 'nothing'}, not {event_type}"
        )
    contract = catalogue()[event_type].contract
    event = _read(unknown.dead_letter, unknown.stored, unknown.consumer)
    cause = json.loads(event.to_json())
    data = {name: cause[name] if name in cause and _contains(value, HIDDEN) else value for name, value in data.items()}
    if left := [name for name, value in data.items() if _contains(value, HIDDEN, FILL_IN)]:
        raise InvalidOutcomeEvent(f"{event_type}: fill in {', '.join(left)}")
    try:
        outcome = catalogue()[event_type].read(json.dumps(data), version=contract.version)
    except ContractBroken as error:
        raise InvalidOutcomeEvent(str(error)) from error
    for _, name, _, _ in Formatter().parse(unknown.consumer.idempotency_key):
        if name and getattr(outcome, name, getattr(event, name)) != getattr(event, name):
            raise InvalidOutcomeEvent(f"{event_type}: {name} differs from the dead letter's event")
    return outcome


def _stored(connection: Connection, dead_letter: DeadLetter) -> Envelope:
    if dead_letter.named_event:
        own = f"{dead_letter.named_event}@{dead_letter.consumer}"
        retry = daybook("dead", "retry", dead_letter.id, stage=connection.stage)
        resolve = daybook("dead", "resolve", own, stage=connection.stage)
        raise NothingToResolve(
            f"{dead_letter.id} died because of a row of the ledger: restore or delete the row that its reason names, "
            f"then retry it: {retry}. If the outcome of its effect is unknown, {own} is dead after that; resolve that "
            f"one: {resolve}"
        )
    event = dead_letter.event_in_store(connection)
    if event is None:
        raise NothingToResolve(f"the event of {dead_letter.id} is not in the store: there was no attempt for it")
    return event


def _read(dead_letter: DeadLetter, stored: Envelope, consumer: Consumer) -> Event:
    """The dead letter's event, parsed by its contract."""
    m = stored.metadata
    event_class = catalogue().get(m.type)
    if event_class is None or m.type != consumer.event:
        raise NothingToResolve(
            f"{dead_letter.id} has the type {m.type}, which {consumer.name} does not process: there was no attempt"
        )
    try:
        return event_class.read(stored.data, version=m.version)
    except (ContractBroken, UnknownVersion) as error:
        raise NothingToResolve(f"{dead_letter.id} cannot be parsed ({error}): there was no attempt for it") from error


def _check_process_has_ended(connection: Connection, idempotency_key: str, until: str) -> None:
    """Raises EffectMayBeRunning while the process of the attempt may be running, even if clocks differ."""
    margin = timedelta(0) if connection.stage == LOCAL else moments.CLOCKS_DIFFER
    ended = clock.moment(until) + margin
    if ended > datetime.now(UTC):
        raise EffectMayBeRunning(
            f"a process may still be running {idempotency_key}, and would record its outcome; "
            f"repeat the command after {clock.timestamp(ended)[:19]}Z"
        )


def _records(connection: Connection, consumer: Consumer) -> EffectRecords:
    return EffectRecords(connection.dynamodb, connection.ledger, consumer.name)


def _record_changed(unknown: UnknownOutcome) -> EffectRecordChanged:
    return EffectRecordChanged(
        f"the effect record of {unknown.idempotency_key} was changed by another process; repeat the command"
    )


def _resolved(
    operation: Operation, unknown: UnknownOutcome, outcome: Outcome, reason: str, outcome_events: tuple[str, ...] = ()
) -> EffectResolved:
    return EffectResolved(
        **operation.about,
        reason=reason,
        dead_letter=recorded(unknown.dead_letter),
        idempotency_key=unknown.idempotency_key,
        outcome=outcome,
        outcome_events=outcome_events,
    )


def _ledger_part(
    connection: Connection, unknown: UnknownOutcome, operation: Operation, outcome_events: tuple[str, ...], now: str
) -> dict[str, Any]:
    m = unknown.stored.metadata
    details = {"operation": operation.id, EFFECT_KEY: unknown.idempotency_key}
    entry = LedgerEntry(
        m.id, unknown.consumer.name, COMMITTED, now, m.stream, m.sequence, outcome_events, details=details
    )
    # The effect, whose key proves its rows.
    return connection.ledger.record(entry, connection.keyring.writer(unknown.consumer.name))


def _effect_record_part(connection: Connection, unknown: UnknownOutcome, operation: Operation) -> dict[str, Any]:
    """Note the decision in the record, on the condition that no process has taken it over, and no other operator has
    withdrawn it.
    """
    values = {":operation": operation.id}
    expression = "SET resolved_by = :operation REMOVE #until"
    records = _records(connection, unknown.consumer)
    return {"Update": records.update(unknown.idempotency_key, expression, unknown.number, values=values)}


def _envelope(connection: Connection, unknown: UnknownOutcome, outcome: Event, event_id: str, now: str) -> Envelope:
    """The outcome event as the unit of work would have recorded it."""
    cause, contract = unknown.stored.metadata, outcome.contract
    head: Head | None = None if contract.place is Place.OPENS else connection.store.head(outcome.stream)
    if head is None and contract.place is Place.CONTINUES:
        raise InvalidOutcomeEvent(f"{contract.type} continues the stream {outcome.stream}, which does not exist")
    draft = Draft(
        id=event_id,
        type=contract.type,
        version=contract.version,
        stream=outcome.stream,
        time=now,
        data=outcome.to_json(),
        producer=unknown.consumer.name,
        source=contract.published_source,
        correlation_id=cause.correlation_id,
        causation_id=cause.id,
    )
    try:
        return successor(draft, head, now, connection.keyring.writer(OPERATIONS))
    except EventTooLarge as error:
        raise InvalidOutcomeEvent(str(error)) from error


def _wait_for_result(
    connection: Connection, unknown: UnknownOutcome, known: LedgerEntry | None, pause: Callable[[float], None]
) -> Resolved:
    """Wait for the result of the effect. `known` is its ledger entry before the event was sent."""
    dead_letter = unknown.dead_letter
    for _ in poll(_MAX_WAIT, pause):
        row = connection.ledger.find(dead_letter.event, dead_letter.consumer)
        if row and (row.done or (row.state == DEAD and (known is None or row.at != known.at))):
            check_proven(connection, row)
            error, sentence = (str(row.details.get(name, "")) for name in ("error", "reason"))
            return Resolved(dead_letter.id, row.state, tuple(row.emitted), error, sentence)
    later = daybook("dead", "show", dead_letter.id, stage=connection.stage)
    raise NoAnswer(
        f"the effect record is withdrawn, and the event is in the queue of {dead_letter.consumer}, which recorded no "
        f"result for {_MAX_WAIT:.0f} seconds; check later: {later}"
    )


def _given(text: str) -> tuple[str, dict[str, Any]]:
    """Type and data of the event in JSON text. Raises InvalidOutcomeEvent."""
    try:
        value = json_in(text)
    except ValueError as error:
        raise InvalidOutcomeEvent(f"the event is not JSON: {error}") from error
    if isinstance(value, list) and len(value) != 1:
        raise InvalidOutcomeEvent("the outcome is one event; remove the others from the file")
    value = value[0] if isinstance(value, list) else value
    event_type = value.get("DetailType") if isinstance(value, dict) else None
    detail = value.get("Detail", value) if isinstance(value, dict) else None
    data = detail.get("data") if isinstance(detail, dict) else None
    if not isinstance(event_type, str) or not isinstance(data, dict):
        raise InvalidOutcomeEvent('the event does not have the form {"DetailType": "EmailSent", "data": {…}}')
    return event_type, data


def _template(model: type[BaseModel], example: Mapping[str, Any], known: object) -> dict[str, Any]:
    """The fields of the example, each with its known value or a placeholder."""
    hidden = personal_fields(model)
    given = known if isinstance(known, Mapping) else {}
    return {
        name: given[name] if name in given else _placeholder(value, hide=name in hidden)
        for name, value in example.items()
    }


def _placeholder(value: object, *, hide: bool) -> Any:
    match value:
        case Mapping():
            return {name: _placeholder(part, hide=hide) for name, part in value.items()}
        case _ if hide:
            return FILL_IN
        case str():
            return f"{FILL_IN}, for example {value}"
        case _:
            return f"{FILL_IN}, for example {json.dumps(value)}"


def _contains(value: object, *marks: str) -> bool:
    """Whether any string in the value, at any depth, begins with one of the marks."""
    match value:
        case str():
            return value.startswith(marks)
        case Mapping():
            return any(_contains(part, *marks) for part in value.values())
        case list():
            return any(_contains(part, *marks) for part in value)
    return False
