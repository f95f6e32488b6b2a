"""Checks one part of the history: a segment of the store or of the ledger, or a partition of the journal.

One page, the last event of one stream and about a hundred statuses are held in memory, and what was found.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from daybook.application import catalogue
from daybook.operate.audit.chain import Chain
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.audit.plan import Part, Scope
from daybook.operate.audit.reading import Item, Place, Table
from daybook.operate.audit.rows import OTHER_ROWS, ROW, Claims, RowsOfEvents, Types, row_in
from daybook.operate.audit.sketch import key
from daybook.operate.audit.statuses import ExpectedConsumers, Statuses
from daybook.operate.connection import Connection
from daybook.operate.parallel import Running
from daybook.operate.reading import chunks
from daybook.store.attributes import pack, unpack_item
from daybook.store.journal import Span
from daybook.store.ledger_keys import is_of_event, of_event

# Items between two looks whether the check goes on.
_STEP = 500
# Lines of the journal that are read before the events themselves are.
_LINES = 100


class Stopped(Exception):
    """The check was stopped: what the part has found so far does not count."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The keys of events that are searched at the end: which the ledger says were emitted, and the store does not
    have; and which it has too often. Those in `reported` are not searched.
    """

    missing: Collection[int] = ()
    twice: Collection[int] = ()
    reported: Collection[str] = ()


@dataclass(slots=True)
class Checker:
    """Checks parts. One of each process, for all its threads."""

    connection: Connection
    scope: Scope
    expected_consumers: ExpectedConsumers
    types: Types
    wanted: Wanted = field(default_factory=Wanted)
    _shards: Callable[[str], int] = field(init=False)

    def __post_init__(self) -> None:
        # Create the clients before threads use them.
        _ = self.connection.dynamodb, self.connection.keyring, self.connection.journal
        numbers = self.connection.journal_shards.numbers()
        self._shards = cache(lambda hour: numbers.to_read(f"{hour}:00:00Z"))

    def check(self, part: Part, running: Running) -> Findings:
        """What the part has of differences. Raises Stopped, and botocore's errors."""
        findings = Findings()
        work: Callable[[Part, Findings, Running], None] = getattr(self, part.phase)
        work(part, findings, running)
        return findings

    # --- everything -------------------------------------------------------------------------------------------------

    def store(self, part: Part, findings: Findings, running: Running) -> None:
        """Check a segment of the store: its streams, and each event's row of every consumer."""
        statuses = Statuses(self.connection, self.expected_consumers, self.scope.period, findings)
        chain: Chain | None = None
        read_to_end = False  # whether the rest of the stream was read by a query
        for item in self._segment(part, self.connection.names.store, running):
            stream = item["stream"]["S"]
            if chain is None or stream != chain.stream:
                chain, read_to_end = self._chain(stream, findings), False
                findings.count("streams")
            if read_to_end:
                continue
            if chain.fits(item):
                self._follow(chain, item, statuses)
                continue
            # A scan usually returns the items of a partition in order, but DynamoDB does not guarantee it.
            read_to_end = True
            for each in _in_steps(self._rest(chain), running):
                self._follow(chain, each, statuses)
        statuses.flush()

    def ledger(self, part: Part, findings: Findings, running: Running) -> None:
        """Check a segment of the ledger: each row by itself, and what it says about the store."""
        claims = Claims(self.connection, self.types, self.scope.period, findings)
        for item in self._ledger(part, running):
            row = row_in(item)
            proven = claims.check_row(row)
            if is_of_event(row["key"]):
                claims.add(row, proven=proven)
        claims.flush()

    def emitters(self, part: Part, findings: Findings, running: Running) -> None:
        """Report the missing events of which rows in a segment of the ledger say that they were emitted."""
        for item in self._ledger(part, running):
            self._report_missing(item, findings)

    def events(self, part: Part, findings: Findings, running: Running) -> None:
        """Report the events in a segment of the store that are there too often."""
        names = ("stream", "sequence", "id")
        for item in self._segment(part, self.connection.names.store, running, names):
            self._report_repeated(item, findings, "it was emitted once, but is in the store more than once")

    # --- a period, by the journal -----------------------------------------------------------------------------------

    def journal(self, part: Part, findings: Findings, running: Running) -> None:
        """Check the events that a partition of the journal lists, and their rows in the ledger."""
        claims = Claims(self.connection, self.types, self.scope.period, findings)
        rows = RowsOfEvents(claims, self._span)
        statuses = Statuses(self.connection, self.expected_consumers, self.scope.period, findings, rows)
        for places in self._places(part, running):
            self._check_places(places, findings, statuses)
        statuses.flush()
        claims.flush()

    def emitters_in_journal(self, part: Part, findings: Findings, running: Running) -> None:
        """Report the missing events of which rows of these events say that they were emitted."""
        claims = Claims(self.connection, self.types, self.scope.period, findings)
        rows = RowsOfEvents(claims, self._span)
        ledger = Table(self.connection, self.connection.names.ledger, "key", "emitted")
        for items in self._items_in_journal(part, running):
            found = [unpack_item({name: item[name] for name in ("id", "type") if name in item}) for item in items]
            events = {str(each["id"]): str(each.get("type")) for each in found if each.get("id")}
            keys = (of_event(event, name) for event, type_ in events.items() for name in rows.consumers(type_))
            for row in ledger.items(keys, consistent=False):
                self._report_missing(row, findings)

    def events_in_journal(self, part: Part, findings: Findings, running: Running) -> None:
        """Report the events of a partition of the journal that are there too often."""
        text = "the store has it more than once, or the journal does not list the event from which it follows"
        for items in self._items_in_journal(part, running):
            for item in items:
                self._report_repeated(item, findings, text)

    @property
    def _stored(self) -> Table:
        return Table(self.connection, self.connection.names.store)

    @property
    def _span(self) -> Span:
        span = self.scope.span
        if span is None:
            msg = "a check of everything does not read the journal"
            raise ValueError(msg)
        return span

    def _check_places(self, places: Sequence[Place], findings: Findings, statuses: Statuses) -> None:
        """Check the events at these places, each against the one before it in its stream."""
        listed = set(places)
        before = {(stream, sequence - 1) for stream, sequence in places if _has_predecessor(sequence)} - listed
        items = self._stored.at([*places, *before])
        chain: Chain | None = None
        for stream, sequence in sorted(places):
            item = items.get((stream, sequence))
            if item is None:
                text = "the journal lists it, but it is not in the store"
                findings.add(Difference(kind="journal", text=text, stream=stream, sequence=sequence))
                continue
            if chain is None or (chain.stream, chain.next) != (stream, sequence):
                chain = self._chain(stream, findings)
                if isinstance(sequence, int):
                    chain.begin(sequence, items.get((stream, sequence - 1)))
            self._follow(chain, item, statuses)

    def _places(self, part: Part, running: Running) -> Iterator[list[Place]]:
        for places in chunks(self.connection.journal.places(part.place, self._span), _LINES):
            if not running():
                raise Stopped
            yield places

    def _items_in_journal(self, part: Part, running: Running) -> Iterator[Collection[Item]]:
        return (self._stored.at(places).values() for places in self._places(part, running))

    # --- both -------------------------------------------------------------------------------------------------------

    def _report_missing(self, item: Item, findings: Findings) -> None:
        for event in (each["S"] for each in item.get("emitted", {}).get("L", ())):
            if key(event) in self.wanted.missing and event not in self.wanted.reported:
                row = row_in({"key": item["key"]})
                text = f"{row['consumer']} has emitted it for {row['event']}; it is not in the store"
                findings.add(Difference(kind="ledger", text=text, event=event))

    def _report_repeated(self, item: Item, findings: Findings, text: str) -> None:
        row = unpack_item({name: item[name] for name in ("stream", "sequence", "id") if name in item})
        if key(event := str(row.get("id", ""))) in self.wanted.twice:
            place = {"stream": row["stream"], "sequence": row["sequence"]}
            findings.add(Difference(kind="ledger", text=text, event=event, **place))

    def _chain(self, stream: str, findings: Findings) -> Chain:
        proven = partial(self.connection.keyring.proves, timers=catalogue().timers)
        # The journal lists an event by its position: nobody can hide it by changing its time.
        since, until = (None, None) if self.scope.span else (self.scope.since, self.scope.until)
        return Chain(stream, findings.add, proven, self._shards, since, until)

    def _follow(self, chain: Chain, item: Item, statuses: Statuses) -> None:
        event = chain.follow(item)
        if event:
            statuses.findings.count("events")
            statuses.add(event)

    def _ledger(self, part: Part, running: Running) -> Iterator[Item]:
        names = (*(name for name in ROW if name != "failed_attempts"), *OTHER_ROWS)
        return self._segment(part, self.connection.names.ledger, running, names)

    def _segment(self, part: Part, table: str, running: Running, names: Sequence[str] = ()) -> Iterator[Item]:
        number, of = part.segment
        items = Table(self.connection, table, *names).segment(number, of, consistent=self.scope.consistent)
        return _in_steps(items, running)

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


def _in_steps(items: Iterator[Item], running: Running) -> Iterator[Item]:
    """The same items. Raises Stopped when the check does not go on."""
    for count, item in enumerate(items):
        if count % _STEP == 0 and not running():
            raise Stopped
        yield item


def _has_predecessor(sequence: Any) -> bool:
    return isinstance(sequence, int) and sequence > 1
