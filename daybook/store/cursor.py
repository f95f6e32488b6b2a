"""Cursors: the position of an ordered consumer in each stream, and the event that blocks the stream, if any.

One row in the ledger's table for each consumer and stream: `<consumer>#cursor#<stream>`. The cursor moves in the same
transaction as the work, on the condition that it has not changed since it was read. This
guarantees that events are processed in order and once, even if messages are lost, duplicated or late. Each row carries
a proof by the consumer's key: a row that somebody else has moved could skip events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.proof import Writer
from daybook.store import ledger_keys, ledger_proofs
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.transaction import ConditionFailed, write_item

MOVING = "moving"
WAITING = "waiting"  # an event is being retried
BLOCKED = "blocked"  # the stream is blocked: an event is dead, and waits for an operator's decision


class ConcurrentWrite(Exception):
    """Another invocation has written the row (a cursor or an effect record) since it was read. Read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """The event that a stream waits for.

    While the event is retried, only the message `message` continues the stream, until the time `until`; all other
    messages of the stream end without effect. Without `message` and `until` the stream is blocked, since the time
    `since`.
    """

    event: str
    sequence: int
    reason: str = ""  # for a dead event: the kind of error
    message: str = ""
    until: str = ""
    since: str = ""

    @property
    def blocked(self) -> bool:
        """Whether the stream is blocked by a dead event. Otherwise the event is being retried."""
        return not self.message

    def allows(self, event: str, message: str, sent: str) -> bool:
        """Whether the message `message`, about the event `event` and sent at the time `sent`, may continue the stream.

        A blocked stream continues only with a message that was sent after it was blocked: an operator has sent the dead
        event again. An older message about the same event may still be in the queue.
        """
        if self.blocked:
            return event == self.event and sent > self.since
        return message == self.message or clock.now() >= self.until


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a stream: all events up to `sequence` are done. `version` counts the writes of the row."""

    stream: str
    sequence: int = 0
    version: int = 0
    pending: PendingEvent | None = None

    def advanced_to(self, sequence: int) -> Self:
        """The cursor after the event at `sequence` is done, without a pending event."""
        return type(self)(self.stream, sequence, self.version + 1)

    def waiting_for(self, pending: PendingEvent) -> Self:
        """The cursor at the same position, with a pending event."""
        return type(self)(self.stream, self.sequence, self.version + 1, pending)


class Cursors:
    """Reads and writes one consumer's cursors. `table` is the ledger's table. `writer` returns the consumer, which
    proves and checks them.
    """

    def __init__(self, dynamodb: Any, table: str, consumer: str, writer: Callable[[], Writer]) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._consumer = consumer
        self._writer = writer

    def read(self, stream: str) -> Cursor:
        """The cursor in the stream, or a new one at its beginning. A consistent read. Raises LedgerRowNotProven."""
        consumer = self._writer()  # for a new cursor too: who cannot write it must not begin
        answer = self._dynamodb.get_item(TableName=self._table, Key=self._key(stream), ConsistentRead=True)
        if "Item" not in answer:
            return Cursor(stream)
        row = unpack_item(answer["Item"])
        if not ledger_proofs.is_proven(row, consumer):
            raise ledger_proofs.LedgerRowNotProven(row["key"])
        return Cursor(
            stream, row["sequence"], row["version"], PendingEvent(**row["pending"]) if "pending" in row else None
        )

    def part(self, cursor: Cursor) -> dict[str, Any]:
        """The part of a transaction that writes the cursor, on the condition that the row has not changed."""
        pending = cursor.pending
        state = MOVING if pending is None else BLOCKED if pending.blocked else WAITING
        values: dict[str, object] = {"state": state, "at": clock.now(), "stream": cursor.stream}
        values |= {"sequence": cursor.sequence, "version": cursor.version}
        if pending:
            values["pending"] = {name: getattr(pending, name) for name in PendingEvent.__dataclass_fields__}
        values |= ledger_proofs.prove(ledger_keys.of_cursor(cursor.stream, self._consumer) | values, self._writer())
        names = {f"#{name}": name for name in (*values, "pending", "version")}
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": self._key(cursor.stream),
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in values),
            "ConditionExpression": "attribute_not_exists(#version)",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{name}": pack(value) for name, value in values.items()},
        }
        if pending is None:
            update["UpdateExpression"] += " REMOVE #pending"
        if cursor.version > 1:
            update["ConditionExpression"] = "#version = :read"
            update["ExpressionAttributeValues"][":read"] = pack(cursor.version - 1)
        return {"Update": update}

    def write(self, cursor: Cursor) -> None:
        """Write only the cursor. Raises ConcurrentWrite."""
        try:
            write_item(self._dynamodb.update_item, **self.part(cursor)["Update"])
        except ConditionFailed as failed:
            msg = "another invocation has written the cursor"
            raise ConcurrentWrite(msg) from failed

    def _key(self, stream: str) -> dict[str, Any]:
        return pack_item(ledger_keys.of_cursor(stream, self._consumer))
