"""Mending what admit has refused: the mended event goes to admit as the refused one came, and takes its place.

    refused = find(connection, "0b73e9a8-…")
    edited = edit(connection, refused, refused.mended(connection, text), "the checkout sent 0 pieces")

The mended event is named after the letter, so that it is admitted once, however often admit is given it. The letter is
set aside only when that is done, in one transaction with the record of the act. Whoever is interrupted repeats it with
the same event; what was done already is found.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Never, Self

from botocore.exceptions import ClientError

from daybook.application import catalogue
from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken
from daybook.contracts.identity import admitted_id, content_hash
from daybook.contracts.operations import DeadLetterEdited
from daybook.contracts.operations import Letter as LetterTold
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import Letter, NoSuchLetter, named, rows
from daybook.operate.errors import OperatorError, code
from daybook.operate.operation import Operation
from daybook.operate.polling import looks
from daybook.operate.send.entries import Entry, problem
from daybook.operate.subscriptions import queue_url
from daybook.store.attributes import pack, pack_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED
from daybook.store.ledger import Entry as LedgerEntry
from daybook.store.transaction import Refused as NotWritten

ADMIT: Final = "admit"

# What can be mended of an event as EventBridge hands it over; the rest stays as it came.
_MENDABLE: Final = ("source", "detail-type", "time", "detail")
# For how long admit's word is waited for.
_PATIENCE: Final = 60.0  # seconds


class NeverEdited(OperatorError):
    """The letter is of an event that is stored. What is stored is never edited."""

    def __init__(self, letter: Letter) -> None:
        super().__init__(
            f"{letter.id} is an event that is stored, and what is stored is never edited: retry it "
            f"(daybook dead retry {letter.id}), discard it, or send a new event (daybook send)"
        )


class NotMended(OperatorError):
    """What should take the place of a refused event would be refused, too. Nothing was sent."""


class RefusedAgain(OperatorError):
    """Admit has refused the mended event. The letter stays as it was."""

    exit_code = 1


class MendedBefore(OperatorError):
    """The name that the mended event would have is taken by another decision about the same letter."""

    exit_code = 1


class Decided(OperatorError):
    """Somebody else has decided about the letter meanwhile."""

    exit_code = 1


class NoWord(OperatorError):
    """Admit has said nothing of the mended event for as long as it was waited for."""

    exit_code = 1


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
    """What admit has refused: the letter, and the message as it came."""

    letter: Letter
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
            msg = 'its detail is not {"data": {…}}, with "metadata": {…} at will'
            raise NotMended(msg)
        name = {"id": f"edit-{self.letter.event}", "causation_id": self.letter.event}
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
        made = {"version": "0", "id": self.letter.event, "account": connection.account, "region": connection.region}
        return self._came or {**made, "resources": []}


@dataclass(frozen=True, slots=True)
class Edited:
    """A letter in whose place an event was admitted. `before`: that was done before this time."""

    letter: str
    event: str
    before: bool = False


def find(connection: Connection, name: str) -> Refused:
    """The refused event of that name. Raises NoSuchLetter, NeverEdited, NoBody."""
    letter = named(connection, name)
    if letter.consumer != ADMIT:
        raise NeverEdited(letter)
    for row in rows(connection, [letter]):
        return Refused(row.letter, row.body)
    msg = f"{letter.id} has been decided just now; look at it with `daybook dead show {letter.id}`"
    raise NoSuchLetter(msg)


def finish(connection: Connection, name: str) -> Edited | None:
    """The letter of that name, if it was edited before. What an interrupted edit has left to be recorded, is recorded.

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
    """Have the mended event admitted, and then set the letter aside. `pause` waits so many seconds.

    Raises RefusedAgain, MendedBefore, Decided, NoWord, and botocore's errors; after all of them it may be repeated.
    """
    itself = mended.event == refused.letter.event  # its contract names it by a field, which was right
    operation = Operation.begin(connection)
    before = connection.ledger.find(mended.event, ADMIT)
    if itself:
        _Note.of(refused, mended, operation, reason).write(connection, refused.letter)
    if not _is_admitted(before, refused, mended):
        connection.sqs.send_message(QueueUrl=queue_url(connection, ADMIT), MessageBody=mended.body)
        _watch(connection, refused, mended, before.at if before else "", pause)
    if itself:
        finish(connection, refused.letter.event)
    else:
        _set_aside(connection, refused, mended, operation, reason)
    return Edited(refused.letter.id, mended.event)


def _is_admitted(row: LedgerEntry | None, refused: Refused, mended: Mended) -> bool:
    """Whether the ledger's row of the mended event says so. Raises MendedBefore, if it is settled otherwise."""
    if row is None or not row.done:
        return False
    if row.details.get("content_hash") == mended.content:
        return True
    letter, event = refused.letter.id, mended.event
    if event == refused.letter.event:
        msg = f"{letter} was decided meanwhile ({row.state}), and not as you have mended it: daybook trace {event}"
        raise Decided(msg)
    if row.state == COMMITTED:
        told = f"with other content, an event was admitted in the place of {letter}: look at it (daybook trace {event})"
        msg = f"{told}; if all is well, give the letter up: daybook dead discard {letter}"
    else:
        told = f"an earlier mending of {letter} was refused, and {event} discarded, so that its name is not free"
        msg = f"{told}; send the event anew (daybook send), and give the letter up: daybook dead discard {letter}"
    raise MendedBefore(msg)


def _watch(
    connection: Connection, refused: Refused, mended: Mended, known: str, pause: Callable[[float], None]
) -> None:
    """Wait until admit has admitted the event. `known` is since when an earlier one of its name is dead."""
    for _ in looks(_PATIENCE, pause):
        row = connection.ledger.find(mended.event, ADMIT)
        if _is_admitted(row, refused, mended):
            return
        # A refusal counts if it is of this very message: those before may still be on their way to the ledger.
        if row and row.state == DEAD and row.at != known and row.details.get("body") == mended.body:
            told = f"{row.details.get('error')}: {row.details.get('reason')}"
            msg = f"the mended event was refused, too ({told}); {refused.letter.id} stays as it is, mend it again"
            raise RefusedAgain(msg)
    msg = (
        f"admit has said nothing of the mended event for {_PATIENCE:.0f} seconds; it has it in its queue. "
        "Repeat the command with the same event: nothing is done twice"
    )
    raise NoWord(msg)


def _set_aside(connection: Connection, refused: Refused, mended: Mended, operation: Operation, reason: str) -> None:
    """Discard the letter, whose event was admitted under another id, and record that, at once."""
    letter = refused.letter
    about = LetterTold(event=letter.event, consumer=ADMIT, error=letter.error[:256])
    told = DeadLetterEdited(
        **operation.about, reason=reason, letter=about, admitted=mended.event, sha256=refused.sha256
    )
    while True:
        try:
            operation.commit(told, {"ledger": _discarding(connection, letter, mended, operation, reason)})
        except NotWritten:
            if (done := finish(connection, letter.event)) and done.event == mended.event:
                return  # somebody else has done the same
            now = next(iter(rows(connection, [letter])), None)
            if now is None or now.body != refused.body:
                msg = (
                    f"the mended event was admitted as {mended.event}, but {letter.id} is no longer what was mended: "
                    f"somebody has decided about it, or its producer has sent it again. Look at both: "
                    f"daybook trace {mended.event}, daybook dead show {letter.id}"
                )
                raise Decided(msg) from None
            letter = now.letter  # the same was refused once more
        else:
            return


def _discarding(
    connection: Connection, letter: Letter, mended: Mended, operation: Operation, reason: str
) -> dict[str, Any]:
    noted = {"state": DISCARDED, "at": clock.now(), "edited_as": mended.event}
    noted |= {"operation": operation.id, "operator": operation.operator, "why": reason}
    return {
        "Update": {
            "TableName": connection.names.ledger,
            "Key": _key(letter),
            "UpdateExpression": f"SET {', '.join(f'#{name} = :{name}' for name in noted)} REMOVE dead",
            "ConditionExpression": "#state = :dead AND #at = :known",
            "ExpressionAttributeNames": {f"#{name}": name for name in noted},  # some are reserved words
            "ExpressionAttributeValues": pack_item(
                {f":{name}": value for name, value in noted.items()} | {":dead": DEAD, ":known": letter.at}
            ),
        }
    }


@dataclass(frozen=True, slots=True)
class _Note:
    """What must be known of an edit once admit's commit has taken the place of the letter: of one whose event keeps
    its id. It is noted on the letter's row before the event is sent, and outlasts the commit.
    """

    operation: str
    reason: str
    error: str
    sha256: str
    content: str

    @classmethod
    def of(cls, refused: Refused, mended: Mended, operation: Operation, reason: str) -> Self:
        return cls(operation.id, reason, refused.letter.error, refused.sha256, mended.content)

    @classmethod
    def on(cls, row: LedgerEntry) -> Self | None:
        """The one on a row of the ledger."""
        noted = row.details.get("edit")
        return cls(**noted) if isinstance(noted, Mapping) else None

    def write(self, connection: Connection, letter: Letter) -> None:
        """Note it, if the letter is as it was read. Raises Decided."""
        values = {":note": {name: getattr(self, name) for name in self.__slots__}, ":dead": DEAD, ":known": letter.at}
        try:
            connection.dynamodb.update_item(
                TableName=connection.names.ledger,
                Key=_key(letter),
                UpdateExpression="SET #edit = :note",
                ConditionExpression="#state = :dead AND #at = :known",
                ExpressionAttributeNames={"#edit": "edit", "#state": "state", "#at": "at"},
                ExpressionAttributeValues={name: pack(value) for name, value in values.items()},
            )
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException":
                raise
            msg = f"{letter.id} was decided, or refused again, just now; nothing was sent. Look at it and repeat"
            raise Decided(msg) from error

    def record(self, connection: Connection, row: LedgerEntry) -> None:
        """Record the act, once: its event is the first of its stream."""
        operation = Operation.resume(connection, self.operation)
        if operation.begun:
            return
        about = LetterTold(event=row.event, consumer=ADMIT, error=self.error[:256])
        told = DeadLetterEdited(
            **operation.about, reason=self.reason, letter=about, admitted=row.event, sha256=self.sha256
        )
        try:
            operation.commit(told)
        except NotWritten:
            return  # another was quicker


def _read(text: str) -> dict[str, Any]:
    """The mended event: source, detail-type and time as texts, detail as an object. Raises NotMended."""
    try:
        text.encode()
        given = json.loads(text, parse_constant=_no_number, parse_float=_number)
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        msg = "a text in it is not valid Unicode"
        raise NotMended(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"it is not JSON: {error}"
        raise NotMended(msg) from error
    if not isinstance(given, dict) or set(given) != set(_MENDABLE):
        msg = f"it is not an object with the fields {', '.join(_MENDABLE)}, and no others"
        raise NotMended(msg)
    if not all(isinstance(given[name], str) and given[name] for name in ("source", "detail-type", "time")):
        msg = "its source, detail-type and time are not all texts"
        raise NotMended(msg)
    if not isinstance(given["detail"], dict):
        msg = 'its detail is not {"data": {…}}, with "metadata": {…} at will'
        raise NotMended(msg)
    try:
        clock.moment(given["time"])
    except (ValueError, OverflowError) as error:
        msg = "its time is not of the form 2026-03-01T09:30:00Z"
        raise NotMended(msg) from error
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


def _key(letter: Letter) -> dict[str, Any]:
    return dict(pack_item({"event": letter.event, "consumer": letter.consumer}))


def _no_number(text: str) -> Never:
    msg = f"{text} is no number in JSON"
    raise ValueError(msg)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number
