"""Checks that the history is complete: each stream is an unbroken chain, and store, ledger and consumers agree.

The store is read once from end to end, and then the ledger. For each segment, one page, the last event of one stream
and about a hundred statuses are held in memory, so memory does not grow with the size of the tables.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from daybook.application import catalogue
from daybook.operate import moments
from daybook.operate.audit.chain import Chain
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.audit.reading import SEGMENTS, Item, Table
from daybook.operate.audit.sketch import Sketch, key
from daybook.operate.audit.statuses import (
    ADMIT,
    OTHER_ROWS,
    ROW,
    CheckedPeriod,
    ExpectedConsumers,
    Row,
    Statuses,
    row_in,
)
from daybook.operate.connection import Connection
from daybook.operate.parallel import Running, in_parallel
from daybook.operate.reading import MAX_READS
from daybook.operate.registered import KnownConsumers
from daybook.store.attributes import pack, unpack_item
from daybook.store.ledger import COMMITTED, DISCARDED, DONE
from daybook.store.ledger_keys import is_of_cursor, is_of_event, is_of_system

# The number of missing events that are held in memory, so that none is reported twice.
_MAX_REMEMBERED = 20_000
# Items between two updates of the progress.
_STEP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The period that is checked: events recorded from `since` (None: the first) to `until` (None: the newest).

    Events after `settled` may still be in progress: without a final status, they count as open.
    """

    since: datetime | None
    until: datetime | None
    settled: datetime

    @property
    def consistent(self) -> bool:
        """Whether tables must be read consistently, which costs twice as much."""
        return self.settled > datetime.now(UTC) - moments.INDEX_LAG

    @property
    def period(self) -> CheckedPeriod:
        """The period in which the ledger is checked."""
        return CheckedPeriod.of(self.since, min(self.until or self.settled, self.settled))


def check(
    connection: Connection,
    scope: Scope,
    *,
    report: Callable[[Difference], None],
    progress: Callable[[Findings], None] = lambda _: None,
) -> Findings:
    """Check everything, and `report` each difference when it is found.

    Events that are recorded during the check are no difference. Raises botocore's errors.
    """
    findings = Findings(report)
    # Create the clients before threads use them.
    _ = connection.dynamodb, connection.sqs, connection.lambda_, connection.keyring, connection.journal_shards
    audit = _Audit(connection, scope, findings, ExpectedConsumers(connection), KnownConsumers.of(connection))
    _read_all(audit.store, lambda: progress(findings))
    _read_all(audit.ledger, lambda: progress(findings))
    audit.compare(lambda: progress(findings))
    return findings


def _read_all(work: Callable[[int, Running], Iterator[None]], tick: Callable[[], None]) -> None:
    """Run `work` for each segment of a table in parallel. `tick` is called from time to time."""
    for _ in in_parallel(range(SEGMENTS), work):
        tick()


@dataclass(slots=True)
class _Audit:
    connection: Connection
    scope: Scope
    findings: Findings
    expected_consumers: ExpectedConsumers
    known_consumers: KnownConsumers
    emitted: Sketch = field(default_factory=Sketch)
    missing: set[str] = field(default_factory=set)

    def store(self, number: int, _: Running) -> Iterator[None]:
        """Read one segment of the store; yields from time to time."""
        statuses = Statuses(self.connection, self.expected_consumers, self.scope.period, self.findings, self.emitted)
        chain: Chain | None = None
        read_to_end = False  # whether the rest of the stream was read by a query
        table = Table(self.connection, self.connection.names.store)
        for count, item in enumerate(table.segment(number, consistent=self.scope.consistent)):
            if count % _STEP == 0:
                yield
            stream = item["stream"]["S"]
            if chain is None or stream != chain.stream:
                chain, read_to_end = self._chain(stream), False
            if read_to_end:
                continue
            if chain.fits(item):
                self._follow(chain, item, statuses)
                continue
            # A scan usually returns the items of a partition in order, but DynamoDB does not guarantee it.
            read_to_end = True
            for each in self._rest(chain):
                self._follow(chain, each, statuses)
                yield
        statuses.flush()

    def ledger(self, number: int, _: Running) -> Iterator[None]:
        """Read one segment of the ledger; yields from time to time."""
        claims = _Claims(self)
        for count, item in enumerate(self._ledger(number)):
            if count % _STEP == 0:
                yield
            row = row_in(item)
            self._check_names(row)
            proven = self._check_proof(row)
            if not is_of_event(row["key"]):
                continue
            self.findings.count("rows")
            if self.scope.period.contains(row):
                claims.add(row)
                self.emitted.add(row.get("emitted", ()) if proven else ())
        claims.flush()

    def _check_names(self, row: Row) -> None:
        """Report a row that no part of this system writes: its key, or its name in the index of dead letters."""
        consumer, key_ = row["consumer"], row["key"]
        if not consumer and not is_of_system(key_):
            text = f"the row {key_} belongs to no consumer"
        elif consumer and consumer not in self.known_consumers.types:
            text = f"the row {key_} names a consumer that never subscribed"
        elif row.get("dead", consumer) != consumer:
            text = f"the row {key_} claims to be a dead letter of {row['dead']}"
        else:
            return
        self.findings.add(Difference(kind="ledger", text=text, event=row["event"], consumer=consumer))

    def _check_proof(self, row: Row) -> bool:
        """Whether the row says that work is done, and its consumer has proven that. Reports it if only the first."""
        consumer, key_ = row["consumer"], row["key"]
        if consumer not in self.known_consumers.types:
            return False  # it is reported already
        if not (str(row.get("state")) in DONE or is_of_cursor(key_)):
            return False
        proven = self.connection.keyring.proves_row(row)
        if not proven:
            text = f"the row {key_} has no valid proof by {consumer}"
            self.findings.add(Difference(kind="proof", text=text, event=row["event"], consumer=consumer))
        return proven

    def compare(self, tick: Callable[[], None]) -> None:
        """Report events that were emitted according to the ledger, and are not in the store."""
        missing, twice, all_ = self.emitted.difference()
        if not all_:
            text = (
                "too many emitted events are not in the store to list them; check a shorter period with --since "
                "and --until"
            )
            self.findings.add(Difference(kind="ledger", text=text))
        if missing:
            _read_all(lambda number, _: self._report_missing(missing, number), tick)
        if twice:
            _read_all(lambda number, _: self._report_repeated(twice, number), tick)

    def _report_repeated(self, twice: set[int], number: int) -> Iterator[None]:
        table = Table(self.connection, self.connection.names.store, "stream", "sequence", "id")
        for item in table.segment(number, consistent=self.scope.consistent):
            row = unpack_item(item)
            if key(event := str(row.get("id", ""))) in twice:
                text = "it was emitted once, but is in the store more than once"
                place = {"stream": row["stream"], "sequence": row["sequence"]}
                self.findings.add(Difference(kind="ledger", text=text, event=event, **place))
                yield

    def _report_missing(self, missing: set[int], number: int) -> Iterator[None]:
        for item in self._ledger(number):
            row = row_in(item)
            for event in (each["S"] for each in item.get("emitted", {}).get("L", ())):
                if key(event) in missing and event not in self.missing:
                    text = f"{row['consumer']} has emitted it for {row['event']}; it is not in the store"
                    self.findings.add(Difference(kind="ledger", text=text, event=event))
                    yield

    def _ledger(self, number: int) -> Iterator[Item]:
        table = Table(
            self.connection,
            self.connection.names.ledger,
            *(name for name in ROW if name != "failed_attempts"),
            *OTHER_ROWS,
        )
        return table.segment(number, consistent=self.scope.consistent)

    def _chain(self, stream: str) -> Chain:
        self.findings.count("streams")
        proven = partial(self.connection.keyring.proves, timers=catalogue().timers)
        shards = self.connection.journal_shards
        return Chain(stream, self.findings.add, proven, shards, self.scope.since, self.scope.until)

    def _follow(self, chain: Chain, item: Item, statuses: Statuses) -> None:
        event = chain.follow(item)
        if event:
            self.findings.count("events")
            statuses.add(event)

    def _rest(self, chain: Chain) -> Iterator[Item]:
        """The rest of the stream, read consistently by a query."""
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
    """Checks in the store what ledger rows refer to, in batches."""

    audit: _Audit
    _events: dict[tuple[str, int], list[Row]] = field(default_factory=dict)
    _decisions: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        if row.get("state") == COMMITTED and row.get("stream"):
            self._events.setdefault((row["stream"], row["sequence"]), []).append(row)
        if row.get("state") == DISCARDED:
            self._decisions.setdefault(str(row.get("operation", "")), []).append(row)
        if len(self._events) >= MAX_READS or len(self._decisions) >= MAX_READS:
            self.flush()

    def flush(self) -> None:
        events, self._events = self._events, {}
        decisions, self._decisions = self._decisions, {}
        found = self._ids([*events])
        for (stream, sequence), row in ((place, row) for place, rows in events.items() for row in rows):
            there = found.get((stream, sequence))
            if there != row["event"]:
                did = "admitted" if row["consumer"] == ADMIT else f"handled by {row['consumer']}"
                what = "it is not in the store" if there is None else f"another event, {there}, is in its place"
                self._report_difference("ledger", f"it was {did}; {what}", row, stream, sequence)
                if len(self.audit.missing) < _MAX_REMEMBERED:
                    self.audit.missing.add(row["event"])
        known = self._ids([(f"operation/{operation}", 1) for operation in decisions])
        for operation, rows in decisions.items():
            if (f"operation/{operation}", 1) not in known:
                for row in rows:
                    text = f"it was discarded by operation/{operation}, which is not in the store"
                    if not operation:
                        text = "it was discarded, and names no operation"
                    self._report_difference("operation", text, row, str(row.get("stream", "")), row.get("sequence", 0))

    def _ids(self, places: list[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        connection = self.audit.connection
        table = Table(connection, connection.names.store, "stream", "sequence", "id")
        rows = table.rows({"stream": stream, "sequence": sequence} for stream, sequence in places)
        return {(row["stream"], row["sequence"]): row.get("id", "") for row in rows}

    def _report_difference(self, kind: Any, text: str, row: Row, stream: str, sequence: int) -> None:
        consumer = "" if row["consumer"] == ADMIT else row["consumer"]
        self.audit.findings.add(
            Difference(kind=kind, text=text, stream=stream, sequence=sequence, event=row["event"], consumer=consumer)
        )
