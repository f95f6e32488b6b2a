"""Mending an event that admit has refused: the mended event is sent to admit, and replaces the refused one.

    refused = find(connection, "0b73e9a8-…")
    edited = edit(connection, refused, refused.mended(connection, text), "the checkout sent 0 pieces")

The id of the mended event is made from the dead letter's, so that it is admitted once, however often it is sent. The
dead letter is discarded only after that, in one transaction with the record of the operation. After an interruption it
is repeated with the same event, and finds what is done already.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from botocore.exceptions import ClientError

from daybook.application import catalogue
from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken
from daybook.contracts.identity import admitted_id, content_hash
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.contracts.operations import DeadLetterEdited
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.decision import NoAnswer
from daybook.operate.dead_letters.index import DeadLetter, NoSuchDeadLetter, change, named, rows
from daybook.operate.errors import OperatorError, Unsuccessful, code
from daybook.operate.operation import Operation
from daybook.operate.polling import looks
from daybook.operate.send.entries import Entry, json_in, problem
from daybook.operate.subscriptions import queue_url
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED
from daybook.store.ledger import Entry as LedgerEntry

ADMIT: Final = "admit"

# What can be mended of an event as EventBridge hands it over; the rest stays as it came.
_MENDABLE: Final = ("source", "detail-type", "time", "detail")
# How long to wait for admit.
_LONGEST_WAIT: Final = 60.0  # seconds
_FORM: Final = 'its detail is not {"data": {…}}, optionally with "metadata": {…}'


class NeverEdited(OperatorError):
    """The dead letter is of an event that is stored. A stored event is never edited."""

    def __init__(self, dead_letter: DeadLetter) -> None:
        super().__init__(
            f"{dead_letter.id} is an event that is stored, and what is stored is never edited: retry it "
            f"(daybook dead retry {dead_letter.id}), discard it, or send a new event (daybook send)"
        )


class NotMended(OperatorError):
    """The mended event would be refused, too. Nothing was sent."""


class RefusedAgain(Unsuccessful):
    """Admit has refused the mended event. The dead letter stays as it was."""


class MendedBefore(Unsuccessful):
    """The name that the mended event would have is taken by another decision about the same dead letter."""


class Decided(Unsuccessful):
    """Another operator has decided about the dead letter meanwhile."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A mended event that keeps its contract. `event` is the id that it will have, `body` the message for admit."""

    event: str
    type: str
    source: str
    body: str = field(repr=False)
    content: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What admit has refused: the dead letter, and the message as it came."""

    dead_letter: DeadLetter
    body: str = field(repr=False)

    @property
    def form(self) -> str:
        """What is to be mended, as text: the event in EventBridge's form; the message as it came, if it is none.

        Characters that a terminal does not print are written as JSON writes them.
        """
        came = self._came
        if came is None:
            return self.body
        text = json.dumps({name: came[name] for name in _MENDABLE}, ensure_ascii=False, indent=2)
        return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)

    @property
    def sha256(self) -> str:
        """Of the body, in hexadecimal."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    def mended(self, connection: Connection, text: str) -> Mended:
        """The event in `text`, which has the form of `form`, in the place of this one. Raises NotMended."""
        given = _read(text)
        event_type, detail = _in_our_form(given)
        metadata = detail.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise NotMended(_FORM)
        name = {"id": f"edit-{self.dead_letter.event}", "causation_id": self.dead_letter.event}
        detail = {**detail, "metadata": {**metadata, **name}}
        entry = Entry(1, given["source"], event_type, json.dumps(detail, ensure_ascii=False), {})
        if wrong := problem(entry):
            raise NotMended(wrong)
        message = self._envelope(connection) | {name: given[name] for name in _MENDABLE}
        message |= {"detail-type": event_type, "detail": detail}
        data = json.dumps(detail["data"])
        return Mended(
            event=admitted_id(message["account"], entry.source, str(entry.producer_id)),
            type=event_type,
            source=entry.source,
            body=json.dumps(message),
            content=content_hash(event_type, metadata.get("version", 1), data),
        )

    @property
    def _came(self) -> dict[str, Any] | None:
        """The message, if it has EventBridge's form."""
        try:
            came = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        texts = ("account", "id", "source", "detail-type", "time")
        whole = isinstance(came, dict) and "detail" in came and all(isinstance(came.get(name), str) for name in texts)
        return came if whole else None

    def _envelope(self, connection: Connection) -> dict[str, Any]:
        """What stands around the event: as it came, or as EventBridge would have written it."""
        made = {
            "version": "0",
            "id": self.dead_letter.event,
            "account": connection.account,
            "region": connection.region,
        }
        return self._came or {**made, "resources": []}


@dataclass(frozen=True, slots=True)
class Edited:
    """A dead letter in whose place an event was admitted. `before`: that was done before this time."""

    dead_letter: str
    event: str
    before: bool = False


def find(connection: Connection, name: str) -> Refused:
    """The refused event of that name. Raises NoSuchDeadLetter, NeverEdited, NoBody."""
    dead_letter = named(connection, name)
    if dead_letter.consumer != ADMIT:
        raise NeverEdited(dead_letter)
    for row in rows(connection, [dead_letter]):
        return Refused(row.dead_letter, row.body)
    msg = f"{dead_letter.id} has been decided just now; look at it with `daybook dead show {dead_letter.id}`"
    raise NoSuchDeadLetter(msg)


def finish(connection: Connection, name: str) -> Edited | None:
    """The dead letter of that name, if it was edited before. What an interrupted edit has left to be recorded, is
    recorded.

    Raises botocore's errors.
    """
    event, _, consumer = name.partition("@")
    row = connection.ledger.find(event, ADMIT) if consumer in {"", ADMIT} else None
    if row is None:
        return None
    if row.state == DISCARDED and "edited_as" in row.details:
        return Edited(f"{event}@{ADMIT}", str(row.details["edited_as"]), before=True)
    if row.state == COMMITTED and (note := _Note.on(row)) and note.content == row.details.get("content_hash"):
        note.record(connection, row)
        return Edited(f"{event}@{ADMIT}", event, before=True)
    return None


def edit(
    connection: Connection,
    refused: Refused,
    mended: Mended,
    reason: str,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Edited:
    """Have the mended event admitted, and then set the dead letter aside. `pause` waits so many seconds.

    Raises RefusedAgain, MendedBefore, Decided, NoAnswer, and botocore's errors; after all of them it may be repeated.
    """
    itself = mended.event == refused.dead_letter.event  # its contract names it by a field, which was right
    operation = Operation.begin(connection)
    before = connection.ledger.find(mended.event, ADMIT)
    if itself:
        _Note.of(refused, mended, operation, reason).write(connection, refused.dead_letter)
    if not _is_admitted(before, refused, mended):
        connection.sqs.send_message(QueueUrl=queue_url(connection, ADMIT), MessageBody=mended.body)
        _watch(connection, refused, mended, before.at if before else "", pause)
    if itself:
        finish(connection, refused.dead_letter.event)
    else:
        _set_aside(connection, refused, mended, operation, reason)
    return Edited(refused.dead_letter.id, mended.event)


def _is_admitted(row: LedgerEntry | None, refused: Refused, mended: Mended) -> bool:
    """Whether the ledger's row of the mended event says so. Raises MendedBefore, if it is settled otherwise."""
    if row is None or not row.done:
        return False
    if row.details.get("content_hash") == mended.content:
        return True
    dead_letter, event = refused.dead_letter.id, mended.event
    if event == refused.dead_letter.event:
        msg = f"{dead_letter} was decided meanwhile ({row.state}), and not as you have mended it: daybook trace {event}"
        raise Decided(msg)
    if row.state == COMMITTED:
        what = f"an event with other content was admitted in place of {dead_letter}: look at it (daybook trace {event})"
        msg = f"{what}; if all is well, discard the dead letter: daybook dead discard {dead_letter}"
    else:
        what = f"an earlier mending of {dead_letter} was refused, and {event} discarded, so that its name is not free"
        msg = f"{what}; send the event again (daybook send), and discard this: daybook dead discard {dead_letter}"
    raise MendedBefore(msg)


def _watch(
    connection: Connection, refused: Refused, mended: Mended, known: str, pause: Callable[[float], None]
) -> None:
    """Wait until admit has admitted the event. `known` is since when an earlier one of its name is dead."""
    for _ in looks(_LONGEST_WAIT, pause):
        row = connection.ledger.find(mended.event, ADMIT)
        if _is_admitted(row, refused, mended):
            return
        # A refusal counts if it is of this very message: those before may still be on their way to the ledger.
        if row and row.state == DEAD and row.at != known and row.details.get("body") == mended.body:
            what = f"{row.details.get('error')}: {row.details.get('reason')}"
            msg = f"the mended event was refused, too ({what}); {refused.dead_letter.id} stays as it is, mend it again"
            raise RefusedAgain(msg)
    msg = (
        f"admit has recorded no result of the mended event for {_LONGEST_WAIT:.0f} seconds; it has it in its queue. "
        "Repeat the command with the same event: nothing is done twice"
    )
    raise NoAnswer(msg)


def _set_aside(connection: Connection, refused: Refused, mended: Mended, operation: Operation, reason: str) -> None:
    """Discard the dead letter, whose event was admitted under another id, in one transaction with the record."""
    dead_letter = refused.dead_letter
    edited = _edited(operation, dead_letter.event, dead_letter.error, reason, mended.event, refused.sha256)
    noted = {"state": DISCARDED, "at": clock.now(), "edited_as": mended.event}
    noted |= {"operation": operation.id, "operator": operation.operator, "why": reason}
    while not operation.try_to_commit(edited, {"ledger": change(connection, dead_letter, noted, remove=("dead",))}):
        if (done := finish(connection, dead_letter.event)) and done.event == mended.event:
            return  # another operator has done the same
        now = next(iter(rows(connection, [dead_letter])), None)
        if now is None or now.body != refused.body:
            msg = (
                f"the mended event was admitted as {mended.event}, but {dead_letter.id} is no longer the dead letter "
                "that was mended: somebody has decided about it, or its producer has sent it again. Look at both: "
                f"daybook trace {mended.event}, daybook dead show {dead_letter.id}"
            )
            raise Decided(msg)
        dead_letter = now.dead_letter  # the same was refused again


def _edited(operation: Operation, event: str, error: str, reason: str, admitted: str, sha256: str) -> DeadLetterEdited:
    dead_letter = RecordedDeadLetter(event=event, consumer=ADMIT, error=error[:256])
    return DeadLetterEdited(**operation.about, reason=reason, dead_letter=dead_letter, admitted=admitted, sha256=sha256)


@dataclass(frozen=True, slots=True)
class _Note:
    """What must be known of an edit once admit's commit has taken the place of the dead letter: of one whose event
    keeps its id. It is noted on the dead letter's row before the event is sent, and outlasts the commit.
    """

    operation: str
    reason: str
    error: str
    sha256: str
    content: str

    @classmethod
    def of(cls, refused: Refused, mended: Mended, operation: Operation, reason: str) -> Self:
        return cls(operation.id, reason, refused.dead_letter.error, refused.sha256, mended.content)

    @classmethod
    def on(cls, row: LedgerEntry) -> Self | None:
        """The one on a row of the ledger."""
        noted = row.details.get("edit")
        return cls(**noted) if isinstance(noted, Mapping) else None

    def write(self, connection: Connection, dead_letter: DeadLetter) -> None:
        """Note it, if the dead letter is as it was read. Raises Decided."""
        try:
            connection.dynamodb.update_item(**change(connection, dead_letter, {"edit": asdict(self)})["Update"])
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException":
                raise
            msg = f"{dead_letter.id} was decided, or refused again, just now; nothing was sent. Look at it and repeat"
            raise Decided(msg) from error

    def record(self, connection: Connection, row: LedgerEntry) -> None:
        """Record the operation, once: its event is the first of its stream."""
        operation = Operation.resume(connection, self.operation)
        if operation.begun:
            return
        # If the condition fails, another operator was quicker.
        operation.try_to_commit(_edited(operation, row.event, self.error, self.reason, row.event, self.sha256))


def _read(text: str) -> dict[str, Any]:
    """The mended event: source, detail-type and time as texts, detail as an object. Raises NotMended."""
    try:
        given = json_in(text)
    except ValueError as error:
        msg = f"it is not JSON: {error}"
        raise NotMended(msg) from error
    if not isinstance(given, dict) or set(given) != set(_MENDABLE):
        msg = f"it is not an object with the fields {', '.join(_MENDABLE)}, and no others"
        raise NotMended(msg)
    if not all(isinstance(given[name], str) and given[name] for name in ("source", "detail-type", "time")):
        raise NotMended("its source, detail-type and time are not all texts")
    if not isinstance(given["detail"], dict):
        raise NotMended(_FORM)
    try:
        clock.moment(given["time"])
    except (ValueError, OverflowError) as error:
        raise NotMended("its time is not of the form 2026-03-01T09:30:00Z") from error
    return given


def _in_our_form(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Type and detail. What a source sends that does not know this system is translated here: there its events have no
    place for a name.
    """
    foreign = catalogue().foreign.get((given["source"], given["detail-type"]))
    if foreign is None:
        return given["detail-type"], given["detail"]
    try:
        return foreign.contract.type, foreign.translate(given["detail"])
    except ContractBroken as error:
        raise NotMended(str(error)) from error
