"""Dead letters: events that could not be processed, as the ledger keeps them, with the reason and the body.

The index of the dead lists them, some moments late; the ledger's own row says how it stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.functions import environment
from daybook.operate.reading import chunks, entries, stored
from daybook.runtime.settings import BODIES
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.event_store import from_item as event_in
from daybook.store.ledger import DEAD, DEAD_INDEX, Entry

# What one page of the index holds, which is in memory whole. DynamoDB's own limit, 1 MB, is some three times as much.
_MOST_AT_ONCE = 1_000


class NoSuchDeadLetter(Unsuccessful):
    """No dead letter is found by what was asked for."""


class NoBody(OperatorError):
    """A dead letter's body cannot be found, where large ones are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter, as the index lists it. `at` is since when it is dead; `stream` is empty if it is not known."""

    event: str
    consumer: str
    at: str
    error: str
    reason: str
    type: str = ""
    stream: str = ""
    sequence: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The dead letter in an item of the index, or of the ledger."""
        return cls(
            event=values["event"],
            consumer=values["consumer"],
            at=values["at"],
            error=str(values.get("error", "")),
            reason=str(values.get("reason", "")),
            type=str(values.get("event_type", "")),
            stream=str(values.get("stream", "")),
            sequence=int(values.get("sequence", 0)),
        )

    @property
    def id(self) -> str:
        """What operators call it: the event's id and the consumer's name."""
        return f"{self.event}@{self.consumer}"

    def event_in_store(self, connection: Connection) -> Envelope | None:
        """The event that it is about, as the store has it; None if it was never recorded."""
        items = stored(connection, [(self.stream, self.sequence)] if self.stream else ())
        # What a message says of its place may be wrong.
        return next((event for event in map(event_in, items.values()) if event.metadata.id == self.event), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters are meant: those for which all holds that is said. `stream` is one stream (`order/1001`), or a
    kind of streams (`order/`); `since` is when they died.
    """

    consumer: str | None = None
    error: str | None = None
    type: str | None = None
    stream: str | None = None
    since: datetime | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is said."""
        return self == Selection()

    def holds(self, dead_letter: DeadLetter) -> bool:
        """Whether it means this dead letter."""
        return (
            self.consumer in {None, dead_letter.consumer}
            and self.error in {None, dead_letter.error}
            and self.type in {None, dead_letter.type}
            and (self.stream is None or _on(self.stream, dead_letter.stream))
            and (self.since is None or dead_letter.at >= clock.timestamp(self.since))
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A dead letter as the ledger has it at this moment. `body` is the message to the dead letter."""

    dead_letter: DeadLetter
    entry: Entry
    body: str = field(repr=False)


def dead_letters(connection: Connection, selection: Selection) -> Iterator[DeadLetter]:
    """The dead letters that are meant, read as they are asked for: of one consumer the oldest first, else in no order.

    Read from an index, which lags: what has just died, or been decided, may be listed otherwise.
    """
    request: dict[str, Any] = {"TableName": connection.names.ledger, "IndexName": DEAD_INDEX}
    request["PaginationConfig"] = {"PageSize": _MOST_AT_ONCE}
    operation = "scan"
    if selection.consumer is not None:
        operation = "query"
        request |= {
            "KeyConditionExpression": "#dead = :consumer AND #at >= :since",
            "ExpressionAttributeNames": {"#dead": "dead", "#at": "at"},
            "ExpressionAttributeValues": {
                ":consumer": pack(selection.consumer),
                ":since": pack(clock.timestamp(selection.since) if selection.since else "0"),
            },
        }
    for page in connection.dynamodb.get_paginator(operation).paginate(**request):
        for item in page["Items"]:
            dead_letter = DeadLetter.of(unpack_item(item))
            if selection.holds(dead_letter):
                yield dead_letter


def named(connection: Connection, name: str) -> DeadLetter:
    """The dead letter of that name: an event's id, or that with `@` and a consumer. Read consistently.

    Raises NoSuchDeadLetter, also where the event is dead at several consumers and none is named.
    """
    event, _, consumer = name.rpartition("@") if "@" in name else (name, "", "")
    entries = connection.ledger.of_event(event)
    dead = [entry for entry in entries if entry.state == DEAD and consumer in {"", entry.consumer}]
    if len(dead) > 1:
        known = ", ".join(f"{event}@{entry.consumer}" for entry in dead)
        msg = f"{event} is dead at {len(dead)} consumers; name one of {known}"
        raise NoSuchDeadLetter(msg)
    if not dead:
        states = ", ".join(f"{entry.state} at {entry.consumer}" for entry in entries) or "the ledger has no row of it"
        msg = (
            f"{name} is no dead letter of the stage {connection.stage} ({states}). "
            f"What there is: daybook dead list --stage {connection.stage}"
        )
        raise NoSuchDeadLetter(msg)
    return DeadLetter.of(_values(dead[0]))


def rows(connection: Connection, wanted: Iterable[DeadLetter]) -> Iterator[Row]:
    """The rows of those dead letters that are dead at this moment, read consistently, as they are asked for.

    Raises NoBody, if a body that was too large for the ledger is not where it should be.
    """
    for dead_letter, entry in standing(connection, wanted):
        yield Row(dead_letter, entry, body(connection, entry))


def standing(connection: Connection, wanted: Iterable[DeadLetter]) -> Iterator[tuple[DeadLetter, Entry]]:
    """Those dead letters that are dead at this moment, and their rows; read consistently, as they are asked for."""
    for some in chunks(wanted):
        for entry in entries(connection, map(_key, some)).values():
            if entry.state == DEAD:
                yield DeadLetter.of(_values(entry)), entry


def body(connection: Connection, entry: Entry) -> str:
    """The message to a dead letter's row. Raises NoBody."""
    if "body" in entry.details:
        return str(entry.details["body"])
    bucket = (environment(connection, "record-dead-letters") or {}).get(BODIES)
    key = entry.details.get("body_key")
    if not bucket or not key:
        msg = f"the body of {entry.event}@{entry.consumer} is kept neither in the ledger nor in the backbone's bucket"
        raise NoBody(msg)
    return str(connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())


def change(
    connection: Connection, dead_letter: DeadLetter, values: Mapping[str, object], *, remove: Sequence[str] = ()
) -> dict[str, Any]:
    """The part of a transaction that changes a dead letter's row, if it is still dead as the dead letter says."""
    names = {f"#{name}": name for name in (*values, *remove, "state", "at")}  # some are reserved words
    expression = f"SET {', '.join(f'#{name} = :{name}' for name in values)}"
    if remove:
        expression += f" REMOVE {', '.join(f'#{name}' for name in remove)}"
    bound = {f":{name}": value for name, value in values.items()} | {":is_dead": DEAD, ":known": dead_letter.at}
    return {
        "Update": {
            "TableName": connection.names.ledger,
            "Key": pack_item({"event": dead_letter.event, "consumer": dead_letter.consumer}),
            "UpdateExpression": expression,
            "ConditionExpression": "#state = :is_dead AND #at = :known",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": pack_item(bound),
        }
    }


def _key(dead_letter: DeadLetter) -> tuple[str, str]:
    return dead_letter.event, dead_letter.consumer


def _values(entry: Entry) -> dict[str, Any]:
    return {
        **entry.details,
        **{name: getattr(entry, name) for name in ("event", "consumer", "at", "stream", "sequence")},
    }


def _on(wanted: str, stream: str) -> bool:
    return stream.startswith(wanted) if wanted.endswith("/") else stream == wanted
