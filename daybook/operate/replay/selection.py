"""Which recorded events an operator selects, and reading them: in partitions side by side, each from the oldest on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import takewhile
from typing import Self

from daybook.contracts import clock
from daybook.contracts.operations import ReplayStarted
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.missing_events import BEGINNING
from daybook.operate.parallel import Going, Partition
from daybook.operate.reading import line_of, place_of, stored
from daybook.operate.subscriptions import Subscriptions, published_source
from daybook.operate.trace.correlation import collect
from daybook.operate.trace.listing import find
from daybook.store.event_store import JOURNAL_SHARDS
from daybook.store.journal import Line, Span

# How far back the journal is searched for an event that no consumer has a row of, unless it is said.
_LOOKED_BACK = timedelta(hours=24)
# The longest correlation that is read: it is held in memory.
_LONGEST_CORRELATION = 10_000
# DynamoDB's quota for the values of one `IN`.
_MOST_TYPES = 100


class NotTaken(OperatorError):
    """The consumer's rule does not take what was named, so that its function could not handle it either."""


class NoSuchEvent(Unsuccessful):
    """An event that was named is found nowhere."""


class TooLong(OperatorError):
    """A correlation has more events than are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events are selected: those recorded in the span for which all criteria hold. `missing`: only events that
    the ledger has no row of at the consumer.
    """

    span: Span
    types: tuple[str, ...] = ()
    stream: str = ""
    correlation_id: str = ""
    events: tuple[str, ...] = ()
    missing: bool = False

    @classmethod
    def recorded(cls, started: ReplayStarted) -> Self:
        """The selection of a replay that was begun."""
        return cls(
            span=Span(started.since, started.until),
            types=started.types,
            stream=started.selected_stream,
            correlation_id=started.selected_correlation_id,
            events=started.selected_events,
            missing=started.missing,
        )

    def holds(self, line: Line) -> bool:
        """Whether it selects this event, wherever it was found."""
        return (
            clock.timestamp(self.span.since) <= line.recorded_at < clock.timestamp(self.span.until)
            and (not self.types or line.type in self.types)
            and self.stream in {"", line.stream}
            and self.correlation_id in {"", line.correlation_id}
            and (not self.events or line.id in self.events)
        )


def partitions(
    connection: Connection, consumer: str, selection: Selection, subscriptions: Subscriptions
) -> list[Partition]:
    """The selected events that the consumer's rule takes, partition by partition.

    The journal has a partition for each of its shards; a stream, a correlation and named events are one partition.
    Raises NotTaken, NoSuchEvent, TooLong, and NothingKnown for a correlation that does not exist.
    """
    taken = subscriptions.types(consumer)
    known = ", ".join(sorted(taken)) if taken else "any"
    if rejected := [t for t in selection.types if taken is not None and t not in taken]:
        msg = f"{consumer} does not take {', '.join(rejected)}; it takes {known}"
        raise NotTaken(msg)

    def meant(line: Line) -> bool:
        return selection.holds(line) and consumer in subscriptions.consumers(published_source(line.type), line.type)

    if selection.events:
        named = [_named(connection, event, selection.span) for event in selection.events]
        if others := [line for line in named if taken is not None and line.type not in taken]:
            msg = f"{consumer} does not take the {others[0].type} {others[0].id}; it takes {known}"
            raise NotTaken(msg)
        return [_listed("events", filter(meant, named))]
    if selection.correlation_id:
        return [_listed("correlation", filter(meant, _correlation(connection, selection.correlation_id)))]
    if selection.stream:
        return [Partition("stream", partial(_stream, connection, selection.stream, meant))]
    types = sorted(selection.types or taken or ())
    looked_for = tuple(types) if len(types) <= _MOST_TYPES else ()
    return [
        Partition(f"shard-{shard}", partial(_shard, connection, shard, selection.span, looked_for, meant))
        for shard in range(JOURNAL_SHARDS)
    ]


def _shard(
    connection: Connection,
    shard: int,
    span: Span,
    types: Sequence[str],
    meant: Callable[[Line], bool],
    after: str,
    going: Going,
) -> Iterator[Line]:
    rest = Span(clock.moment(after.partition("#")[0]), span.until) if after else span
    for bucket in takewhile(lambda _: going(), rest.of_shard(shard)):
        lines = connection.journal.lines(bucket, rest, event_types=types, oldest_first=True)
        yield from (line for line in lines if line.position > after and meant(line))


def _stream(
    connection: Connection, stream: str, meant: Callable[[Line], bool], after: str, going: Going
) -> Iterator[Line]:
    lines = takewhile(lambda _: going(), connection.journal.of_stream(stream, oldest_first=True))
    return (line for line in lines if line.position > after and meant(line))


def _listed(name: str, lines: Iterable[Line]) -> Partition:
    ordered = sorted(lines, key=lambda line: line.position)
    return Partition(name, lambda after, _: (line for line in ordered if line.position > after))


def _correlation(connection: Connection, correlation_id: str) -> list[Line]:
    found = collect(connection, correlation_id, most=_LONGEST_CORRELATION)
    if found.cut:
        msg = (
            f"the correlation {correlation_id} has more than {_LONGEST_CORRELATION} events; "
            "select by --stream, or by time"
        )
        raise TooLong(msg)
    return [line_of(event) for event in found.events]


def _named(connection: Connection, event_id: str, span: Span) -> Line:
    """The event with this id: by its rows in the ledger, which name its place, or else by the journal."""
    since = span.until - _LOOKED_BACK if span.since == BEGINNING else span.since
    if place := place_of(connection, event_id):
        line = next(map(Line.of, stored(connection, [place]).values()), None)
    else:
        line = find(connection, event_id, Span(since, span.until))
    if line is None:
        msg = (
            f"no event {event_id} is found: the ledger has no row that says where it is, and the journal does not have "
            f"it, from {clock.timestamp(since)} on; say by --since when it was recorded, or name its stream by --stream"
        )
        raise NoSuchEvent(msg)
    return line
