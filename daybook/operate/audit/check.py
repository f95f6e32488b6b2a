"""Whether the history is complete: every stream an unbroken chain, and store, ledger and consumers consistent.

The store is read once from end to end, and then the ledger. Of a table each segment has one page in hand, of the store
one stream's last event and some hundred statuses besides, so that the memory does not grow with what is read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from daybook.operate import moments
from daybook.operate.audit.chain import Chain
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.audit.reading import SEGMENTS, Item, Table
from daybook.operate.audit.sketch import Sketch, key
from daybook.operate.audit.statuses import ADMIT, ROW, Judged, Listeners, Row, Statuses
from daybook.operate.connection import Connection
from daybook.operate.parallel import Going, side_by_side
from daybook.operate.reading import MOST_READS
from daybook.store.attributes import pack, unpack_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING

# The states of events at consumers. The ledger's table has other rows too, cursors and attempts for example.
_STATES = {TRYING, COMMITTED, DEAD, DISCARDED}
# So many events that are gone are remembered, so that none is reported twice.
_MOST_REMEMBERED = 20_000
# Items between two looks at how far a segment is, and whether to stop.
_STEP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is judged: what was recorded from `since` (None: ever) to `until` (None: up to the newest there is).

    What is younger than `settled` may be under way: it counts as open where it has not come to its end.
    """

    since: datetime | None
    until: datetime | None
    settled: datetime

    @property
    def consistent(self) -> bool:
        """Whether tables must be read consistently, which costs twice as much: replicas lag by less than a minute."""
        return self.settled > datetime.now(UTC) - moments.INDEX_LAG

    @property
    def judged(self) -> Judged:
        """The time in which the ledger is judged."""
        return Judged.of(self.since, min(self.until or self.settled, self.settled))


def check(
    connection: Connection,
    scope: Scope,
    *,
    report: Callable[[Difference], None],
    progress: Callable[[Findings], None] = lambda _: None,
) -> Findings:
    """Look at everything, and `report` each difference as it is found.

    What is recorded meanwhile is not taken for a difference. Raises botocore's errors.
    """
    findings = Findings(report)
    _ = connection.dynamodb, connection.sqs, connection.lambda_  # made before several threads want them
    audit = _Audit(connection, scope, findings, Listeners(connection))
    _read_all(audit.store, lambda: progress(findings))
    _read_all(audit.ledger, lambda: progress(findings))
    audit.compare(lambda: progress(findings))
    return findings


def _read_all(work: Callable[[int, Going], Iterator[None]], tick: Callable[[], None]) -> None:
    """Do `work` for each segment of a table, side by side. `tick` is called from time to time."""
    for _ in side_by_side(range(SEGMENTS), work):
        tick()


@dataclass(slots=True)
class _Audit:
    connection: Connection
    scope: Scope
    findings: Findings
    listeners: Listeners
    emitted: Sketch = field(default_factory=Sketch)
    gone: set[str] = field(default_factory=set)

    def store(self, number: int, _: Going) -> Iterator[None]:
        """Read one segment of the store; yields from time to time."""
        statuses = Statuses(self.connection, self.listeners, self.scope.judged, self.findings, self.emitted)
        chain: Chain | None = None
        left = False  # whether the chain has been followed to its end, by itself
        table = Table(self.connection, self.connection.names.store)
        for count, item in enumerate(table.segment(number, consistent=self.scope.consistent)):
            if count % _STEP == 0:
                yield
            stream = item["stream"]["S"]
            if chain is None or stream != chain.stream:
                chain, left = self._chain(stream), False
            if left:
                continue
            if chain.fits(item):
                self._follow(chain, item, statuses)
                continue
            # DynamoDB keeps the items of a partition in order, but does not promise that a scan gives them so.
            left = True
            for each in self._rest(chain):
                self._follow(chain, each, statuses)
                yield
        statuses.settle()

    def ledger(self, number: int, _: Going) -> Iterator[None]:
        """Read one segment of the ledger; yields from time to time."""
        claims = _Claims(self)
        for count, item in enumerate(self._ledger(number)):
            if count % _STEP == 0:
                yield
            row = unpack_item(item)
            if row.get("state") not in _STATES:
                continue
            self.findings.count("rows")
            if self.scope.judged.holds(row):
                claims.add(row)
                self.emitted.add(row.get("emitted", ()))
        claims.settle()

    def compare(self, tick: Callable[[], None]) -> None:
        """Name the events that the ledger says were emitted and the store does not have."""
        missing, twice, all_ = self.emitted.difference()
        if not all_:
            text = (
                "more emitted events are not in the store than can be named; check less at once by --since and --until"
            )
            self.findings.add(Difference(kind="ledger", text=text))
        if missing:
            _read_all(lambda number, _: self._name(missing, number), tick)
        if twice:
            _read_all(lambda number, _: self._name_repeated(twice, number), tick)

    def _name_repeated(self, twice: set[int], number: int) -> Iterator[None]:
        table = Table(self.connection, self.connection.names.store, "stream", "sequence", "id")
        for item in table.segment(number, consistent=self.scope.consistent):
            row = unpack_item(item)
            if key(event := str(row.get("id", ""))) in twice:
                text = "it was emitted once, and stands in the store more often"
                place = {"stream": row["stream"], "sequence": row["sequence"]}
                self.findings.add(Difference(kind="ledger", text=text, event=event, **place))
                yield

    def _name(self, missing: set[int], number: int) -> Iterator[None]:
        for item in self._ledger(number):
            for event in (each["S"] for each in item.get("emitted", {}).get("L", ())):
                if key(event) in missing and event not in self.gone:
                    text = f"{item['consumer']['S']} has emitted it for {item['event']['S']}; the store has it not"
                    self.findings.add(Difference(kind="ledger", text=text, event=event))
                    yield

    def _ledger(self, number: int) -> Iterator[Item]:
        table = Table(self.connection, self.connection.names.ledger, *(name for name in ROW if name != "tries"))
        return table.segment(number, consistent=self.scope.consistent)

    def _chain(self, stream: str) -> Chain:
        self.findings.count("streams")
        return Chain(stream, self.findings.add, self.scope.since, self.scope.until)

    def _follow(self, chain: Chain, item: Item, statuses: Statuses) -> None:
        event = chain.follow(item)
        if event:
            self.findings.count("events")
            statuses.add(event)

    def _rest(self, chain: Chain) -> Iterator[Item]:
        """What follows in the stream, read by itself and consistently."""
        pages = self.connection.dynamodb.get_paginator("query").paginate(
            TableName=self.connection.names.store,
            KeyConditionExpression="#stream = :stream AND #sequence >= :next",
            ExpressionAttributeNames={"#stream": "stream", "#sequence": "sequence"},
            ExpressionAttributeValues={":stream": pack(chain.stream), ":next": pack(chain.next)},
            ConsistentRead=True,
        )
        return (item for page in pages for item in page["Items"])


@dataclass(slots=True)
class _Claims:
    """What rows of the ledger say is in the store; a portion at a time is looked up there."""

    audit: _Audit
    _events: dict[tuple[str, int], Row] = field(default_factory=dict)
    _decisions: dict[str, list[Row]] = field(default_factory=dict)
    _last: str = ""

    def add(self, row: Row) -> None:
        """One more row."""
        if row.get("state") == COMMITTED and row.get("stream") and row["event"] != self._last:
            # A partition's rows come together, and one of them is enough.
            self._last = row["event"]
            self._events[row["stream"], row["sequence"]] = row
        if row.get("state") == DISCARDED and row.get("operation"):
            self._decisions.setdefault(str(row["operation"]), []).append(row)
        if len(self._events) >= MOST_READS or len(self._decisions) >= MOST_READS:
            self.settle()

    def settle(self) -> None:
        """Look up what was said so far."""
        events, self._events = self._events, {}
        decisions, self._decisions = self._decisions, {}
        found = self._ids([*events])
        for (stream, sequence), row in events.items():
            there = found.get((stream, sequence))
            if there != row["event"]:
                did = "admitted" if row["consumer"] == ADMIT else f"handled by {row['consumer']}"
                what = "the store has it not" if there is None else f"another event, {there}, stands in its place"
                self._say("ledger", f"it was {did}; {what}", row, stream, sequence)
                if len(self.audit.gone) < _MOST_REMEMBERED:
                    self.audit.gone.add(row["event"])
        known = self._ids([(f"operation/{operation}", 1) for operation in decisions])
        for operation, rows in decisions.items():
            if (f"operation/{operation}", 1) not in known:
                for row in rows:
                    text = f"it was discarded by operation/{operation}, of which the store has nothing"
                    self._say("operation", text, row, str(row.get("stream", "")), row.get("sequence", 0))

    def _ids(self, places: list[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        connection = self.audit.connection
        table = Table(connection, connection.names.store, "stream", "sequence", "id")
        rows = table.rows({"stream": stream, "sequence": sequence} for stream, sequence in places)
        return {(row["stream"], row["sequence"]): row.get("id", "") for row in rows}

    def _say(self, kind: Any, text: str, row: Row, stream: str, sequence: int) -> None:
        consumer = "" if row["consumer"] == ADMIT else row["consumer"]
        self.audit.findings.add(
            Difference(kind=kind, text=text, stream=stream, sequence=sequence, event=row["event"], consumer=consumer)
        )
