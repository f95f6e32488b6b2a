"""Finding all events of a correlation: by a stream, by one of its events, or by its correlation id."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.errors import Unsuccessful
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.reading import Place, place_of, stored
from daybook.operate.trace.listing import find
from daybook.store.event_store import from_item
from daybook.store.journal import Span
from daybook.store.ledger import DEAD, Entry

# How far back an event is looked for that no consumer has a record of.
_LOOKED_BACK = timedelta(hours=24)


class NothingKnown(Unsuccessful):
    """No event is found by what was asked for. It may be on its way, refused, or of another stage."""

    def __init__(self, what: str, connection: Connection) -> None:
        stage = connection.stage
        hours = int(_LOOKED_BACK.total_seconds()) // 3600
        missing = (
            f"no event is on the stream {what} in the stage {stage}"
            if "/" in what
            else f"no event or correlation {what} is known in the stage {stage} (looked for in the ledger, in the "
            f"correlation index, and in the journal of the last {hours} hours)"
        )
        super().__init__(
            f"{missing}. What has just been sent takes a moment; why an event was refused is shown under its id. "
            f"What there is: daybook events --stage {stage}"
        )


class NeverRecorded(Unsuccessful):
    """The event has come in, and is dead: it was refused, and never got into the store."""

    def __init__(self, entry: Entry) -> None:
        error, reason = entry.details.get("error"), entry.details.get("reason")
        super().__init__(
            f"{entry.consumer} has refused it at {entry.at}: {error}: {reason}. Mend it, and send it again"
        )


@dataclass(frozen=True, slots=True)
class Collected:
    """Events in the order of recording. `cut` says that there are more than were asked for."""

    events: tuple[Envelope, ...]
    cut: bool


def collect(connection: Connection, what: str, *, most: int) -> Collected:
    """The events of a stream (`order/1001`) with those of their correlations on others; or of one correlation, by its
    own id or an event's.

    Of a stream and of each correlation about `most` events are read: of the stream the newest, of a correlation the
    first. Raises NothingKnown, and NeverRecorded for an event that was refused.
    """
    search = _Search(connection, most)
    if "/" in what and search.stream(what):
        return search.result()
    if not what or not search.event_or_correlation(what):
        if what and (dead := [entry for entry in connection.ledger.of_event(what) if entry.state == DEAD]):
            raise NeverRecorded(dead[0])
        raise NothingKnown(what, connection)
    return search.result()


class _Search:
    """The events found so far."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._store = connection.store
        self._most = most
        self._found: dict[Place, Envelope] = {}
        self._cut = False

    def result(self) -> Collected:
        events = sorted(self._found.values(), key=lambda e: (e.metadata.recorded_at, *_place(e)))
        return Collected(tuple(events), self._cut)

    def stream(self, stream: str) -> bool:
        """Add the newest of the stream, and their correlations. Returns whether there is such a stream."""
        head = self._store.head(stream)
        if head is None:
            return False
        self._cut |= head.sequence > self._most
        events = list(self._store.stream(stream, after=max(0, head.sequence - self._most)))
        self._add(events)
        self._correlations({event.metadata.correlation_id for event in events})
        return True

    def event_or_correlation(self, given: str) -> bool:
        """Add the correlation of the event with this id, or with this correlation id. Returns whether there is one."""
        place = place_of(self._connection, given)
        if place is None:
            self._correlations({given})
            if self._found:
                return True
            place = self._recorded_lately(given)
        self._fetch([place] if place else [])
        self._correlations({event.metadata.correlation_id for event in self._found.values()})
        return bool(self._found)

    def _correlations(self, correlation_ids: Iterable[str]) -> None:
        found = self._connection.each(self._correlation, correlation_ids)
        for run, _ in found:
            self._add(run)
        self._fetch([place for _, places in found for place in places])

    def _correlation(self, correlation_id: str) -> tuple[list[Envelope], list[Place]]:
        """The events of a correlation on the stream where it began, and the places of all others."""
        root = place_of(self._connection, correlation_id)
        run = self._run(correlation_id, root) if root else []
        places = list(islice(self._store.story(correlation_id), self._most + 1))
        self._cut |= len(run) > self._most or len(places) > self._most
        return run[: self._most], places[: self._most]

    def _run(self, correlation_id: str, root: Place) -> list[Envelope]:
        """The root and what follows it without a gap: after that, the index of correlations holds the rest."""
        stream, sequence = root
        events = self._store.stream(stream, after=sequence - 1)
        run = takewhile(lambda event: event.metadata.correlation_id == correlation_id, events)
        return list(islice(run, self._most + 1))

    def _recorded_lately(self, event_id: str) -> Place | None:
        now = datetime.now(UTC)
        line = find(self._connection, event_id, Span(now - _LOOKED_BACK, now + CLOCKS_DIFFER))
        return (line.stream, line.sequence) if line else None

    def _add(self, events: Iterable[Envelope]) -> None:
        self._found |= {_place(event): event for event in events}

    def _fetch(self, places: Iterable[Place]) -> None:
        self._add(map(from_item, stored(self._connection, set(places) - self._found.keys()).values()))


def _place(event: Envelope) -> Place:
    return event.metadata.stream, event.metadata.sequence
