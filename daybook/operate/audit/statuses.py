"""Checks each event against the ledger: its origin, and its processing status at every consumer."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from daybook.application import catalogue
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope, Metadata
from daybook.contracts.identity import content_hash
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.audit.reading import Table
from daybook.operate.audit.rows import ADMIT, ROW, CheckedPeriod, Key, Row, Rows, RowsOfEvents, row_in
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.reading import MAX_READS
from daybook.operate.subscriptions import Subscriptions, subscribed_since
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING
from daybook.store.ledger_keys import of_event

PUBLISH = "publish"
# The producer of operations: `daybook/operate/operation.py`.
OPERATOR = "daybook"

_CURSOR = ("key", "pending")

_CLOSED = {COMMITTED: "committed", DEAD: "dead", DISCARDED: "discarded"}


class ExpectedConsumers:
    """The consumers that should have received an event: those that subscribed when it was recorded."""

    def __init__(self, connection: Connection) -> None:
        self._subscriptions = Subscriptions.of(connection)
        known = sorted(self._subscriptions.known)
        moments = connection.each(lambda name: subscribed_since(connection, name), known)
        self.since = {name: clock.timestamp(moment) for name, moment in zip(known, moments, strict=True)}
        self.ordered = {name for name, consumer in consumers(connection).items() if consumer.ordered}
        self._of: dict[tuple[str, str], list[str]] = {}

    def of(self, event: Envelope) -> list[str]:
        """The consumers that should have received the event."""
        m = event.metadata
        names = self._of.get((event.source, m.type))
        if names is None:
            names = self._of[event.source, m.type] = self._subscriptions.consumers(event.source, m.type)
        return [name for name in names if self.since[name] <= m.recorded_at]


@dataclass(slots=True)
class Statuses:
    """Compares events with their ledger rows, in batches.

    With `rows`, the ledger is read only here: then each event's rows at all consumers that may have one are checked.
    """

    connection: Connection
    expected_consumers: ExpectedConsumers
    period: CheckedPeriod
    findings: Findings
    rows: RowsOfEvents | None = None
    _events: list[tuple[Envelope, Key | None, list[str]]] = field(default_factory=list)
    _keys: int = 0

    def add(self, event: Envelope) -> None:
        consumers_ = self.expected_consumers.of(event)
        self._events.append((event, _origin(event.metadata), consumers_))
        self._keys += len(consumers_) + 1
        if self._keys >= MAX_READS - 10:
            self.flush()

    def flush(self) -> None:
        events, self._events, self._keys = self._events, [], 0
        origins = {origin: None for _, origin, _ in events if origin}
        rows = self._final_rows(
            origins | {(event.metadata.id, name): None for event, _, names in events for name in names}
        )
        if self.rows:
            self.rows.check([event.metadata for event, _, _ in events], rows)
        emitted: list[tuple[str, Row]] = []
        without_status: list[tuple[Envelope, list[str], bool]] = []
        for event, origin, names in events:
            if origin and (row := self._emitting_row(event, rows.get(origin))):
                emitted.append((event.metadata.id, row))
            if missing := [name for name in names if not self._has(event.metadata, name, rows)]:
                without_status.append((event, missing, len(missing) < len(names)))
        if without_status:
            self._check_missing(without_status)
        read = self.rows.of_read_events(emitted) if self.rows else emitted
        self.findings.emitted.subtract(event for event, _ in read)

    def _final_rows(self, keys: Collection[Key]) -> Rows:
        """The rows with these keys. A row that is final does not change, so that only others are read consistently."""
        rows = self._rows(keys, consistent=False)
        again = [key for key in keys if str(rows.get(key, {}).get("state")) not in _CLOSED]
        return {**rows, **self._rows(again)} if again else rows

    def _rows(self, keys: Collection[Key], attributes: tuple[str, ...] = ROW, *, consistent: bool = True) -> Rows:
        table = Table(self.connection, self.connection.names.ledger, *attributes)
        found = map(row_in, table.items((of_event(*key) for key in keys), consistent=consistent))
        return {(row["event"], row["consumer"]): row for row in found}

    def _emitting_row(self, event: Envelope, row: Row | None) -> Row | None:
        """Check the row with the event's origin. Returns it if it says that the event was emitted, in the period."""
        m = event.metadata
        if row is None or row.get("state") != COMMITTED:
            if m.type in catalogue():  # the sources of a removed contract are unknown
                self._report_difference("ledger", "the ledger has no origin for it", m)
        elif row["consumer"] == ADMIT:
            if (row.get("stream"), row.get("sequence")) != (m.stream, m.sequence):
                self._report_difference("ledger", f"it was admitted as {row.get('stream')} #{row.get('sequence')}", m)
            elif row.get("content_hash") not in {None, _content(event)}:
                self._report_difference("ledger", "it was admitted with other content", m)
        elif m.id not in row.get("emitted", ()):
            self._report_difference("ledger", f"{row['consumer']} has not emitted it, according to the ledger", m)
        elif self.period.contains(row):
            return row
        return None

    def _has(self, m: Metadata, consumer: str, rows: Rows) -> bool:
        """Whether the event has a processing status at the consumer. Counts it."""
        row = rows.get((m.id, consumer))
        if row is None or self._was_in_deleted_queue(row, consumer):
            return False
        self.findings.count(_CLOSED.get(str(row.get("state")), "open"))
        return True

    def _was_in_deleted_queue(self, row: Row, consumer: str) -> bool:
        """Whether its last attempt was before the current queue was created."""
        tried = max(str(row.get("at", "")), *(str(each["at"]) for each in row.get("failed_attempts", ())), "")
        return bool(row.get("state") == TRYING and tried < self.expected_consumers.since[consumer])

    def _check_missing(self, without_status: list[tuple[Envelope, list[str], bool]]) -> None:
        ordered = {
            (f"cursor#{event.metadata.stream}", name)
            for event, names, _ in without_status
            for name in names
            if name in self.expected_consumers.ordered
        }
        cursors = self._rows(ordered, _CURSOR)
        blocked_by = self._rows(
            {(row["pending"]["event"], name): None for (_, name), row in cursors.items() if "pending" in row}
        )
        aside = self._rows(
            {(event.metadata.id, PUBLISH): None for event, _, reached_any in without_status if not reached_any}
        )
        for event, names, reached_any in without_status:
            m = event.metadata
            missing = [name for name in names if not self._is_blocked(m, name, cursors, blocked_by)]
            if missing and m.recorded_at >= self.period.settled:
                self.findings.count("open", len(missing))
            elif (m.id, PUBLISH) in aside:
                self.findings.count("set aside by publish")
            elif missing == names and not reached_any:
                text = f"it was probably not published: it never reached {', '.join(missing)}"
                self._report_difference("unpublished", text, m)
            else:
                for name in missing:
                    self._report_difference("undelivered", f"it never reached {name}", m, name)

    def _is_blocked(self, m: Metadata, consumer: str, cursors: Rows, blocked_by: Rows) -> bool:
        """Whether the event waits at the ordered consumer for an earlier event of its stream. Counts it."""
        cursor = cursors.get((f"cursor#{m.stream}", consumer))
        if not cursor or "pending" not in cursor or m.sequence <= cursor["pending"]["sequence"]:
            return False
        blocking = blocked_by.get((cursor["pending"]["event"], consumer), {})
        if status := {DEAD: "in a blocked stream", TRYING: "open"}.get(str(blocking.get("state"))):
            self.findings.count(status)
        return status is not None

    def _report_difference(self, kind: Any, text: str, m: Metadata, consumer: str = "") -> None:
        self.findings.add(
            Difference(kind=kind, text=text, stream=m.stream, sequence=m.sequence, event=m.id, consumer=consumer)
        )


def _content(event: Envelope) -> str:
    """The hash of the event's content, as admit records it."""
    try:
        return content_hash(event.metadata.type, event.metadata.version, event.data)
    except ValueError:
        return "not JSON"


def _origin(m: Metadata) -> Key | None:
    """The key of the row with the origin of the event; None for timers and operations, whose origin is their proof."""
    known = catalogue().get(m.type)
    if m.producer == OPERATOR or (known and known.contract.timer):
        return None
    if (known and m.producer in known.contract.sources) or m.causation_id is None:
        return m.id, ADMIT
    return m.causation_id, m.producer
