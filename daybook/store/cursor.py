"""Cursors: how far an ordered consumer has come in each stream, and what holds a stream up there.

One row in the ledger's table for each consumer and stream: partition key `cursor#<stream>`, sort key the consumer. It
moves in the transaction of the work, on the condition that nobody has written it since it was read. That guards the
order, and that each event is handled once, whatever becomes of the messages.
"""

from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import ClientError

from daybook.contracts import clock
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item, unpack_item

MOVING = "moving"
WAITING = "waiting"  # an event will be tried again
PARKED = "parked"  # an event is dead, and waits for somebody's decision


class Overtaken(Exception):
    """Another run has written the cursor since it was read. Read it again: what it said may no longer hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The event that holds a stream up.

    One message brings it again, `message`, and the rest of the stream with it; all other messages of the stream end
    quietly, until the moment `until`. Without these two the stream is parked, `since` then.
    """

    event: str
    sequence: int
    reason: str = ""  # of one that is dead: the kind of error
    message: str = ""
    until: str = ""
    since: str = ""

    @property
    def parked(self) -> bool:
        """Whether only the event itself, sent again, sets the stream going; else it comes again by itself."""
        return not self.message

    def lets_through(self, event: str, message: str, sent: str) -> bool:
        """Whether this message, which tells of this event and was sent then, may go on with the stream.

        What was parked must have been sent again: the event's own first nudge may still be in the queue.
        """
        if self.parked:
            return event == self.event and sent > self.since
        return message == self.message or clock.now() >= self.until


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a stream: all events up to `sequence` are done. `version` counts how often the row was written."""

    stream: str
    sequence: int = 0
    version: int = 0
    hold: Hold | None = None

    def moved(self, sequence: int) -> Self:
        """The cursor once the event at `sequence` is done: nothing holds it."""
        return type(self)(self.stream, sequence, self.version + 1)

    def held(self, hold: Hold) -> Self:
        """The cursor where it is, held up."""
        return type(self)(self.stream, self.sequence, self.version + 1, hold)


class Cursors:
    """Reads one consumer's cursors, and writes them. `table` is the ledger's."""

    def __init__(self, dynamodb: Any, table: str, consumer: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._consumer = consumer

    def read(self, stream: str) -> Cursor:
        """The cursor in the stream, read consistently; one at its beginning if there is none yet."""
        answer = self._dynamodb.get_item(TableName=self._table, Key=self._key(stream), ConsistentRead=True)
        if "Item" not in answer:
            return Cursor(stream)
        row = unpack_item(answer["Item"])
        return Cursor(stream, row["sequence"], row["version"], Hold(**row["hold"]) if "hold" in row else None)

    def part(self, cursor: Cursor) -> dict[str, Any]:
        """The part of a transaction that writes the cursor, if the row is still the one it was made from."""
        hold = cursor.hold
        state = MOVING if hold is None else PARKED if hold.parked else WAITING
        values: dict[str, object] = {"state": state, "at": clock.now(), "stream": cursor.stream}
        values |= {"sequence": cursor.sequence, "version": cursor.version}
        if hold:
            values["hold"] = {name: getattr(hold, name) for name in Hold.__dataclass_fields__}
        names = {f"#{name}": name for name in (*values, "hold", "version")}
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": self._key(cursor.stream),
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in values),
            "ConditionExpression": "attribute_not_exists(#version)",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{name}": pack(value) for name, value in values.items()},
        }
        if hold is None:
            update["UpdateExpression"] += " REMOVE #hold"
        if cursor.version > 1:
            update["ConditionExpression"] = "#version = :read"
            update["ExpressionAttributeValues"][":read"] = pack(cursor.version - 1)
        return {"Update": update}

    def write(self, cursor: Cursor) -> None:
        """Write the cursor alone. Raises Overtaken."""
        try:
            self._dynamodb.update_item(**self.part(cursor)["Update"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise
            msg = "another run has written the cursor"
            raise Overtaken(msg) from error

    def _key(self, stream: str) -> dict[str, Any]:
        return pack_item(ledger_keys.of_cursor(stream, self._consumer))
