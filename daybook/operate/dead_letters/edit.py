"""Edits an event that admit has rejected: the corrected event is sent to admit, and replaces the rejected one.

    rejected = find(connection, "0b73e9a8-…")
    edited = edit(connection, rejected, rejected.corrected(connection, text), "the checkout sent 0 pieces")

The id of the corrected event is derived from the dead letter's id, so it is admitted once, even if it is sent twice.
The dead letter is discarded after that, in one transaction with the record of the operation. After an interruption,
repeat the command with the same event: it continues where it stopped.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from daybook.application import catalogue
from daybook.contracts import clock
from daybook.contracts.card_numbers import REMOVED
from daybook.contracts.card_search import is_removed, path_of_card_number
from daybook.contracts.contract import ContractBroken
from daybook.contracts.identity import MAX_REFERENCE_LENGTH, admitted_id, content_hash
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.contracts.operations import DeadLetterEdited
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.decision import NoAnswer, check_proven
from daybook.operate.dead_letters.index import (
    DeadLetter,
    NoSuchDeadLetter,
    body,
    change,
    end,
    named,
    split_id,
    still_dead,
)
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.operation import Operation
from daybook.operate.polling import poll
from daybook.operate.send.entries import Entry, json_in, problem
from daybook.operate.subscriptions import queue_url
from daybook.operate.terminal import daybook, json_text
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, LedgerEntry
from daybook.store.transaction import ConditionFailed, write_item

ADMIT: Final = "admit"

# The fields of an EventBridge event that can be edited. The others stay as they are.
_EDITABLE: Final = ("source", "detail-type", "time", "detail")
# How long to wait for admit.
_MAX_WAIT: Final = 60.0  # seconds
_FORM: Final = 'its detail is not {"data": {…}}, optionally with "metadata": {…}'


class EventIsStored(OperatorError):
    """The event of the dead letter is in the store. A stored event is never edited."""


class InvalidCorrection(OperatorError):
    """Admit would reject the corrected event too. Nothing was sent."""


class RejectedAgain(Unsuccessful):
    """Admit has rejected the corrected event. The dead letter was not changed."""


class EditConflict(Unsuccessful):
    """The id of the corrected event is already used by an earlier edit of the same dead letter."""


class AlreadyDecided(Unsuccessful):
    """The dead letter was processed, discarded or edited by someone else in the meantime."""


@dataclass(frozen=True, slots=True)
class CorrectedEvent:
    """A corrected event that fulfils its contract. `event` is its future id, `body` the message for admit."""

    event: str
    type: str
    source: str
    body: str = field(repr=False)
    content: str


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """A message that admit has rejected: the dead letter, and the body as it was received."""

    dead_letter: DeadLetter
    body: str = field(repr=False)

    @property
    def form(self) -> str:
        """The text to edit: the event in EventBridge's form, or the body as received if it does not have that form.

        Characters that are not printable are escaped as in JSON.
        """
        received = self._received
        if received is None:
            return self.body
        return json_text({name: received[name] for name in _EDITABLE}, indent=2)

    @property
    def sha256(self) -> str:
        """SHA-256 of the body, in hexadecimal."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    def corrected(self, connection: Connection, text: str) -> CorrectedEvent:
        """The corrected event from `text`, which has the form of `form`. Raises InvalidCorrection."""
        if is_removed(text):
            raise InvalidCorrection(
                f"it still has {REMOVED}: put the payment provider's token in its place, or remove the field"
            )
        given = _read(text)
        event_type, detail = _type_and_detail(given)
        metadata = detail.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise InvalidCorrection(_FORM)
        name = {"id": f"edit-{self.dead_letter.event}", "causation_id": self.dead_letter.event[:MAX_REFERENCE_LENGTH]}
        detail = {**detail, "metadata": {**metadata, **name}}
        entry = Entry(1, given["source"], event_type, json.dumps(detail, ensure_ascii=False), {})
        if wrong := problem(entry):
            raise InvalidCorrection(wrong)
        contract = catalogue()[event_type]
        message = self._envelope(connection) | {name: given[name] for name in _EDITABLE}
        message |= {"detail-type": event_type, "detail": detail}
        if path := path_of_card_number(message, contract):
            raise InvalidCorrection(f"{path} contains a card number")
        _, data = contract.read_from_outside(json.dumps(detail["data"]), version=metadata.get("version", 1))
        return CorrectedEvent(
            event=admitted_id(message["account"], entry.source, str(entry.producer_id)),
            type=event_type,
            source=entry.source,
            body=json.dumps(message),
            content=content_hash(event_type, contract.contract.version, data),
        )

    @property
    def _received(self) -> dict[str, Any] | None:
        """The body as JSON, if it has EventBridge's form."""
        try:
            received = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        texts = ("account", "region", "id", "source", "detail-type", "time")
        whole = (
            isinstance(received, dict)
            and "detail" in received
            and all(isinstance(received.get(name), str) for name in texts)
        )
        return received if whole else None

    def _envelope(self, connection: Connection) -> dict[str, Any]:
        """The other fields of the EventBridge event: as received, or with defaults."""
        made = {
            "version": "0",
            "id": self.dead_letter.event,
            "account": connection.account,
            "region": connection.region,
        }
        return self._received or {**made, "resources": []}


@dataclass(frozen=True, slots=True)
class Edited:
    """A dead letter that was replaced by an admitted event. `before`: an earlier run of the command did that."""

    dead_letter: str
    event: str
    before: bool = False


def find(connection: Connection, name: str) -> RejectedEvent:
    """The rejected event with this id. Raises NoSuchDeadLetter, EventIsStored, BodyNotFound."""
    dead_letter = named(connection, name)
    if dead_letter.consumer != ADMIT:
        retry = daybook("dead", "retry", dead_letter.id, stage=connection.stage)
        raise EventIsStored(
            f"the event of {dead_letter.id} is in the store, and a stored event is never edited: retry it "
            f"({retry}), discard it, or send a new event (daybook send)"
        )
    for current, entry in still_dead(connection, [dead_letter]):
        return RejectedEvent(current, body(connection, entry))
    shown = daybook("dead", "show", dead_letter.id, stage=connection.stage)
    raise NoSuchDeadLetter(f"{dead_letter.id} is no longer dead; see: {shown}")


def finish(connection: Connection, name: str) -> Edited | None:
    """The dead letter with this id, if it was edited before. Completes the record of an interrupted edit.

    Raises RowNotProven, and botocore's errors.
    """
    event, consumer = split_id(name)
    row = connection.ledger.find(event, ADMIT) if consumer in {"", ADMIT} else None
    if row is None:
        return None
    check_proven(connection, row)
    if row.state == DISCARDED and "edited_as" in row.details:
        return Edited(f"{event}@{ADMIT}", str(row.details["edited_as"]), before=True)
    if row.state == COMMITTED and (note := _Note.on(row)) and note.content == row.details.get("content_hash"):
        note.record(connection, row)
        return Edited(f"{event}@{ADMIT}", event, before=True)
    return None


def edit(
    connection: Connection,
    rejected: RejectedEvent,
    corrected: CorrectedEvent,
    reason: str,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Edited:
    """Send the corrected event to admit, wait until it is admitted, then discard the dead letter.

    `pause` waits this number of seconds. Raises RejectedAgain, EditConflict, AlreadyDecided, RowNotProven, NoAnswer,
    and botocore's errors. It can be repeated after each of them.
    """
    same_id = corrected.event == rejected.dead_letter.event  # the contract derives the id from a field
    operation = Operation.start(connection)
    before = connection.ledger.find(corrected.event, ADMIT)
    if same_id:
        _Note.of(rejected, corrected, operation, reason).write(connection, rejected.dead_letter)
    if not _is_admitted(connection, before, rejected, corrected):
        connection.sqs.send_message(QueueUrl=queue_url(connection, ADMIT), MessageBody=corrected.body)
        _wait_until_admitted(connection, rejected, corrected, before.at if before else "", pause)
    if same_id:
        finish(connection, rejected.dead_letter.event)
    else:
        _discard(connection, rejected, corrected, operation, reason)
    return Edited(rejected.dead_letter.id, corrected.event)


def _is_admitted(
    connection: Connection, row: LedgerEntry | None, rejected: RejectedEvent, corrected: CorrectedEvent
) -> bool:
    """Whether the corrected event is admitted. Raises RowNotProven, or EditConflict or AlreadyDecided if its id has
    another outcome.
    """
    if row is None or not row.done:
        return False
    check_proven(connection, row)
    if row.details.get("content_hash") == corrected.content:
        return True
    dead_letter, event = rejected.dead_letter.id, corrected.event
    trace = daybook("trace", event, stage=connection.stage)
    discard = daybook("dead", "discard", dead_letter, stage=connection.stage)
    if event == rejected.dead_letter.event:
        raise AlreadyDecided(f"{dead_letter} has another outcome by now ({row.state}), not from your edit: {trace}")
    if row.state == COMMITTED:
        raise EditConflict(
            f"an event with other content was already admitted in place of {dead_letter} ({trace}); "
            f"if it is right, discard the dead letter: {discard}"
        )
    raise EditConflict(
        f"an earlier edit of {dead_letter} was rejected, and {event} discarded, so this id cannot be used again; "
        f"send the event as a new one (`daybook send`), and discard this one: {discard}"
    )


def _wait_until_admitted(
    connection: Connection,
    rejected: RejectedEvent,
    corrected: CorrectedEvent,
    known: str,
    pause: Callable[[float], None],
) -> None:
    """Wait until admit has admitted the event. `known` is the time of death of an earlier event with its id."""
    for _ in poll(_MAX_WAIT, pause):
        row = connection.ledger.find(corrected.event, ADMIT)
        if _is_admitted(connection, row, rejected, corrected):
            return
        # The ledger may not have the rejection of an earlier message yet: compare the body.
        if row and row.state == DEAD and row.at != known and row.details.get("body") == corrected.body:
            what = f"{row.details.get('error')}: {row.details.get('reason')}"
            raise RejectedAgain(
                f"the corrected event was rejected too ({what}); {rejected.dead_letter.id} is unchanged. Edit it again"
            )
    raise NoAnswer(
        f"admit recorded no result for {_MAX_WAIT:.0f} seconds; the corrected event is in its queue. "
        "Repeat the command with the same event: it is not admitted twice"
    )


def _discard(
    connection: Connection, rejected: RejectedEvent, corrected: CorrectedEvent, operation: Operation, reason: str
) -> None:
    """Discard the dead letter whose event was admitted under another id, in one transaction with the record."""
    dead_letter = rejected.dead_letter
    edited = _edited(operation, dead_letter.event, dead_letter.error, reason, corrected.event, rejected.sha256)
    noted = {"state": DISCARDED, "at": clock.now(), "edited_as": corrected.event}
    noted |= {"operation": operation.id, "operator": operation.operator, "why": reason}
    while not operation.try_to_commit(edited, {"ledger": end(connection, dead_letter, noted, remove=("dead",))}):
        if (done := finish(connection, dead_letter.event)) and done.event == corrected.event:
            return  # another operator has done the same
        now = next(still_dead(connection, [dead_letter]), None)
        if now is None or body(connection, now[1]) != rejected.body:
            raise AlreadyDecided(
                f"the corrected event was admitted as {corrected.event}, but {dead_letter.id} is no longer the one "
                "that you edited: someone else has decided about it, or its producer has sent it again. Look at both: "
                f"{daybook('trace', corrected.event, stage=connection.stage)}, "
                f"{daybook('dead', 'show', dead_letter.id, stage=connection.stage)}"
            )
        dead_letter = now[0]  # the same was rejected again


def _edited(operation: Operation, event: str, error: str, reason: str, admitted: str, sha256: str) -> DeadLetterEdited:
    dead_letter = RecordedDeadLetter(event=event, consumer=ADMIT, error=error[:256])
    return DeadLetterEdited(**operation.about, reason=reason, dead_letter=dead_letter, admitted=admitted, sha256=sha256)


@dataclass(frozen=True, slots=True)
class _Note:
    """The data of an edit whose event keeps its id, written to the dead letter's row before the event is sent.

    When admit commits the event, its row replaces the dead letter. The note stays, so the edit can be recorded.
    """

    operation: str
    reason: str
    error: str
    sha256: str
    content: str

    @classmethod
    def of(cls, rejected: RejectedEvent, corrected: CorrectedEvent, operation: Operation, reason: str) -> Self:
        return cls(operation.id, reason, rejected.dead_letter.error, rejected.sha256, corrected.content)

    @classmethod
    def on(cls, row: LedgerEntry) -> Self | None:
        noted = row.details.get("edit")
        return cls(**noted) if isinstance(noted, Mapping) else None

    def write(self, connection: Connection, dead_letter: DeadLetter) -> None:
        """Write it, if the dead letter has not changed. Raises AlreadyDecided."""
        try:
            update = change(connection, dead_letter, {"edit": asdict(self)})["Update"]
            write_item(connection.dynamodb.update_item, **update)
        except ConditionFailed as failed:
            raise AlreadyDecided(
                f"{dead_letter.id} has changed since it was read; nothing was sent. Look at it, and repeat"
            ) from failed

    def record(self, connection: Connection, row: LedgerEntry) -> None:
        """Record the operation, once."""
        operation = Operation.resume(connection, self.operation)
        if operation.is_recorded:
            return
        # False if another process has recorded it first.
        operation.try_to_commit(_edited(operation, row.event, self.error, self.reason, row.event, self.sha256))


def _read(text: str) -> dict[str, Any]:
    """The corrected event: source, detail-type and time as strings, detail as an object. Raises InvalidCorrection."""
    try:
        given = json_in(text)
    except ValueError as error:
        raise InvalidCorrection(f"it is not JSON: {error}") from error
    if not isinstance(given, dict) or set(given) != set(_EDITABLE):
        raise InvalidCorrection(f"it is not an object with exactly the fields {', '.join(_EDITABLE)}")
    if not all(isinstance(given[name], str) and given[name] for name in ("source", "detail-type", "time")):
        raise InvalidCorrection("its source, detail-type and time are not all non-empty strings")
    if not isinstance(given["detail"], dict):
        raise InvalidCorrection(_FORM)
    try:
        clock.moment(given["time"])
    except (ValueError, OverflowError) as error:
        raise InvalidCorrection("its time does not have the form 2026-03-01T09:30:00Z") from error
    return given


def _type_and_detail(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Type and detail of the event. An event of a foreign source is translated here, because foreign events have no
    field for an id.
    """
    foreign = catalogue().foreign.get((given["source"], given["detail-type"]))
    if foreign is None:
        return given["detail-type"], given["detail"]
    try:
        return foreign.contract.type, foreign.translate(given["detail"])
    except ContractBroken as error:
        raise InvalidCorrection(str(error)) from error
