"""Views: tables that functions write for readers, and how these functions map events.

A view has the name of its table in the stack: `order-status`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from daybook.consumers.view import PROJECT, RowChange
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.errors import OperatorError
from daybook.operate.reading import MAX_READS, Place, batches, chunks, entries, stored
from daybook.store.event_store import from_item as event_in
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import COMMITTED

# Lambda accepts 6 MB per request; a hundred events may have 6.25 MB.
_MAX_REQUEST_BYTES = 4_000_000  # bytes

WAITING = "waiting"  # no ledger row yet


class NoSuchView(OperatorError):
    """No function writes a view of this name. It is misspelled, or its service is not deployed."""


class ProjectionFailed(OperatorError):
    """A view's function could not map events. Its deployed code differs, or it fails."""


class EventMissing(OperatorError):
    """An event of the journal is not in the store, so the view cannot be computed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and a consumer that maps it to the view."""

    line: JournalEntry
    consumer: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. `table` is its name in AWS; `writers` are the consumers that write it, by name."""

    connection: Connection
    name: str
    table: str
    writers: Mapping[str, Consumer]

    @classmethod
    def named(cls, connection: Connection, name: str) -> Self:
        """The view of that name. Raises NoSuchView."""
        views = [consumer for consumer in consumers(connection).values() if consumer.kind == "view"]
        writers = {consumer.name: consumer for consumer in views if name in consumer.tables}
        if not writers:
            known = ", ".join(sorted({table for consumer in views for table in consumer.tables})) or "none"
            raise NoSuchView(f"no view {name} is deployed in the stage {connection.stage}; deployed views: {known}")
        return cls(connection, name, next(iter(writers.values())).tables[name], writers)

    @property
    def types(self) -> frozenset[str]:
        """The types of events that it is computed from."""
        return frozenset(consumer.event for consumer in self.writers.values())

    @property
    def longest(self) -> int:
        """The longest timeout of its functions, in seconds."""
        return max(consumer.timeout for consumer in self.writers.values())

    def lines(self, bucket: str, span: Span) -> Iterator[JournalEntry]:
        """The events of the period in one partition of the journal that it is computed from."""
        lines = self.connection.journal.entries(bucket, span, oldest_first=True)
        return (line for line in lines if line.type in self.types)

    def deliveries(self, lines: Iterable[JournalEntry]) -> Iterator[Delivery]:
        """Each event with each consumer that maps it to the view."""
        for line in lines:
            for consumer in self.writers.values():
                if consumer.event == line.type:
                    yield Delivery(line, consumer.name)


@dataclass(slots=True)
class Fold:
    """The changes of `events` deliveries, by row.

    `left_out` are deliveries that are not part of the view, with their processing status, WAITING without a ledger row.
    None if they are not needed: there may be many.
    """

    rows: dict[str, RowChange] = field(default_factory=dict)
    events: int = 0
    left_out: dict[Delivery, str] | None = None

    def add(self, change: RowChange) -> None:
        known = self.rows.get(change.key)
        if known is None:
            self.rows[change.key] = change
        else:
            known.merge(change)

    def leave_out(self, delivery: Delivery, state: str) -> None:
        """Record that a delivery is not part of the view."""
        if self.left_out is not None:
            self.left_out[delivery] = state

    def merge(self, other: "Fold") -> None:
        for change in other.rows.values():
            self.add(change)
        self.events += other.events
        for delivery, state in (other.left_out or {}).items():
            self.leave_out(delivery, state)


class Folding:
    """Folds events into the rows of a view, as its deployed functions map them.

    Events whose ledger row notes `without` (see `generation_name`) are skipped.
    """

    def __init__(self, view: View, *, without: str | None = None) -> None:
        self._view = view
        self._connection = view.connection
        self._without = without
        self._lambda = self._connection.client("lambda", seconds=view.longest + 10)

    def check_functions(self) -> None:
        """Check that all functions can map events. Raises ProjectionFailed: older code cannot."""
        for consumer in self._view.writers:
            self._project(consumer, [])

    def fold(self, deliveries: Iterable[Delivery], into: Fold) -> Iterator[None]:
        """Fold deliveries, a hundred at a time; yields after each hundred."""
        for some in chunks(deliveries):
            self._fold(some, into)
            yield

    def _fold(self, deliveries: Sequence[Delivery], into: Fold) -> None:
        rows = entries(self._connection, [(delivery.line.id, delivery.consumer) for delivery in deliveries])
        wanted: dict[str, list[JournalEntry]] = {}
        for delivery in deliveries:
            entry = rows.get((delivery.line.id, delivery.consumer))
            if entry is None or entry.state != COMMITTED:
                into.leave_out(delivery, entry.state if entry else WAITING)
                continue
            into.events += 1
            if self._without not in entry.details.get("generations", ()):
                wanted.setdefault(delivery.consumer, []).append(delivery.line)
        events = self._stored([line for some in wanted.values() for line in some])
        for consumer, some in wanted.items():
            for change in self._changes(consumer, [events[line.stream, line.sequence] for line in some]):
                into.add(change)

    def _stored(self, lines: Sequence[JournalEntry]) -> dict[Place, Envelope]:
        places = dict.fromkeys((line.stream, line.sequence) for line in lines)
        found = {place: event_in(item) for place, item in stored(self._connection, places).items()}
        if missing := sorted(places.keys() - found.keys()):
            stream, sequence = missing[0]
            raise EventMissing(f"{stream} #{sequence} is in the journal, but not in the store; run daybook audit check")
        return found

    def _changes(self, consumer: str, events: Sequence[Envelope]) -> Iterator[RowChange]:
        for together in batches(events, lambda event: event.size, most=MAX_READS, most_bytes=_MAX_REQUEST_BYTES):
            given = [{"id": e.metadata.id, "version": e.metadata.version, "data": e.data} for e in together]
            for event, projected in zip(together, self._project(consumer, given), strict=True):
                if "error" in projected:
                    raise ProjectionFailed(
                        f"{consumer} cannot map {event.metadata.id}: {projected['error']}: {projected['reason']}; "
                        "it has handled it before, so its code has changed: deploy code that can map it"
                    )
                for row in projected["rows"]:
                    if row["table"] == self._view.name:
                        yield RowChange.from_data(row)

    def _project(self, consumer: str, given: Sequence[Mapping[str, Any]]) -> list[Any]:
        answer = self._lambda.invoke(
            FunctionName=self._connection.names.of(consumer), Payload=json.dumps({PROJECT: given}).encode()
        )
        content = json.loads(answer["Payload"].read() or "null")
        if answer.get("FunctionError") or not isinstance(content, dict) or "projected" not in content:
            kind = content.get("errorType", "no answer") if isinstance(content, dict) else "no answer"
            raise ProjectionFailed(
                f"{consumer} could not map events ({kind}); check that its service is deployed from this code"
            )
        return list(content["projected"])
