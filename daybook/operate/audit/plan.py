"""What a check reads, divided into parts. Each part is checked by itself, in any order, in any process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.audit.rows import CheckedPeriod
from daybook.operate.connection import Connection
from daybook.store.journal import Span, hours
from daybook.store.journal_shards import ShardNumbers

# Items in one segment of a table: some seconds of work, which are repeated after an interruption.
_ITEMS_IN_A_SEGMENT = 10_000
# Small tables have this many segments. Each holds one page in memory: at most 1 MB, ten times as much when parsed.
_LEAST_SEGMENTS = 4
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
_MOST_SEGMENTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The period that is checked: events recorded from `since` (None: the first) to `until` (None: the newest).

    With `since`, the journal of the period is read, otherwise both tables are. `until` must then be a time up to which
    the journal is complete. Events after `settled` may still be in progress: without a final status, they count as
    open.
    """

    since: datetime | None
    until: datetime | None
    settled: datetime

    @property
    def consistent(self) -> bool:
        """Whether tables must be read consistently, which costs twice as much."""
        return self.settled > datetime.now(UTC) - moments.INDEX_LAG

    @property
    def span(self) -> Span | None:
        """The period whose journal is read; None if both tables are read."""
        return Span(self.since, self.until) if self.since and self.until else None

    @property
    def period(self) -> CheckedPeriod:
        """The period in which the ledger is checked."""
        end = self.until or self.settled
        if self.span:
            # What a row says was emitted at the end of the span may be recorded after it, by another clock.
            end -= moments.CLOCKS_DIFFER
        return CheckedPeriod.of(self.since, min(end, self.settled))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the check. `phase` is the name of a method of `Checker`, and `place` what it reads: a partition of the
    journal, or a segment of a table as `17/1000`, from 0.
    """

    phase: str
    place: str

    @property
    def segment(self) -> tuple[int, int]:
        """The number of the segment, and of how many."""
        number, _, of = self.place.partition("/")
        return int(number), int(of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A check as it began. `store_id` is DynamoDB's id of the store's table, so that no other is continued."""

    stage: str
    store_id: str
    began: str
    scope: Scope
    first_shards: int
    announced_shards: Mapping[str, int]
    store_segments: int
    ledger_segments: int

    @classmethod
    def of(cls, connection: Connection, scope: Scope) -> Self:
        """The plan of a new check. Raises botocore's errors."""
        numbers = connection.journal_shards.numbers()
        store, ledger = (_described(connection, name) for name in (connection.names.store, connection.names.ledger))
        return cls(
            stage=connection.stage,
            store_id=store["TableId"],
            began=clock.now(),
            scope=scope,
            first_shards=numbers.first,
            announced_shards=dict(numbers.announced),
            store_segments=_segments(store),
            ledger_segments=_segments(ledger),
        )

    @property
    def phases(self) -> tuple[str, ...]:
        """What is read first, in order: each phase begins after the one before it."""
        return ("journal",) if self.scope.span else ("store", "ledger")

    @property
    def searches(self) -> tuple[str, str]:
        """How the rows that name missing events are found, and the events that are there too often."""
        return ("emitters_in_journal", "events_in_journal") if self.scope.span else ("emitters", "events")

    def parts(self, phase: str) -> Iterator[Part]:
        """All parts of a phase."""
        if self.scope.span:
            numbers = ShardNumbers(self.first_shards, self.announced_shards)
            return (Part(phase, bucket) for hour in hours(self.scope.span, numbers.to_read) for bucket in hour)
        segments = self.ledger_segments if phase in {"ledger", "emitters"} else self.store_segments
        return (Part(phase, f"{number}/{segments}") for number in range(segments))

    def as_data(self) -> dict[str, Any]:
        """The plan as JSON."""
        scope = {name: each and clock.timestamp(each) for name, each in self._times().items()}
        own = [name for name in self.__slots__ if name != "scope"]
        return {**{name: getattr(self, name) for name in own}, "scope": scope}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """The plan in this JSON. Raises KeyError, TypeError or ValueError for other data."""
        scope = {name: each and clock.moment(each) for name, each in data["scope"].items()}
        return cls(**{**data, "scope": Scope(**scope)})

    def _times(self) -> dict[str, datetime | None]:
        return {"since": self.scope.since, "until": self.scope.until, "settled": self.scope.settled}


def store_id(connection: Connection) -> str:
    """DynamoDB's id of the store's table: another one after the table was created again, or restored."""
    return str(_described(connection, connection.names.store)["TableId"])


def _described(connection: Connection, table: str) -> dict[str, Any]:
    described: dict[str, Any] = connection.dynamodb.describe_table(TableName=table)["Table"]
    return described


def _segments(described: dict[str, Any]) -> int:
    """DynamoDB counts the items every six hours: a table that is filling quickly has larger segments."""
    items: int = described["ItemCount"]
    return min(_MOST_SEGMENTS, max(_LEAST_SEGMENTS, items // _ITEMS_IN_A_SEGMENT))
