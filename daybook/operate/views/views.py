"""Views: the tables that functions keep for readers, and how these functions map events.

A view is named as its table is in its stack: `order-status`.
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
from daybook.operate.reading import MOST_READS, Place, batches, chunks, entries, stored
from daybook.store.event_store import from_item as event_in
from daybook.store.journal import Line, Span
from daybook.store.ledger import COMMITTED

# A hundred of our events, 64 KiB each at the most, are 6.25 MB; Lambda takes 6 MB a request.
_LARGEST_REQUEST = 4_000_000  # bytes

WAITING = "waiting"  # no row yet: it is on its way, or lost


class NoSuchView(OperatorError):
    """No function keeps a view of this name. It is misspelled, or its service is not deployed."""


class NotProjected(OperatorError):
    """A view's function could not say what events change. Its deployed code differs, or it fails."""


class EventGone(OperatorError):
    """An event that a view was made from is no longer in the store, so that the view cannot be made from it again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and one of the consumers that keep a view from it."""

    line: Line
    consumer: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. `table` is its table's name in AWS; `keepers` are the consumers that write it, by name."""

    connection: Connection
    name: str
    table: str
    keepers: Mapping[str, Consumer]

    @classmethod
    def named(cls, connection: Connection, name: str) -> Self:
        """The view of that name. Raises NoSuchView."""
        views = [consumer for consumer in consumers(connection).values() if consumer.kind == "view"]
        keepers = {consumer.name: consumer for consumer in views if name in consumer.tables}
        if not keepers:
            known = ", ".join(sorted({table for consumer in views for table in consumer.tables})) or "none"
            msg = f"no view {name} is deployed in the stage {connection.stage}; those that are: {known}"
            raise NoSuchView(msg)
        return cls(connection, name, next(iter(keepers.values())).tables[name], keepers)

    @property
    def types(self) -> frozenset[str]:
        """The types of events that it is made from."""
        return frozenset(consumer.event for consumer in self.keepers.values())

    @property
    def longest(self) -> int:
        """Seconds that an invocation of one of its functions takes at the most."""
        return max(consumer.timeout for consumer in self.keepers.values())

    def lines(self, bucket: str, span: Span) -> Iterator[Line]:
        """The events of the span in one of the journal's partitions that it is made from."""
        lines = self.connection.journal.lines(bucket, span, oldest_first=True)
        return (line for line in lines if line.type in self.types)

    def deliveries(self, lines: Iterable[Line]) -> Iterator[Delivery]:
        """The events, each with each of the consumers that keep the view from it."""
        for line in lines:
            for consumer in self.keepers.values():
                if consumer.event == line.type:
                    yield Delivery(line, consumer.name)


@dataclass(slots=True)
class Fold:
    """What events of the past have changed, row by row, by `events` deliveries.

    `left_out` are deliveries that are not part of the view, with what the ledger says of each: WAITING where it says
    nothing. Kept only if asked for, since they may be many.
    """

    rows: dict[str, RowChange] = field(default_factory=dict)
    events: int = 0
    left_out: dict[Delivery, str] | None = None

    def add(self, change: RowChange) -> None:
        """Fold a change in."""
        known = self.rows.get(change.key)
        if known is None:
            self.rows[change.key] = change
        else:
            known.merge(change)

    def leave_out(self, delivery: Delivery, state: str) -> None:
        """Note that a delivery is not part of the view."""
        if self.left_out is not None:
            self.left_out[delivery] = state

    def merge(self, other: "Fold") -> None:
        """Fold in what another has."""
        for change in other.rows.values():
            self.add(change)
        self.events += other.events
        for delivery, state in (other.left_out or {}).items():
            self.leave_out(delivery, state)


class Folding:
    """Folds events into the rows of a view, as its deployed functions map them.

    `without`: events of which the ledger notes this (see `generation_name`) are passed over.
    """

    def __init__(self, view: View, *, without: str | None = None) -> None:
        self._view = view
        self._connection = view.connection
        self._without = without
        self._lambda = self._connection.client("lambda", seconds=view.longest + 10)

    def try_out(self) -> None:
        """Check that all functions can say what events change. Raises NotProjected: code from before could not."""
        for consumer in self._view.keepers:
            self._project(consumer, [])

    def fold(self, deliveries: Iterable[Delivery], into: Fold) -> Iterator[None]:
        """Fold deliveries in, a hundred at a time; yields after each hundred."""
        for some in chunks(deliveries):
            self._fold(some, into)
            yield

    def _fold(self, deliveries: Sequence[Delivery], into: Fold) -> None:
        rows = entries(self._connection, [(delivery.line.id, delivery.consumer) for delivery in deliveries])
        wanted: dict[str, list[Line]] = {}
        for delivery in deliveries:
            entry = rows.get((delivery.line.id, delivery.consumer))
            if entry is None or entry.state != COMMITTED:
                into.leave_out(delivery, entry.state if entry else WAITING)
                continue
            into.events += 1
            if self._without not in entry.details.get("also", ()):
                wanted.setdefault(delivery.consumer, []).append(delivery.line)
        events = self._stored([line for some in wanted.values() for line in some])
        for consumer, some in wanted.items():
            for change in self._changes(consumer, [events[line.stream, line.sequence] for line in some]):
                into.add(change)

    def _stored(self, lines: Sequence[Line]) -> dict[Place, Envelope]:
        places = dict.fromkeys((line.stream, line.sequence) for line in lines)
        found = {place: event_in(item) for place, item in stored(self._connection, places).items()}
        if gone := sorted(places.keys() - found.keys()):
            stream, sequence = gone[0]
            msg = f"{stream} #{sequence} is in the journal and no more in the store; see daybook audit check"
            raise EventGone(msg)
        return found

    def _changes(self, consumer: str, events: Sequence[Envelope]) -> Iterator[RowChange]:
        for together in batches(events, lambda event: event.size, most=MOST_READS, most_bytes=_LARGEST_REQUEST):
            given = [{"id": e.metadata.id, "version": e.metadata.version, "data": e.data} for e in together]
            for event, projected in zip(together, self._project(consumer, given), strict=True):
                if "error" in projected:
                    msg = (
                        f"{consumer} cannot say what {event.metadata.id} changes: {projected['error']}: "
                        f"{projected['reason']}; it has handled it before, so its code has changed: deploy what can"
                    )
                    raise NotProjected(msg)
                for row in projected["rows"]:
                    if row["table"] == self._view.name:
                        yield RowChange.from_data(row)

    def _project(self, consumer: str, given: Sequence[Mapping[str, Any]]) -> list[Any]:
        answer = self._lambda.invoke(
            FunctionName=self._connection.names.of(consumer), Payload=json.dumps({PROJECT: given}).encode()
        )
        said = json.loads(answer["Payload"].read() or "null")
        if answer.get("FunctionError") or not isinstance(said, dict) or "projected" not in said:
            kind = said.get("errorType", "no answer") if isinstance(said, dict) else "no answer"
            msg = f"{consumer} could not say what events change ({kind}); is its service deployed from this code?"
            raise NotProjected(msg)
        return list(said["projected"])
