"""Selects recorded events, and reads them in parallel partitions, the oldest first."""

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
from daybook.operate.parallel import Partition, Running
from daybook.operate.reading import line_of, stored
from daybook.operate.registered import KnownConsumers
from daybook.operate.subscriptions import Subscriptions, published_source
from daybook.operate.trace.correlation import collect
from daybook.operate.trace.listing import find
from daybook.store.journal import JournalEntry, Span
from daybook.store.journal_shards import PARTS

# The period in which the journal is searched for an event without a ledger row, unless --since is given.
_SEARCH_PERIOD = timedelta(hours=24)
# The number of events of a correlation that are held in memory.
_MAX_CORRELATION = 10_000
# DynamoDB's quota for the values of one `IN`.
_MAX_TYPES = 100


class NotSubscribed(OperatorError):
    """The consumer does not subscribe to the selected events."""


class NoSuchEvent(Unsuccessful):
    """An event was not found."""


class CorrelationTooLong(OperatorError):
    """A correlation has too many events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Selects the events recorded in the period that match all criteria. `missing`: only events without a ledger row at
    the consumer.
    """

    span: Span
    types: tuple[str, ...] = ()
    stream: str = ""
    correlation_id: str = ""
    events: tuple[str, ...] = ()
    missing: bool = False

    @classmethod
    def recorded(cls, started: ReplayStarted) -> Self:
        """The selection of a started replay."""
        return cls(
            span=Span(started.since, started.until),
            types=started.types,
            stream=started.selected_stream,
            correlation_id=started.selected_correlation_id,
            events=started.selected_events,
            missing=started.missing,
        )

    def matches(self, line: JournalEntry) -> bool:
        """Whether it selects this event."""
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
    """The selected events that the consumer subscribes to, in partitions.

    Each part of the journal is a partition; a stream, a correlation or selected events are one partition. Raises
    NotSubscribed, NoSuchEvent, CorrelationTooLong, and NothingFound for an unknown correlation.
    """
    subscribed = subscriptions.types(consumer)
    known = ", ".join(sorted(subscribed)) if subscribed else "any"
    if rejected := [t for t in selection.types if subscribed is not None and t not in subscribed]:
        raise NotSubscribed(f"{consumer} does not subscribe to {', '.join(rejected)}; it subscribes to {known}")

    def selected(line: JournalEntry) -> bool:
        return selection.matches(line) and consumer in subscriptions.consumers(published_source(line.type), line.type)

    if selection.events:
        known_consumers = KnownConsumers.of(connection)
        named = [_named(known_consumers, event, selection.span) for event in selection.events]
        if others := [line for line in named if subscribed is not None and line.type not in subscribed]:
            raise (
                NotSubscribed(
                    f"{consumer} does not subscribe to {others[0].type} ({others[0].id}); it subscribes to {known}"
                )
            )
        return [_listed("events", filter(selected, named))]
    if selection.correlation_id:
        return [_listed("correlation", filter(selected, _correlation(connection, selection.correlation_id)))]
    if selection.stream:
        return [Partition("stream", partial(_stream, connection, selection.stream, selected))]
    types = sorted(selection.types or subscribed or ())
    looked_for = tuple(types) if len(types) <= _MAX_TYPES else ()
    return [
        Partition(f"part-{number}", partial(_part, connection, number, selection.span, looked_for, selected))
        for number in range(PARTS)
    ]


def _part(
    connection: Connection,
    number: int,
    span: Span,
    types: Sequence[str],
    selected: Callable[[JournalEntry], bool],
    after: str,
    running: Running,
) -> Iterator[JournalEntry]:
    rest = Span(clock.moment(after.partition("#")[0]), span.until) if after else span
    for lines in takewhile(lambda _: running(), connection.journal.part(number, rest, event_types=types)):
        yield from (line for line in lines if line.position > after and selected(line))


def _stream(
    connection: Connection, stream: str, selected: Callable[[JournalEntry], bool], after: str, running: Running
) -> Iterator[JournalEntry]:
    lines = takewhile(lambda _: running(), connection.journal.of_stream(stream, oldest_first=True))
    return (line for line in lines if line.position > after and selected(line))


def _listed(name: str, lines: Iterable[JournalEntry]) -> Partition:
    ordered = sorted(lines, key=lambda line: line.position)
    return Partition(name, lambda after, _: (line for line in ordered if line.position > after))


def _correlation(connection: Connection, correlation_id: str) -> list[JournalEntry]:
    found = collect(connection, correlation_id, most=_MAX_CORRELATION)
    if found.cut:
        raise CorrelationTooLong(
            f"the correlation {correlation_id} has more than {_MAX_CORRELATION} events; select by --stream, or by time"
        )
    return [line_of(event) for event in found.events]


def _named(known: KnownConsumers, event_id: str, span: Span) -> JournalEntry:
    """The event with this id, found by its ledger rows, or else in the journal."""
    since = span.until - _SEARCH_PERIOD if span.since == BEGINNING else span.since
    if place := known.place_of(event_id):
        line = next(map(JournalEntry.of, stored(known.connection, [place]).values()), None)
    else:
        line = find(known.connection, event_id, Span(since, span.until))
    if line is None:
        raise NoSuchEvent(
            f"the event {event_id} was not found in the ledger, nor in the journal from {clock.timestamp(since)} "
            "on; use --since with its time of recording, or --stream"
        )
    return line
