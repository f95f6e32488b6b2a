"""Reads dead letters: events that could not be processed, kept in the ledger with the reason and the body.

An index lists them. It is eventually consistent; the ledger row has the current state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.functions import environment
from daybook.operate.reading import chunks, entries, stored
from daybook.operate.registered import rows_of
from daybook.operate.terminal import daybook
from daybook.runtime.settings import BODIES
from daybook.store import ledger_proofs
from daybook.store.attributes import pack, pack_item
from daybook.store.event_store import from_item as event_in
from daybook.store.ledger import DEAD, DEAD_INDEX, LedgerEntry
from daybook.store.ledger import from_item as entry_in
from daybook.store.ledger_keys import of_event

# Items of one page, which is held in memory. A page of DynamoDB's own limit, 1 MB, has about three times as many.
_PAGE_SIZE = 1_000


class NoSuchDeadLetter(Unsuccessful):
    """No dead letter has this id."""


class BodyNotFound(OperatorError):
    """The body of a dead letter is neither in the ledger nor in the bucket for large bodies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter, as the index lists it. `at` is the time of death; `stream` is empty if unknown.

    `named_event` is the id of its event, if a row that says that it is done is not proven. The index does not have it.
    """

    event: str
    consumer: str
    at: str
    error: str
    reason: str
    type: str = ""
    stream: str = ""
    sequence: int = 0
    named_event: str = ""

    @classmethod
    def of(cls, entry: LedgerEntry) -> Self:
        """The dead letter in a row of the ledger or of its index."""
        return cls(
            event=entry.event,
            consumer=entry.consumer,
            at=entry.at,
            error=str(entry.details.get("error", "")),
            reason=str(entry.details.get("reason", "")),
            type=str(entry.details.get("event_type", "")),
            stream=entry.stream,
            sequence=entry.sequence,
            named_event=str(entry.details.get("named_event", "")),
        )

    @property
    def id(self) -> str:
        """The id that operators use: `EVENT@CONSUMER`."""
        return f"{self.event}@{self.consumer}"

    def event_in_store(self, connection: Connection) -> Envelope | None:
        """The event from the store; None if it was never recorded."""
        items = stored(connection, [(self.stream, self.sequence)] if self.stream else ())
        # The place in a message may be wrong.
        return next((event for event in map(event_in, items.values()) if event.metadata.id == self.event), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Selects the dead letters that match all criteria. `stream` is one stream (`order/1001`) or a kind of streams
    (`order/`); `since` is the earliest time of death.
    """

    consumer: str | None = None
    error: str | None = None
    type: str | None = None
    stream: str | None = None
    since: datetime | None = None

    @property
    def everything(self) -> bool:
        """Whether there are no criteria."""
        return self == Selection()

    def matches(self, dead_letter: DeadLetter) -> bool:
        """Whether it selects this dead letter."""
        return (
            self.consumer in {None, dead_letter.consumer}
            and self.error in {None, dead_letter.error}
            and self.type in {None, dead_letter.type}
            and (self.stream is None or _on(self.stream, dead_letter.stream))
            and (self.since is None or dead_letter.at >= clock.timestamp(self.since))
        )


def dead_letters(
    connection: Connection, selection: Selection, *, ignored: Callable[[str], None] = lambda _: None
) -> Iterator[DeadLetter]:
    """The selected dead letters, read lazily: of one consumer the oldest first, otherwise in no order.

    They are read from an index, which lags behind the ledger. A role can write its own rows only, but into the index
    under any name. So rows under the name of another consumer are no dead letters; `ignored` is called with a text
    about each.
    """
    request: dict[str, Any] = {"TableName": connection.names.ledger, "IndexName": DEAD_INDEX}
    request["PaginationConfig"] = {"PageSize": _PAGE_SIZE}
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
            entry = entry_in({**item, "state": pack(DEAD)})
            dead_letter = DeadLetter.of(entry)
            if (named_as := entry.details["dead"]) != entry.consumer:
                ignored(
                    f"the row {dead_letter.id} claims to be a dead letter of {named_as}, and was ignored; nothing in "
                    f"this system writes such a row. Find out more: {daybook('audit', 'check', stage=connection.stage)}"
                )
            elif selection.matches(dead_letter):
                yield dead_letter


def named(connection: Connection, name: str) -> DeadLetter:
    """The dead letter with this id: an event's id, or `EVENT@CONSUMER`. Read consistently.

    Raises NoSuchDeadLetter, also if the event is dead at several consumers and the id names none.
    """
    event, consumer = split_id(name)
    rows = rows_of(connection, event, consumer)
    dead = [entry for entry in rows if entry.state == DEAD]
    if len(dead) > 1:
        known = ", ".join(f"{event}@{entry.consumer}" for entry in dead)
        raise NoSuchDeadLetter(f"{event} is dead at {len(dead)} consumers; use one of {known}")
    if not dead:
        states = ", ".join(f"{entry.state} at {entry.consumer}" for entry in rows) or "the ledger has no row for it"
        raise NoSuchDeadLetter(
            f"{name} is not a dead letter of the stage {connection.stage} ({states}). "
            f"List all with: {daybook('dead', 'list', stage=connection.stage)}"
        )
    return DeadLetter.of(dead[0])


def split_id(name: str) -> tuple[str, str]:
    """The event and the consumer in a dead letter's id; the consumer is empty if the id does not name it."""
    return (name.rpartition("@")[0], name.rpartition("@")[2]) if "@" in name else (name, "")


def still_dead(connection: Connection, wanted: Iterable[DeadLetter]) -> Iterator[tuple[DeadLetter, LedgerEntry]]:
    """Those dead letters that are still dead, with their ledger entries; read consistently and lazily."""
    for some in chunks(wanted):
        for entry in entries(connection, [(each.event, each.consumer) for each in some]).values():
            if entry.state == DEAD:
                yield DeadLetter.of(entry), entry


def body(connection: Connection, entry: LedgerEntry) -> str:
    """The message of a dead letter, from the ledger or from the bucket. Raises BodyNotFound."""
    if "body" in entry.details:
        return str(entry.details["body"])
    bucket = (environment(connection, "record-dead-letters") or {}).get(BODIES)
    key = entry.details.get("body_key")
    if not bucket or not key:
        raise BodyNotFound(
            f"the body of {entry.event}@{entry.consumer} is neither in the ledger nor in the backbone's bucket"
        )
    return str(connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())


def change(
    connection: Connection, dead_letter: DeadLetter, values: Mapping[str, object], *, remove: Sequence[str] = ()
) -> dict[str, Any]:
    """The part of a transaction that changes a dead letter's row, if it is still the same dead letter."""
    names = {f"#{name}": name for name in (*values, *remove, "state", "at")}  # some are reserved words
    expression = f"SET {', '.join(f'#{name} = :{name}' for name in values)}"
    if remove:
        expression += f" REMOVE {', '.join(f'#{name}' for name in remove)}"
    bound = {f":{name}": value for name, value in values.items()} | {":is_dead": DEAD, ":known": dead_letter.at}
    return {
        "Update": {
            "TableName": connection.names.ledger,
            "Key": pack_item(of_event(dead_letter.event, dead_letter.consumer)),
            "UpdateExpression": expression,
            "ConditionExpression": "#state = :is_dead AND #at = :known",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": pack_item(bound),
        }
    }


def end(
    connection: Connection, dead_letter: DeadLetter, values: Mapping[str, object], *, remove: Sequence[str] = ()
) -> dict[str, Any]:
    """Like `change`, to a final state, which is proven by the consumer's key."""
    key = of_event(dead_letter.event, dead_letter.consumer)
    values = {**values, **ledger_proofs.prove({**key, **values}, connection.keyring.writer(dead_letter.consumer))}
    # An attribute that the proof covers must not be left of an earlier status.
    covered = [name for name in ledger_proofs.STATUS if name not in values]
    return change(connection, dead_letter, values, remove=(*remove, *covered))


def _on(wanted: str, stream: str) -> bool:
    return stream.startswith(wanted) if wanted.endswith("/") else stream == wanted
