"""Finds all events of a correlation: by a stream, an event id, or a correlation id."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, takewhile

from daybook.contracts.envelope import Envelope
from daybook.contracts.identity import stream_name
from daybook.operate.connection import Connection
from daybook.operate.errors import Unsuccessful
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.reading import Place, stored
from daybook.operate.registered import KnownConsumers
from daybook.operate.terminal import daybook
from daybook.operate.trace.listing import find
from daybook.store.event_store import from_item
from daybook.store.journal import Span
from daybook.store.ledger import DEAD

# The period in which the journal is searched for an event without a ledger row.
_SEARCH_PERIOD = timedelta(hours=24)
# The events that one query reads of a stream: most runs are short.
_PAGE_SIZE = 25


class NothingFound(Unsuccessful):
    """No event was found. It may not be recorded yet, or be rejected, or be in another stage."""

    def __init__(self, what: str, connection: Connection) -> None:
        stage = connection.stage
        hours = int(_SEARCH_PERIOD.total_seconds()) // 3600
        missing = (
            f"the stream {what} has no events in the stage {stage}"
            if "/" in what
            else f"no event or correlation {what} was found in the stage {stage} (searched: the ledger, the "
            f"correlation index, and the journal of the last {hours} hours)"
        )
        super().__init__(
            f"{missing}. A new event takes a moment to appear; a rejected event is found by its id. "
            f"List events with: {daybook('events', stage=stage)}"
        )


class EventRejected(Unsuccessful):
    """The event was rejected, so it is not in the store."""


@dataclass(frozen=True, slots=True)
class Collected:
    """Events in the order of recording. `cut`: there are more events than the limit."""

    events: tuple[Envelope, ...]
    cut: bool


def collect(connection: Connection, what: str, *, most: int) -> Collected:
    """The events of a stream (`order/1001`) with those of their correlations on other streams; or of one correlation,
    by its id or the id of one of its events.

    At most `most` events of a stream (the newest) and of each correlation (the first) are read. Raises NothingFound,
    and EventRejected for a rejected event.
    """
    search = _Search(connection, most)
    if "/" in what and search.stream(stream_name(what)):
        return search.result()
    if not what or not search.event_or_correlation(what):
        if what and (dead := [entry for entry in search.known.rows(what) if entry.state == DEAD]):
            entry = dead[0]
            edit = daybook("dead", "edit", f"{entry.event}@{entry.consumer}", stage=connection.stage)
            raise EventRejected(
                f"{entry.consumer} rejected it at {entry.at}: {entry.details.get('error')}: "
                f"{entry.details.get('reason')}. Correct it: {edit}"
            )
        raise NothingFound(what, connection)
    return search.result()


class _Search:
    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._store = connection.store
        self.known = KnownConsumers.of(connection)
        self._most = most
        self._found: dict[Place, Envelope] = {}
        self._cut = False

    def result(self) -> Collected:
        events = sorted(self._found.values(), key=_order)
        return Collected(tuple(events), self._cut)

    def stream(self, stream: str) -> bool:
        """Add the newest events of the stream and their correlations. Returns whether the stream exists."""
        head = self._store.head(stream)
        if head is None:
            return False
        self._cut |= head.sequence > self._most
        events = list(self._store.stream(stream, after=max(0, head.sequence - self._most)))
        self._add(events)
        self._correlations({event.metadata.correlation_id for event in events})
        return True

    def event_or_correlation(self, given: str) -> bool:
        """Add the correlation of the event with this id, or with this correlation id. Returns whether it exists."""
        place = self.known.place_of(given)
        if place is None:
            self._correlations({given})
            if self._found:
                return True
            place = self._find_in_journal(given)
        self._fetch([place] if place else [])
        self._correlations({event.metadata.correlation_id for event in self._found.values()})
        return bool(self._found)

    def _correlations(self, correlation_ids: Iterable[str]) -> None:
        for events in self._connection.each(self._correlation, correlation_ids):
            self._add(events)

    def _correlation(self, correlation_id: str) -> list[Envelope]:
        """The first events of a correlation: of its run that begins with its first event, and of all other runs."""
        root = self.known.place_of(correlation_id)
        others = islice(self._store.positions_of_correlation(correlation_id), self._most + 1)
        runs = self._connection.each(partial(self._run, correlation_id), [*([root] if root else []), *others])
        events = sorted((event for run in runs for event in run), key=_order)
        self._cut |= len(events) > self._most
        return events[: self._most]

    def _run(self, correlation_id: str, begin: Place) -> list[Envelope]:
        """The events in a row of the correlation, from this place on."""
        stream, sequence = begin
        events = self._store.stream(stream, after=sequence - 1, page_size=_PAGE_SIZE)
        run = takewhile(lambda event: event.metadata.correlation_id == correlation_id, events)
        return list(islice(run, self._most + 1))

    def _find_in_journal(self, event_id: str) -> Place | None:
        now = datetime.now(UTC)
        line = find(self._connection, event_id, Span(now - _SEARCH_PERIOD, now + CLOCKS_DIFFER))
        return (line.stream, line.sequence) if line else None

    def _add(self, events: Iterable[Envelope]) -> None:
        self._found |= {_place(event): event for event in events}

    def _fetch(self, places: Iterable[Place]) -> None:
        self._add(map(from_item, stored(self._connection, set(places) - self._found.keys()).values()))


def _order(event: Envelope) -> tuple[str, str, int]:
    """By the time of recording, then by stream and sequence."""
    return event.metadata.recorded_at, *_place(event)


def _place(event: Envelope) -> Place:
    return event.metadata.stream, event.metadata.sequence
