"""Which events of the past an operator means, and reading them: in lanes side by side, each from the oldest on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Self

from daybook.contracts import clock
from daybook.contracts.operations import ReplayStarted
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.missing_events import BEGINNING
from daybook.operate.parallel import Going, Lane
from daybook.operate.subscriptions import Subscriptions, UnknownConsumer, published_source
from daybook.operate.trace.correlation import collect
from daybook.operate.trace.listing import find
from daybook.store.event_store import JOURNAL_SHARDS
from daybook.store.journal import Line, Span

# How far back the journal is searched for an event that no consumer has a row of, unless it is said.
_LOOKED_BACK = timedelta(hours=24)
# The longest story that is read: it is held in memory.
_LONGEST_STORY = 10_000
# DynamoDB's quota for the values of one `IN`.
_MOST_TYPES = 100


class NotTaken(OperatorError):
    """The consumer's rule does not take what was named, so that its function could not handle it either."""


class NoSuchEvent(OperatorError):
    """An event that was named is found nowhere."""

    exit_code = 1


class TooLong(OperatorError):
    """A story has more events than are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events are meant: those recorded in the span for which all holds that is said. `missing`: only what the
    ledger has no row of at the consumer.
    """

    span: Span
    types: tuple[str, ...] = ()
    stream: str = ""
    correlation_id: str = ""
    events: tuple[str, ...] = ()
    missing: bool = False

    @classmethod
    def recorded(cls, started: ReplayStarted) -> Self:
        """What a replay that was begun has selected."""
        return cls(
            span=Span(started.since, started.until),
            types=started.types,
            stream=started.selected_stream,
            correlation_id=started.selected_correlation_id,
            events=started.selected_events,
            missing=started.missing,
        )

    def holds(self, line: Line) -> bool:
        """Whether it means this event, wherever it was found."""
        return (
            clock.timestamp(self.span.since) <= line.recorded_at < clock.timestamp(self.span.until)
            and (not self.types or line.type in self.types)
            and self.stream in {"", line.stream}
            and self.correlation_id in {"", line.correlation_id}
            and (not self.events or line.id in self.events)
        )


def lanes(connection: Connection, consumer: str, selection: Selection) -> list[Lane]:
    """What is selected of that which the consumer's rule takes, lane by lane.

    The whole journal is a lane for each of its shards; a stream, a story and named events are one lane. Raises
    UnknownConsumer, NotTaken, NoSuchEvent, TooLong, and NothingKnown for a story that there is not.
    """
    subscriptions = Subscriptions.of(connection)
    if consumer not in subscriptions.known:
        raise UnknownConsumer(consumer, connection.stage, subscriptions.known)
    taken = subscriptions.types(consumer)
    known = ", ".join(sorted(taken)) if taken else "any"
    if refused := [t for t in selection.types if taken is not None and t not in taken]:
        msg = f"{consumer} does not take {', '.join(refused)}; it takes {known}"
        raise NotTaken(msg)

    def meant(line: Line) -> bool:
        return selection.holds(line) and consumer in subscriptions.consumers(published_source(line.type), line.type)

    if selection.events:
        named = [_named(connection, event, selection.span) for event in selection.events]
        if strange := [line for line in named if taken is not None and line.type not in taken]:
            msg = f"{consumer} does not take the {strange[0].type} {strange[0].id}; it takes {known}"
            raise NotTaken(msg)
        return [_listed("events", [line for line in named if meant(line)])]
    if selection.correlation_id:
        return [_listed("story", [line for line in _story(connection, selection.correlation_id) if meant(line)])]
    if selection.stream:
        return [Lane("stream", partial(_stream, connection, selection.stream, meant))]
    types = sorted(selection.types or taken or ())
    looked_for = tuple(types) if len(types) <= _MOST_TYPES else ()
    return [
        Lane(f"shard-{shard}", partial(_shard, connection, shard, selection.span, looked_for, meant))
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
    begin = clock.moment(after.partition("#")[0]) if after else span.since
    rest = Span(begin, span.until)
    for bucket in rest.of_shard(shard):
        if not going():
            return
        for line in connection.journal.lines(bucket, rest, event_types=types, oldest_first=True):
            if line.position > after and meant(line):
                yield line


def _stream(
    connection: Connection, stream: str, meant: Callable[[Line], bool], after: str, going: Going
) -> Iterator[Line]:
    for line in connection.journal.of_stream(stream, oldest_first=True):
        if not going():
            return
        if line.position > after and meant(line):
            yield line


def _listed(name: str, lines: Sequence[Line]) -> Lane:
    ordered = sorted(lines, key=lambda line: line.position)
    return Lane(name, lambda after, _: (line for line in ordered if line.position > after))


def _story(connection: Connection, correlation_id: str) -> list[Line]:
    story = collect(connection, correlation_id, most=_LONGEST_STORY)
    if story.cut:
        msg = f"the story {correlation_id} has more than {_LONGEST_STORY} events; select by --stream, or by time"
        raise TooLong(msg)
    names = Line.__dataclass_fields__
    return [Line(**{name: getattr(event.metadata, name) for name in names}) for event in story.events]


def _named(connection: Connection, event_id: str, span: Span) -> Line:
    """The event with this id: by its rows in the ledger, which name its place, or else by the journal."""
    since = span.until - _LOOKED_BACK if span.since == BEGINNING else span.since
    placed = [entry for entry in connection.ledger.of_event(event_id) if entry.stream]
    if placed:
        keys = [{"stream": placed[0].stream, "sequence": placed[0].sequence}]
        lines = [Line.of(item) for item in connection.items(connection.names.store, keys)]
    else:
        lines = [line for line in [find(connection, event_id, Span(since, span.until))] if line]
    if not lines:
        msg = (
            f"no event {event_id} is found: the ledger has no row that says where it is, and the journal does not have "
            f"it, from {clock.timestamp(since)} on; say by --since when it was recorded, or name its stream by --stream"
        )
        raise NoSuchEvent(msg)
    return lines[0]
