"""The processing status of each event, by the ledger: its origin, and whether every consumer has a status of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from daybook.application import catalogue
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope, Metadata
from daybook.contracts.identity import content_hash
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.audit.reading import Table
from daybook.operate.audit.sketch import Sketch
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.reading import MOST_READS
from daybook.operate.subscriptions import Subscriptions, listens_since
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING

ADMIT, PUBLISH = "admit", "publish"
# The producer of operations: `daybook/operate/operation.py`.
OPERATOR = "daybook"

# What is wanted of a row: bodies of the dead are large.
ROW = ("event", "consumer", "state", "at", "stream", "sequence", "emitted", "tries", "operation", "content_hash")
_CURSOR = ("event", "consumer", "hold")

Key = tuple[str, str]  # an event's id and a consumer
Row = dict[str, Any]
Rows = Mapping[Key, Row]

_CLOSED = {COMMITTED: "committed", DEAD: "dead", DISCARDED: "discarded"}


@dataclass(frozen=True, slots=True)
class Judged:
    """The time that is judged: recorded from `since` on, and at the ledger from `since` to `settled`. What is younger
    may be under way.
    """

    since: str
    settled: str

    @classmethod
    def of(cls, since: datetime | None, settled: datetime) -> Self:
        """The same, by aware moments; all from the beginning on, unless `since` is said."""
        return cls(clock.timestamp(since) if since else "", clock.timestamp(settled))

    def holds(self, row: Row) -> bool:
        """Whether what the row records has happened in it."""
        return self.since <= str(row.get("at", "")) < self.settled


class Listeners:
    """Which consumers should have received an event: those whose rules take it, from when on each listens."""

    def __init__(self, connection: Connection) -> None:
        self._subscriptions = Subscriptions.of(connection)
        known = sorted(self._subscriptions.known)
        moments = connection.each(lambda name: listens_since(connection, name), known)
        self.since = {name: clock.timestamp(moment) for name, moment in zip(known, moments, strict=True)}
        self.ordered = {name for name, consumer in consumers(connection).items() if consumer.ordered}
        self._of: dict[tuple[str, str], list[str]] = {}

    def of(self, event: Envelope) -> list[str]:
        """Those of the event."""
        m = event.metadata
        names = self._of.get((event.source, m.type))
        if names is None:
            names = self._of[event.source, m.type] = self._subscriptions.consumers(event.source, m.type)
        return [name for name in names if self.since[name] <= m.recorded_at]


@dataclass(slots=True)
class Statuses:
    """The processing statuses of events, as they are read; a portion at a time is compared with the ledger."""

    connection: Connection
    listeners: Listeners
    judged: Judged
    findings: Findings
    emitted: Sketch
    _events: list[tuple[Envelope, Key | None, list[str]]] = field(default_factory=list)
    _keys: int = 0

    def add(self, event: Envelope) -> None:
        """One more event."""
        consumers_ = self.listeners.of(event)
        self._events.append((event, _origin(event.metadata), consumers_))
        self._keys += len(consumers_) + 1
        if self._keys >= MOST_READS - 10:
            self.settle()

    def settle(self) -> None:
        """Judge what was added so far."""
        events, self._events, self._keys = self._events, [], 0
        origins = {origin: None for _, origin, _ in events if origin}
        rows = self._rows(origins | {(event.metadata.id, name): None for event, _, names in events for name in names})
        lacking: list[tuple[Envelope, list[str], bool]] = []
        for event, origin, names in events:
            if origin:
                self._judge_origin(event, rows.get(origin))
            if missing := [name for name in names if not self._has(event.metadata, name, rows)]:
                lacking.append((event, missing, len(missing) < len(names)))
        if lacking:
            self._judge_missing(lacking)

    def _rows(self, keys: Collection[Key], attributes: tuple[str, ...] = ROW) -> Rows:
        table = Table(self.connection, self.connection.names.ledger, *attributes)
        found = table.rows({"event": event, "consumer": consumer} for event, consumer in keys)
        return {(row["event"], row["consumer"]): row for row in found}

    def _judge_origin(self, event: Envelope, row: Row | None) -> None:
        m = event.metadata
        if row is None or row.get("state") != COMMITTED:
            if m.type in catalogue():  # of a contract that is gone nobody can say who may send it
                self._say("ledger", "the ledger does not say where it comes from", m)
        elif row["consumer"] == ADMIT:
            if (row.get("stream"), row.get("sequence")) != (m.stream, m.sequence):
                self._say("ledger", f"it was admitted as {row.get('stream')} #{row.get('sequence')}", m)
            elif row.get("content_hash") not in {None, _content(event)}:
                self._say("ledger", "it was admitted with other content", m)
        elif m.id not in row.get("emitted", ()):
            self._say("ledger", f"{row['consumer']} has not emitted it, by the ledger", m)
        elif self.judged.holds(row):
            self.emitted.take([m.id])

    def _has(self, m: Metadata, consumer: str, rows: Rows) -> bool:
        """Whether the consumer has a processing status of the event. Counts it."""
        row = rows.get((m.id, consumer))
        if row is None or self._went_with_its_queue(row, consumer):
            return False
        self.findings.count(_CLOSED.get(str(row.get("state")), "open"))
        return True

    def _went_with_its_queue(self, row: Row, consumer: str) -> bool:
        """Whether the message that was tried last was in a queue before the one that there is."""
        tried = max(str(row.get("at", "")), *(str(each["at"]) for each in row.get("tries", ())), "")
        return bool(row.get("state") == TRYING and tried < self.listeners.since[consumer])

    def _judge_missing(self, lacking: list[tuple[Envelope, list[str], bool]]) -> None:
        ordered = {
            (f"cursor#{event.metadata.stream}", name)
            for event, names, _ in lacking
            for name in names
            if name in self.listeners.ordered
        }
        cursors = self._rows(ordered, _CURSOR)
        held_by = self._rows(
            {(row["hold"]["event"], name): None for (_, name), row in cursors.items() if "hold" in row}
        )
        aside = self._rows({(event.metadata.id, PUBLISH): None for event, _, some in lacking if not some})
        for event, names, some in lacking:
            m = event.metadata
            missing = [name for name in names if not self._is_held(m, name, cursors, held_by)]
            if missing and m.recorded_at >= self.judged.settled:
                self.findings.count("open", len(missing))
            elif (m.id, PUBLISH) in aside:
                self.findings.count("set aside by publish")
            elif missing == names and not some:
                text = f"it was not published, it seems: it never reached {', '.join(missing)}"
                self._say("unpublished", text, m)
            else:
                for name in missing:
                    self._say("undelivered", f"it never reached {name}", m, name)

    def _is_held(self, m: Metadata, consumer: str, cursors: Rows, held_by: Rows) -> bool:
        """Whether the consumer, which is ordered, has not come to the event for another one before it. Counts that."""
        cursor = cursors.get((f"cursor#{m.stream}", consumer))
        if not cursor or "hold" not in cursor or m.sequence <= cursor["hold"]["sequence"]:
            return False
        holder = held_by.get((cursor["hold"]["event"], consumer), {})
        if status := {DEAD: "in a blocked stream", TRYING: "open"}.get(str(holder.get("state"))):
            self.findings.count(status)
        return status is not None

    def _say(self, kind: Any, text: str, m: Metadata, consumer: str = "") -> None:
        self.findings.add(
            Difference(kind=kind, text=text, stream=m.stream, sequence=m.sequence, event=m.id, consumer=consumer)
        )


def _content(event: Envelope) -> str:
    """What admit has noted of the event's content, if that is still the same."""
    try:
        return content_hash(event.metadata.type, event.metadata.version, event.data)
    except ValueError:
        return "not JSON any more"


def _origin(m: Metadata) -> Key | None:
    """The row that says how the event got into the store; timers and operations have none."""
    known = catalogue().get(m.type)
    if m.producer == OPERATOR or (known and known.contract.timer):
        return None
    if (known and m.producer in known.contract.sources) or m.causation_id is None:
        return m.id, ADMIT
    return m.causation_id, m.producer
