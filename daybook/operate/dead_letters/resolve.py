"""Effects whose outcome is unknown: an operator has found out how one ended, and records it.

Either nothing happened: then the effect record is withdrawn, and the effect receives its event again. Or it did take
effect: then the outcome is recorded as the effect itself would have emitted it. Each is one transaction with the record
of the operation, so that a command that was interrupted can be repeated: it finds how far it came.
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
from daybook.consumers.effect_records import CONCLUDED, OPEN, WITHDRAWN, EffectRecords
from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken, Event, Place, UnknownVersion, personal_fields
from daybook.contracts.envelope import Envelope, EventTooLarge
from daybook.contracts.identity import emitted_id
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.contracts.operations import EffectResolved
from daybook.operate import moments
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import NoAnswer
from daybook.operate.dead_letters.index import DeadLetter, named
from daybook.operate.delivery import Delivery
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.masking import HIDDEN, shown
from daybook.operate.operation import Operation
from daybook.operate.polling import looks
from daybook.operate.reading import line_of
from daybook.operate.send.entries import json_in
from daybook.store.event_store import Draft, Head, successor
from daybook.store.ledger import COMMITTED, DEAD
from daybook.store.ledger import Entry as LedgerEntry
from daybook.store.transaction import ConditionsFailed

EFFECT: Final = "effect"
TOOK_EFFECT: Final = "took-effect"
NO_EFFECT: Final = "no-effect"
Outcome = Literal["took-effect", "no-effect"]

# The placeholder of a template for what the operator must fill in.
FILL_IN: Final = "FILL IN"

# How long to wait for the effect.
_LONGEST_WAIT: Final = 60.0  # seconds
# Parts of a transaction that records an outcome.
_LEDGER, _ATTEMPT = "ledger", "effect record"


class NothingToResolve(Unsuccessful):
    """The dead letter is not of an effect whose outcome is unknown."""


class StillAtIt(Unsuccessful):
    """A process may still be working on the effect, and will then record the outcome by itself."""


class TakenUp(Unsuccessful):
    """The effect record is no longer as it was read."""


class NotTellable(OperatorError):
    """The event that should say the outcome is none that the effect would have emitted."""


class NotGiven(Unsuccessful):
    """The event could not be sent to the effect."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A dead letter of an effect, and the attempt whose outcome nobody knows.

    `idempotency_key` is what was attempted, `stored` the event that asked for it. `withdrawn`: it was found to have had
    no effect, by a resolving that was interrupted.
    """

    dead_letter: DeadLetter
    consumer: Consumer
    idempotency_key: str
    stored: Envelope = field(repr=False)
    number: int
    withdrawn: bool = False

    @property
    def templates(self) -> list[dict[str, Any]]:
        """For each type of event that may say the outcome: its fields. What the dead letter's event says already is
        filled in, hidden where it is about a person; the rest says FILL_IN, with an example.
        """
        known = shown(self.stored)
        return [
            {"DetailType": name, "data": _template(catalogue()[name], catalogue()[name].example, known)}
            for name in self.consumer.emits
        ]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The result. `state` is the processing status of the dead letter's event, `told` are the ids of the events that
    say the outcome; `error` and `reason` are there if it is dead again.
    """

    dead_letter: str
    state: str
    told: tuple[str, ...] = ()
    error: str = ""
    reason: str = ""


def find(connection: Connection, name: str) -> Doubt:
    """The doubt behind the dead letter of that name.

    Raises NoSuchDeadLetter, NothingToResolve, StillAtIt, and botocore's errors.
    """
    dead_letter = named(connection, name)
    consumer = consumers(connection).get(dead_letter.consumer)
    if consumer is None or consumer.kind != EFFECT:
        what = f"{dead_letter.consumer} is a {consumer.kind}" if consumer else f"{dead_letter.consumer} is not deployed"
        msg = f"{what}, and no effect: no external system was called; retry the dead letter, or discard it"
        raise NothingToResolve(msg)
    stored = _stored(connection, dead_letter)
    idempotency_key = consumer.idempotency_key.format(**dict(_read(dead_letter, stored, consumer)))
    record = _records(connection, consumer).find(idempotency_key)
    again = f"daybook dead retry {dead_letter.id}"
    if record is None:
        why = f"nothing was attempted for {idempotency_key}: {dead_letter.id} died before; {again}"
    elif record["state"] == CONCLUDED:
        known = f"the outcome of {idempotency_key} is known already, and an event says it"
        why = f"{known}; {again}, and the dead letter is done"
    elif record["cause"] != dead_letter.event:
        other = f"{record['cause']}@{dead_letter.consumer}"
        why = f"{idempotency_key} was attempted for another event; resolve that: daybook dead resolve {other}"
    elif record["state"] == WITHDRAWN and "resolved_by" not in record:
        why = f"{idempotency_key} is known to have had no effect; {again}, and it is attempted again"
    else:
        if record["state"] == OPEN and (until := record.get("until")):
            _must_have_ended(connection, idempotency_key, until)
        return Doubt(
            dead_letter, consumer, idempotency_key, stored, int(record["number"]), record["state"] == WITHDRAWN
        )
    raise NothingToResolve(why)


def done_before(connection: Connection, name: str) -> Resolved | None:
    """The dead letter of that name, if its event is committed at its effect by now."""
    event, _, consumer = name.rpartition("@") if "@" in name else (name, "", "")
    found = [row for row in connection.ledger.of_event(event) if consumer in {"", row.consumer}]
    effects = consumers(connection) if found else {}
    settled = [row for row in found if row.consumer in effects and effects[row.consumer].kind == EFFECT]
    if len(settled) != 1 or settled[0].state != COMMITTED:
        return None
    (row,) = settled
    return Resolved(f"{row.event}@{row.consumer}", COMMITTED, tuple(row.emitted))


def had_no_effect(
    connection: Connection, doubt: Doubt, reason: str, *, pause: Callable[[float], None] = time.sleep
) -> Resolved:
    """Withdraw the effect record, send the event to the effect again, and wait for its result.

    Raises TakenUp, NotGiven, NoAnswer, and botocore's errors; after all of them it may be repeated.
    """
    if not doubt.withdrawn:
        operation = Operation.begin(connection)
        withdrawal = _records(connection, doubt.consumer).update(
            doubt.idempotency_key,
            # A process that was thought dead can write nothing more: the record is not open, and gets another number.
            "SET #state = :withdrawn, resolved_by = :operation REMOVE #until",
            doubt.number,
            values={":withdrawn": WITHDRAWN, ":operation": operation.id},
        )
        if not operation.try_to_commit(
            _resolved(operation, doubt, NO_EFFECT, reason), {_ATTEMPT: {"Update": withdrawal}}
        ):
            raise _taken_up(doubt)
    known = connection.ledger.find(doubt.dead_letter.event, doubt.consumer.name)
    for outcome in Delivery(connection, doubt.consumer.name).deliver([line_of(doubt.stored)]):
        if not outcome.delivered:
            msg = f"the effect record is withdrawn, but SQS rejected the event ({outcome.error}); repeat the command"
            raise NotGiven(msg)
    return _watch(connection, doubt, known, pause)


def took_effect(connection: Connection, doubt: Doubt, outcome: Event | None, reason: str) -> Resolved:
    """Record the outcome as the effect itself would have emitted it; without an event, only that it took effect.

    Raises TakenUp, NotTellable, and botocore's errors, after which it may have been done.
    """
    if doubt.withdrawn:
        msg = f"it was resolved before that {doubt.idempotency_key} had no effect; nothing was changed"
        raise TakenUp(msg)
    operation = Operation.begin(connection)
    event_id = emitted_id(doubt.dead_letter.event, doubt.consumer.name, outcome.contract.type, 0) if outcome else ""
    told = (event_id,) if outcome else ()
    while True:
        now = clock.now()
        parts = {
            _LEDGER: _ledgers_part(connection, doubt, operation, told, now),
            _ATTEMPT: _conclusion(connection, doubt, told, now),
        }
        if outcome:
            parts["event"] = connection.store.append(_envelope(connection, doubt, outcome, event_id, now))
        try:
            operation.commit(_resolved(operation, doubt, TOOK_EFFECT, reason, told), parts)
        except ConditionsFailed as refused:
            if _LEDGER in refused.failed and (done := done_before(connection, doubt.dead_letter.id)):
                return done
            if refused.failed.keys() & {_LEDGER, _ATTEMPT}:
                raise _taken_up(doubt) from refused
            if outcome and outcome.contract.place is Place.OPENS:
                msg = f"there is a stream {outcome.stream} already, which {outcome.contract.type} would open"
                raise NotTellable(msg) from refused
        else:
            return Resolved(doubt.dead_letter.id, COMMITTED, told)


def outcome_in(doubt: Doubt, text: str) -> Event:
    """The event in `text` that says the outcome: `{"DetailType": …, "data": {…}}`, or as `daybook send` takes it.

    What is hidden in a template is taken from the dead letter's event. Raises NotTellable.
    """
    event_type, data = _given(text)
    if event_type not in doubt.consumer.emits:
        msg = f"{doubt.consumer.name} emits {', '.join(doubt.consumer.emits) or 'nothing'}, and never {event_type}"
        raise NotTellable(msg)
    contract = catalogue()[event_type].contract
    event = _read(doubt.dead_letter, doubt.stored, doubt.consumer)
    cause = json.loads(event.to_json())
    data = {name: cause[name] if name in cause and _has(value, HIDDEN) else value for name, value in data.items()}
    if left := [name for name, value in data.items() if _has(value, HIDDEN, FILL_IN)]:
        msg = f"{event_type}: fill in {', '.join(left)}"
        raise NotTellable(msg)
    try:
        said = catalogue()[event_type].read(json.dumps(data), version=contract.version)
    except ContractBroken as error:
        raise NotTellable(str(error)) from error
    for _, name, _, _ in Formatter().parse(doubt.consumer.idempotency_key):
        if name and getattr(said, name, getattr(event, name)) != getattr(event, name):
            msg = f"{event_type}: {name} is not that of the dead letter's event; it would be about something else"
            raise NotTellable(msg)
    return said


def _stored(connection: Connection, dead_letter: DeadLetter) -> Envelope:
    """The dead letter's event, as the store has it."""
    event = dead_letter.event_in_store(connection)
    if event is None:
        msg = f"{dead_letter.id} is no event of the store: nothing was attempted for it"
        raise NothingToResolve(msg)
    return event


def _read(dead_letter: DeadLetter, stored: Envelope, consumer: Consumer) -> Event:
    """The dead letter's event as its contract reads it."""
    m = stored.metadata
    event_class = catalogue().get(m.type)
    if event_class is None or m.type != consumer.event:
        msg = f"{dead_letter.id} is of the type {m.type}, which {consumer.name} does not process: nothing was attempted"
        raise NothingToResolve(msg)
    try:
        return event_class.read(stored.data, version=m.version)
    except (ContractBroken, UnknownVersion) as error:
        msg = f"{dead_letter.id} cannot be read ({error}): nothing was attempted for it"
        raise NothingToResolve(msg) from error


def _must_have_ended(connection: Connection, idempotency_key: str, until: str) -> None:
    """Raises StillAtIt, as long as the attempt's process may be alive, by whatever clock."""
    margin = timedelta(0) if connection.stage == LOCAL else moments.CLOCKS_DIFFER
    ended = clock.moment(until) + margin
    if ended > datetime.now(UTC):
        msg = (
            f"a process may still be working on {idempotency_key}, and would record by itself how it ends; "
            f"repeat the command after {clock.timestamp(ended)[:19]}Z"
        )
        raise StillAtIt(msg)


def _records(connection: Connection, consumer: Consumer) -> EffectRecords:
    return EffectRecords(connection.dynamodb, connection.names.ledger, consumer.name)


def _taken_up(doubt: Doubt) -> TakenUp:
    return TakenUp(
        f"{doubt.idempotency_key} was changed by another process just now; nothing was changed here, look again"
    )


def _resolved(
    operation: Operation, doubt: Doubt, outcome: Outcome, reason: str, told: tuple[str, ...] = ()
) -> EffectResolved:
    dead_letter = doubt.dead_letter
    return EffectResolved(
        **operation.about,
        reason=reason,
        dead_letter=RecordedDeadLetter(
            event=dead_letter.event, consumer=dead_letter.consumer, error=dead_letter.error[:256]
        ),
        idempotency_key=doubt.idempotency_key,
        outcome=outcome,
        told=told,
    )


def _ledgers_part(
    connection: Connection, doubt: Doubt, operation: Operation, told: tuple[str, ...], now: str
) -> dict[str, Any]:
    m = doubt.stored.metadata
    details = {"operation": operation.id}
    entry = LedgerEntry(m.id, doubt.consumer.name, COMMITTED, now, m.stream, m.sequence, told, details=details)
    return connection.ledger.record(entry, happened=True)


def _conclusion(connection: Connection, doubt: Doubt, told: tuple[str, ...], now: str) -> dict[str, Any]:
    values = {":concluded": CONCLUDED, ":now": now, ":events": list(told)}
    expression = "SET #state = :concluded, concluded_at = :now, events = :events REMOVE #until"
    records = _records(connection, doubt.consumer)
    return {"Update": records.update(doubt.idempotency_key, expression, doubt.number, values=values)}


def _envelope(connection: Connection, doubt: Doubt, outcome: Event, event_id: str, now: str) -> Envelope:
    """The outcome as the unit of work would have recorded it."""
    cause, contract = doubt.stored.metadata, outcome.contract
    head: Head | None = None if contract.place is Place.OPENS else connection.store.head(outcome.stream)
    if head is None and contract.place is Place.CONTINUES:
        msg = f"{contract.type} continues the stream {outcome.stream}, which nothing has opened"
        raise NotTellable(msg)
    draft = Draft(
        id=event_id,
        type=contract.type,
        version=contract.version,
        stream=outcome.stream,
        time=now,
        data=outcome.to_json(),
        producer=doubt.consumer.name,
        source=contract.published_source,
        correlation_id=cause.correlation_id,
        causation_id=cause.id,
    )
    try:
        return successor(draft, head, now)
    except EventTooLarge as error:
        raise NotTellable(str(error)) from error


def _watch(connection: Connection, doubt: Doubt, known: LedgerEntry | None, pause: Callable[[float], None]) -> Resolved:
    """Wait for the result of the effect; `known` is its row before it received the event."""
    dead_letter = doubt.dead_letter
    for _ in looks(_LONGEST_WAIT, pause):
        row = connection.ledger.find(dead_letter.event, dead_letter.consumer)
        if row and (row.done or (row.state == DEAD and (known is None or row.at != known.at))):
            error, sentence = (str(row.details.get(name, "")) for name in ("error", "reason"))
            return Resolved(dead_letter.id, row.state, tuple(row.emitted), error, sentence)
    msg = (
        f"it is withdrawn, and {dead_letter.consumer} has the event in its queue, but has recorded no result for "
        f"{_LONGEST_WAIT:.0f} seconds; look later: daybook dead show {dead_letter.id}"
    )
    raise NoAnswer(msg)


def _given(text: str) -> tuple[str, dict[str, Any]]:
    """Type and data of the one event in JSON text. Raises NotTellable."""
    try:
        value = json_in(text)
    except ValueError as error:
        msg = f"the event is not JSON: {error}"
        raise NotTellable(msg) from error
    if isinstance(value, list) and len(value) != 1:
        raise NotTellable("the outcome is one event; leave just that in the file")
    value = value[0] if isinstance(value, list) else value
    event_type = value.get("DetailType") if isinstance(value, dict) else None
    detail = value.get("Detail", value) if isinstance(value, dict) else None
    data = detail.get("data") if isinstance(detail, dict) else None
    if not isinstance(event_type, str) or not isinstance(data, dict):
        raise NotTellable('the event is not of the form {"DetailType": "EmailSent", "data": {…}}')
    return event_type, data


def _template(model: type[BaseModel], example: Mapping[str, Any], known: object) -> dict[str, Any]:
    """The fields of the example, each with what is known, or with what to fill in."""
    hidden = personal_fields(model)
    given = known if isinstance(known, Mapping) else {}
    return {
        name: given[name] if name in given else _to_fill_in(value, hide=name in hidden)
        for name, value in example.items()
    }


def _to_fill_in(value: object, *, hide: bool) -> Any:
    match value:
        case Mapping():
            return {name: _to_fill_in(part, hide=hide) for name, part in value.items()}
        case _ if hide:
            return FILL_IN
        case str():
            return f"{FILL_IN}, such as {value}"
        case _:
            return f"{FILL_IN}, such as {json.dumps(value)}"


def _has(value: object, *marks: str) -> bool:
    """Whether one of the marks stands at the beginning of a text in the value, at whatever depth."""
    match value:
        case str():
            return value.startswith(marks)
        case Mapping():
            return any(_has(part, *marks) for part in value.values())
        case list():
            return any(_has(part, *marks) for part in value)
    return False
