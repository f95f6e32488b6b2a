"""Attempts: what an effect is about to do in the world outside, noted for good before it does it.

One row in the ledger's table for each purpose, which is named in the words of the business: partition key
`attempt#charge/1001`, sort key the consumer. It guards that one purpose is pursued once, whatever becomes of messages,
processes and the events that ask for it. While an attempt is *open* nobody knows whether it took effect.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError

from daybook.consumers.failure import NotYet
from daybook.contracts import clock
from daybook.store import ledger_keys
from daybook.store.attributes import pack_item, unpack_item

T = TypeVar("T")

OPEN = "open"  # it was begun, and its outcome is not known
WITHDRAWN = "withdrawn"  # it certainly had no effect, and may be begun again
CONCLUDED = "concluded"  # its outcome is an event

# Clocks of two processes differ by less (AWS keeps them in step by its Time Sync Service).
_CLOCKS_DIFFER = timedelta(seconds=2)


class NothingDone(NotYet):
    """The world outside certainly did nothing: it is down, or busy, or lets nobody in. The delivery comes again,
    without counting: that is not the event's fault.
    """


class OutcomeUnknown(Exception):
    """An effect was attempted, and whether it happened is not known.

    Where the other side can say, the delivery comes again and asks it. Otherwise, `final`, a person must find out: it
    is a dead letter at once, and nothing is attempted again until somebody has decided. `unanswered`: it was the call
    that failed, and not this system's own code; so it is no fault of the event, and does not count.
    """

    def __init__(self, sentence: str, *, final: bool, unanswered: bool = False) -> None:
        super().__init__(sentence)
        self.final = final
        self.unanswered = unanswered
        self.patience: float | None = None  # seconds; unless set, as long as the stage's settings say


class Busy(NotYet):
    """Another process is at it, or another event has asked for the same and its outcome is not known yet."""


class Concluded(Exception):
    """What the event asks for was done already, for another event that asked for the same."""


@dataclass(slots=True)
class Attempt:
    """One purpose, in the hands of this process. `notes` are what earlier attempts at it have noted.

    `in_doubt`: it was begun before, and may have taken effect.
    """

    purpose: str
    in_doubt: bool
    notes: Mapping[str, str]
    _number: int
    _attempts: "Attempts" = field(repr=False)
    untouched: bool = False
    """Whether it has failed, or ended, before anything was asked of the world outside."""

    def note(self, **facts: str) -> None:
        """Note for good what a later look must know, such as the other side's id of what was begun. Raises Busy."""
        self._attempts.write(
            self.purpose,
            "SET " + ", ".join(f"notes.#note_{name} = :note_{name}" for name in facts),
            self._number,
            names={f"#note_{name}": name for name in facts},
            values={f":note_{name}": value for name, value in facts.items()},
        )
        self.notes = {**self.notes, **facts}

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """What the body does in the block asks nothing of the world outside: if it fails there, nothing has happened,
        and the delivery is tried again as any other. So it stands before the body's first call, never behind one.
        """
        self.untouched = True
        yield
        self.untouched = False

    def without_asking(self, outcome: T) -> T:
        """The outcome of what the world outside need not be asked for. It says nothing of how that is."""
        self.untouched = True
        return outcome

    def withdraw(self) -> None:
        """Note that it had no effect. Raises Busy."""
        values = {":withdrawn": WITHDRAWN}
        self._attempts.write(self.purpose, "SET #state = :withdrawn REMOVE #until", self._number, values=values)

    def leave(self) -> None:
        """Leave it open, for the next delivery to look at whenever it comes. Raises Busy."""
        self._attempts.write(self.purpose, "REMOVE #until", self._number)

    def conclusion(self, events: list[str]) -> dict[str, Any]:
        """The part of a transaction that notes the outcome: the ids of the events that tell it."""
        values = {":concluded": CONCLUDED, ":now": clock.now(), ":events": events}
        expression = "SET #state = :concluded, concluded_at = :now, events = :events REMOVE #until"
        return {"Update": self._attempts.update(self.purpose, expression, self._number, values=values)}


class Attempts:
    """One consumer's attempts. `table` is the ledger's."""

    def __init__(self, dynamodb: Any, table: str, consumer: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._consumer = consumer

    def find(self, purpose: str) -> dict[str, Any] | None:
        """What is noted of the attempt: `state`, `cause`, `number`, `notes`, and `until`, as long as its process may be
        alive. None, if nothing was ever attempted. Read consistently.
        """
        found = self._dynamodb.get_item(TableName=self._table, Key=self._key(purpose), ConsistentRead=True)
        return unpack_item(found["Item"]) if "Item" in found else None

    def begin(self, purpose: str, *, cause: str, seconds: float) -> Attempt:
        """Note that the purpose is about to be pursued for the event `cause`, by a process that lives so long.

        Raises Concluded if that was done for another event, Busy if somebody else is at it.
        """
        now = datetime.now(UTC)
        values = {":open": OPEN, ":withdrawn": WITHDRAWN, ":cause": cause, ":none": {}, ":zero": 0, ":one": 1}
        # Of a call whose answer is lost, botocore sends another, which finds what the first has written.
        token = uuid4().hex
        values |= {":now": clock.timestamp(now), ":until": _until(now, seconds), ":token": token}
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": self._key(purpose),
            "UpdateExpression": "SET #state = :open, cause = :cause, begun_at = :now, #until = :until, "
            "#token = :token, notes = if_not_exists(notes, :none), #number = if_not_exists(#number, :zero) + :one",
            "ConditionExpression": "attribute_not_exists(#state) OR #state = :withdrawn",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": pack_item(values),
            "ReturnValues": "ALL_NEW",
        }
        try:
            row = unpack_item(self._dynamodb.update_item(**update)["Attributes"])
        except ClientError as error:
            if not _refused(error):
                raise
            row = self.find(purpose) or {}
            if row.get("token") != token:
                return self._take_over(purpose, row, cause, seconds)
        return Attempt(purpose, in_doubt=False, notes=row["notes"], _number=row["number"], _attempts=self)

    def _take_over(self, purpose: str, row: Mapping[str, Any], cause: str, seconds: float) -> Attempt:
        """The attempt that is there already, once its process must have ended."""
        if row["state"] == CONCLUDED:
            raise Concluded
        if row["cause"] != cause:
            msg = "another event has asked for the same, and its outcome is not known yet"
            raise Busy(msg)
        if row.get("until", "") > clock.now():
            msg = "another process is at it"
            raise Busy(msg, patience=inf)  # it ends, or must have ended, soon
        until = {":until": _until(datetime.now(UTC), seconds), ":one": 1}
        number = row["number"]
        # Whoever began it, and is still waiting for the answer, must not take this attempt for the one it began.
        expression = "SET #until = :until, #number = #number + :one REMOVE #token"
        self.write(purpose, expression, number, values=until)
        return Attempt(purpose, in_doubt=True, notes=row["notes"], _number=number + 1, _attempts=self)

    def update(
        self,
        purpose: str,
        expression: str,
        number: int,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """An update of an open attempt, if nobody has taken it over."""
        used = {name: text for name, text in _NAMES.items() if name in f"{expression} #state #number"}
        return {
            "TableName": self._table,
            "Key": self._key(purpose),
            "UpdateExpression": expression,
            "ConditionExpression": "#state = :open AND #number = :number",
            "ExpressionAttributeNames": {**used, **(names or {})},
            "ExpressionAttributeValues": pack_item({":open": OPEN, ":number": number, **(values or {})}),
        }

    def write(
        self,
        purpose: str,
        expression: str,
        number: int,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, object] | None = None,
    ) -> None:
        """Write such an update. Raises Busy if somebody has taken the attempt over."""
        try:
            self._dynamodb.update_item(**self.update(purpose, expression, number, names=names, values=values))
        except ClientError as error:
            if not _refused(error):
                raise
            msg = "another process has taken the attempt over"
            raise Busy(msg, patience=inf) from error

    def _key(self, purpose: str) -> dict[str, Any]:
        return pack_item(ledger_keys.of_effect(purpose, self._consumer))


# Reserved words in DynamoDB's expressions.
_NAMES = {"#state": "state", "#until": "until", "#number": "number", "#token": "token"}


def _until(now: datetime, seconds: float) -> str:
    return clock.timestamp(now + timedelta(seconds=seconds) + _CLOCKS_DIFFER)


def _refused(error: ClientError) -> bool:
    return bool(error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException")
