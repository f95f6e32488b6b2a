"""Dead letters: events that could not be processed, as the ledger keeps them, with the reason and the body.

The index of the dead lists them, some moments late; the ledger's own row says how it stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Self

from daybook.contracts import clock
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.functions import environment
from daybook.runtime.settings import BODIES
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.ledger import DEAD, DEAD_INDEX, Entry
from daybook.store.ledger import from_item as entry_in

# DynamoDB's quota for one BatchGetItem.
_MOST_READS = 100
# What one page of the index holds, which is in memory whole. DynamoDB's own limit, 1 MB, is some three times as much.
_MOST_AT_ONCE = 1_000


class NoSuchLetter(OperatorError):
    """No dead letter is found by what was asked for."""

    exit_code = 1


class NoBody(OperatorError):
    """A dead letter's body cannot be found, where large ones are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter, as the index lists it. `at` is since when it is dead; `stream` is empty where nothing told it."""

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
        """The letter in an item of the index, or of the ledger."""
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

    def holds(self, letter: Letter) -> bool:
        """Whether it means this letter."""
        return (
            self.consumer in {None, letter.consumer}
            and self.error in {None, letter.error}
            and self.type in {None, letter.type}
            and (self.stream is None or _on(self.stream, letter.stream))
            and (self.since is None or letter.at >= clock.timestamp(self.since))
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A dead letter as the ledger has it at this moment. `body` is the message to the letter."""

    letter: Letter
    entry: Entry
    body: str = field(repr=False)


def letters(connection: Connection, selection: Selection) -> Iterator[Letter]:
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
            letter = Letter.of(unpack_item(item))
            if selection.holds(letter):
                yield letter


def named(connection: Connection, name: str) -> Letter:
    """The dead letter of that name: an event's id, or that with `@` and a consumer. Read consistently.

    Raises NoSuchLetter, also where the event is dead at several consumers and none is named.
    """
    event, _, consumer = name.rpartition("@") if "@" in name else (name, "", "")
    entries = connection.ledger.of_event(event)
    dead = [entry for entry in entries if entry.state == DEAD and consumer in {"", entry.consumer}]
    if len(dead) > 1:
        known = ", ".join(f"{event}@{entry.consumer}" for entry in dead)
        msg = f"{event} is dead at {len(dead)} consumers; name one of {known}"
        raise NoSuchLetter(msg)
    if not dead:
        states = ", ".join(f"{entry.state} at {entry.consumer}" for entry in entries) or "the ledger has no row of it"
        msg = (
            f"{name} is no dead letter of the stage {connection.stage} ({states}). "
            f"What there is: daybook dead list --stage {connection.stage}"
        )
        raise NoSuchLetter(msg)
    return Letter.of(_values(dead[0]))


def rows(connection: Connection, wanted: Iterable[Letter]) -> Iterator[Row]:
    """The rows of those letters that are dead at this moment, read consistently, as they are asked for.

    Raises NoBody, if a body that was too large for the ledger is not where it should be.
    """
    for letter, entry in standing(connection, wanted):
        yield Row(letter, entry, body(connection, entry))


def standing(connection: Connection, wanted: Iterable[Letter]) -> Iterator[tuple[Letter, Entry]]:
    """Those letters that are dead at this moment, and their rows; read consistently, as they are asked for."""
    waiting = iter(wanted)
    while some := list(islice(waiting, _MOST_READS)):
        keys = [{"event": event, "consumer": consumer} for event, consumer in dict.fromkeys(map(_key, some))]
        for item in connection.items(connection.names.ledger, keys):
            entry = entry_in(item)
            if entry.state == DEAD:
                yield Letter.of(_values(entry)), entry


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
    connection: Connection, letter: Letter, values: Mapping[str, object], *, remove: Sequence[str] = ()
) -> dict[str, Any]:
    """The part of a transaction that changes a letter's row, if it is still dead as the letter says."""
    aliases = {f":v{number}": name for number, name in enumerate(values)}
    expression = "SET " + ", ".join(f"#{alias[1:]} = {alias}" for alias in aliases)
    names = {"#state": "state", "#at": "at"} | {f"#{alias[1:]}": name for alias, name in aliases.items()}
    if remove:
        gone = {f"#r{number}": name for number, name in enumerate(remove)}
        expression += " REMOVE " + ", ".join(gone)
        names |= gone
    condition = {":dead": pack(DEAD), ":was": pack(letter.at)}
    return {
        "Update": {
            "TableName": connection.names.ledger,
            "Key": pack_item({"event": letter.event, "consumer": letter.consumer}),
            "UpdateExpression": expression,
            "ConditionExpression": "#state = :dead AND #at = :was",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": condition | {alias: pack(values[name]) for alias, name in aliases.items()},
        }
    }


def _key(letter: Letter) -> tuple[str, str]:
    return letter.event, letter.consumer


def _values(entry: Entry) -> dict[str, Any]:
    return {
        **entry.details,
        "event": entry.event,
        "consumer": entry.consumer,
        "at": entry.at,
        "stream": entry.stream,
        "sequence": entry.sequence,
    }


def _on(wanted: str, stream: str) -> bool:
    return stream.startswith(wanted) if wanted.endswith("/") else stream == wanted
