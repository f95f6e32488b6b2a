"""What a consumer lacks of the events that it should have got, by the ledger.

A rule delivers what is published while it stands. A service that was removed and deployed again, or was added later,
has not got what was recorded without it; the store has it all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.delivery import MOST_READS
from daybook.store.journal import Line, Span
from daybook.store.ledger import DONE, TRYING, Entry
from daybook.store.ledger import from_item as entry_in

# Before all that can be in a store.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

_ROW = ("event", "consumer", "state", "at")


def span(connection: Connection, since: str | None, until: str | None, now: datetime) -> Span:
    """The time that an operator names; unless said, from the making of the store until `complete`. Raises BadMoment."""
    first = moments.moment(since, now) if since else _making_of_the_store(connection)
    last = moments.moment(until, now) if until else complete(connection, now)
    if since is None:
        return Span(min(first, last), last)
    if first >= last:
        lagging = f"{clock.timestamp(last)}, up to which the journal is sure to be complete"
        msg = f"--since {since} is not before {f'--until {until}' if until else lagging}"
        raise moments.BadMoment(msg)
    return Span(first, last)


def span_of_streams(since: str | None, until: str | None, now: datetime) -> Span:
    """The same for events that are found by their streams, which lack nothing: unless said, all time. Raises
    BadMoment.
    """
    first = moments.moment(since, now) if since else BEGINNING
    last = moments.moment(until, now) if until else now + moments.CLOCKS_DIFFER
    if first >= last:
        msg = f"--since {since} is not before {f'--until {until}' if until else 'now'}"
        raise moments.BadMoment(msg)
    return Span(first, last)


def complete(connection: Connection, now: datetime) -> datetime:
    """Up to when the journal lacks nothing. An index lags, but for the one on this machine."""
    return now + moments.CLOCKS_DIFFER if connection.stage == LOCAL else now - moments.INDEX_LAG


@dataclass(frozen=True, slots=True)
class Gap:
    """What one consumer lacks.

    Of what it has committed, or what somebody has discarded, it lacks nothing. With `missing`, only what the ledger has
    no row of is lacking; but for what was being tried when an earlier queue of this name was deleted, and went with it:
    before `listens_since`. Events that wait in its queue for the first time have no row yet, so that they are among
    the missing: a second delivery does no harm.
    """

    connection: Connection
    consumer: str
    listens_since: datetime
    missing: bool

    def of(self, lines: Sequence[Line]) -> list[Line]:
        """Those of the events that the consumer lacks, in their order."""
        # A table that was tampered with may hold an id twice; a request may not.
        ids = list(dict.fromkeys(line.id for line in lines))
        has = {
            event for start in range(0, len(ids), MOST_READS) for event in self._had(ids[start : start + MOST_READS])
        }
        return [line for line in lines if line.id not in has]

    def _had(self, ids: Sequence[str]) -> Iterator[str]:
        keys = [{"event": event, "consumer": self.consumer} for event in ids]
        wanted = (*_ROW, "tries") if self.missing else _ROW
        # What was read a moment too early is given twice, and done once: no reason to pay for consistency.
        items = self.connection.items(self.connection.names.ledger, keys, wanted, consistent=False)
        return (entry.event for entry in map(entry_in, items) if self._has(entry))

    def _has(self, entry: Entry) -> bool:
        return not self._went_with_its_queue(entry) if self.missing else entry.state in DONE

    def _went_with_its_queue(self, entry: Entry) -> bool:
        """Whether the message that was being tried last was in a queue before this one."""
        last = max(entry.at, *(str(each["at"]) for each in entry.tries), "")
        return entry.state == TRYING and last < clock.timestamp(self.listens_since)


def _making_of_the_store(connection: Connection) -> datetime:
    table = connection.dynamodb.describe_table(TableName=connection.names.store)["Table"]
    made: datetime = table["CreationDateTime"]
    return made.astimezone(UTC)
