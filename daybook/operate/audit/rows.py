"""Checks rows of the ledger: who may have written them, their proofs, and what they say about the store."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.envelope import Metadata
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.audit.reading import Item, Place, Table
from daybook.operate.connection import Connection
from daybook.operate.reading import MAX_READS
from daybook.store.attributes import unpack_item
from daybook.store.journal import Span
from daybook.store.ledger import COMMITTED, DISCARDED, DONE
from daybook.store.ledger_keys import is_of_cursor, is_of_system, of_event, split

ADMIT = "admit"

# The attributes that are read: bodies of dead letters are large.
ROW = (
    "key",
    "state",
    "at",
    "stream",
    "sequence",
    "emitted",
    "failed_attempts",
    "operation",
    "content_hash",
    "effect",
    "dead",
    "proof",
)
# The attributes of other rows that their proofs cover.
OTHER_ROWS = ("version", "pending")

Key = tuple[str, str]  # an event's id (or the rest of another row's key) and a consumer
Row = dict[str, Any]
Rows = Mapping[Key, Row]
# The consumers that may have rows, with the types of events that they ever subscribed to. No types mean any type.
Types = Mapping[str, Collection[str]]


def row_in(item: Item) -> Row:
    """The row in an item of the ledger's table, with its `event` and `consumer`."""
    row = unpack_item(item)
    row["consumer"], row["event"] = split(row["key"])
    return row


@dataclass(frozen=True, slots=True)
class CheckedPeriod:
    """The period in which the ledger is checked: from `since` to `settled`. Later events may still be in progress."""

    since: str
    settled: str

    @classmethod
    def of(cls, since: datetime | None, settled: datetime) -> Self:
        """The period between these times; without `since`, from the first event."""
        return cls(clock.timestamp(since) if since else "", clock.timestamp(settled))

    def contains(self, row: Row) -> bool:
        """Whether the time of the row is in the period."""
        return self.since <= str(row.get("at", "")) < self.settled


@dataclass(slots=True)
class Claims:
    """Checks what rows of the ledger say: by itself at once, and in the store in batches."""

    connection: Connection
    types: Types
    period: CheckedPeriod
    findings: Findings
    _events: dict[Place, list[Row]] = field(default_factory=dict)
    _decisions: dict[str, list[Row]] = field(default_factory=dict)

    def check_row(self, row: Row) -> bool:
        """Report a row that its consumer cannot have written. Returns whether it is proven that work is done."""
        self._check_names(row)
        return self._check_proof(row)

    def add(self, row: Row, *, proven: bool, place: Place | None = None) -> None:
        """Check what the row of an event says. `place` is that of its event, if it was read from the store."""
        self.findings.count("rows")
        if not self.period.contains(row):
            return
        if row.get("state") == COMMITTED and row.get("stream"):
            claimed = _place_in(row)
            if claimed is None:
                self._report_difference("ledger", "it names no place of an event", row, str(row["stream"]), 0)
            elif place is None:
                self._events.setdefault(claimed, []).append(row)
            elif claimed != place and row["consumer"] != ADMIT:  # that of admit is checked as the event's origin
                text = f"{row['consumer']} has handled it as {claimed[0]} #{claimed[1]}"
                self._report_difference("ledger", text, row, *place)
        if row.get("state") == DISCARDED:
            self._decisions.setdefault(str(row.get("operation", "")), []).append(row)
        self.findings.emitted.add(row.get("emitted", ()) if proven else ())
        if len(self._events) >= MAX_READS or len(self._decisions) >= MAX_READS:
            self.flush()

    def flush(self) -> None:
        """Check what is not checked yet."""
        events, self._events = self._events, {}
        decisions, self._decisions = self._decisions, {}
        found = self._ids([*events])
        for (stream, sequence), row in ((place, row) for place, rows in events.items() for row in rows):
            there = found.get((stream, sequence))
            if there != row["event"]:
                did = "admitted" if row["consumer"] == ADMIT else f"handled by {row['consumer']}"
                what = "it is not in the store" if there is None else f"another event, {there}, is in its place"
                self._report_difference("ledger", f"it was {did}; {what}", row, stream, sequence)
                self.findings.missing.append(row["event"])
        known = self._ids([(f"operation/{operation}", 1) for operation in decisions])
        for operation, rows in decisions.items():
            if (f"operation/{operation}", 1) not in known:
                for row in rows:
                    text = f"it was discarded by operation/{operation}, which is not in the store"
                    if not operation:
                        text = "it was discarded, and names no operation"
                    self._report_difference("operation", text, row, str(row.get("stream", "")), row.get("sequence", 0))

    def _check_names(self, row: Row) -> None:
        """Report a row that no part of this system writes: its key, or its name in the index of dead letters."""
        consumer, key = row["consumer"], row["key"]
        if not consumer and not is_of_system(key):
            text = f"the row {key} belongs to no consumer"
        elif consumer and consumer not in self.types:
            text = f"the row {key} names a consumer that never subscribed"
        elif row.get("dead", consumer) != consumer:
            text = f"the row {key} claims to be a dead letter of {row['dead']}"
        else:
            return
        self.findings.add(Difference(kind="ledger", text=text, event=row["event"], consumer=consumer))

    def _check_proof(self, row: Row) -> bool:
        """Whether the row says that work is done, and its consumer has proven that. Reports it if only the first."""
        consumer, key = row["consumer"], row["key"]
        if consumer not in self.types:
            return False  # it is reported already
        if not (str(row.get("state")) in DONE or is_of_cursor(key)):
            return False
        proven = self.connection.keyring.proves_row(row)
        if not proven:
            text = f"the row {key} has no valid proof by {consumer}"
            self.findings.add(Difference(kind="proof", text=text, event=row["event"], consumer=consumer))
        return proven

    def _ids(self, places: list[Place]) -> dict[Place, Any]:
        table = Table(self.connection, self.connection.names.store, "stream", "sequence", "id")
        return {place: unpack_item(item).get("id", "") for place, item in table.at(places).items()}

    def _report_difference(self, kind: Any, text: str, row: Row, stream: str, sequence: int) -> None:
        consumer = "" if row["consumer"] == ADMIT else row["consumer"]
        self.findings.add(
            Difference(kind=kind, text=text, stream=stream, sequence=sequence, event=row["event"], consumer=consumer)
        )


@dataclass(slots=True)
class RowsOfEvents:
    """Checks the rows of events that the journal lists, when the ledger is not read as a whole."""

    claims: Claims
    span: Span
    _consumers: dict[str, list[str]] = field(default_factory=dict)

    def check(self, events: Collection[Metadata], known: Rows) -> None:
        """Check the rows of these events at all consumers that may have one. Those in `known` are read already."""
        keys = {(m.id, name): (m.stream, m.sequence) for m in events for name in self.consumers(m.type)}
        table = Table(self.claims.connection, self.claims.connection.names.ledger, *ROW)
        more = map(row_in, table.items((of_event(*key) for key in keys if key not in known), consistent=False))
        for row in (*known.values(), *more):
            place = keys.get((row["event"], row["consumer"]))
            if place:
                self.claims.add(row, proven=self.claims.check_row(row), place=place)

    def of_read_events(self, emitted: Iterable[tuple[str, Row]]) -> list[tuple[str, Row]]:
        """Those of the events that are emitted according to these rows, whose rows are checked too: the rows of events
        of the span. A row of an earlier event is not read by its event.
        """
        emitted = list(emitted)
        places = list({place: None for _, row in emitted if (place := _place_in(row))})
        connection = self.claims.connection
        table = Table(connection, connection.names.store, "stream", "sequence", "id", "type", "recorded_at")
        causes = {str(each.get("id")): each for each in map(unpack_item, table.at(places).values())}
        return [(event, row) for event, row in emitted if self._is_read(causes.get(row["event"], {}), row["consumer"])]

    def consumers(self, event_type: str) -> list[str]:
        """The consumers that may have a row of an event of this type."""
        if event_type not in self._consumers:
            known = self.claims.types.items()
            self._consumers[event_type] = [name for name, types in known if not types or event_type in types]
        return self._consumers[event_type]

    def _is_read(self, cause: Mapping[str, Any], consumer: str) -> bool:
        since, until = clock.timestamp(self.span.since), clock.timestamp(self.span.until)
        in_span = since <= str(cause.get("recorded_at", "")) < until
        return in_span and consumer in self.consumers(str(cause.get("type")))


def _place_in(row: Row) -> Place | None:
    """The place of the row's event, if it is one: no proof covers it."""
    stream, sequence = row.get("stream"), row.get("sequence")
    return (stream, sequence) if isinstance(stream, str) and stream and isinstance(sequence, int) else None
