"""Missing events: those that a consumer should have received and has not, by the ledger.

A rule delivers what is published while it exists. A service that was removed and deployed again, or was added later,
has not received what was recorded without it; the store has it all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.reading import entries
from daybook.store.journal import Line, Span
from daybook.store.ledger import DONE, TRYING, Entry

# Before all that can be in a store.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

_ROW = ("event", "consumer", "state", "at")


def span(connection: Connection, since: str | None, until: str | None, now: datetime) -> Span:
    """The span that an operator names; by default from the creation of the store until `complete`. Raises BadMoment."""
    first = moments.moment(since, now) if since else _creation_of_the_store(connection)
    last = moments.moment(until, now) if until else complete(connection, now)
    if since is None:
        return Span(min(first, last), last)
    lagging = f"{clock.timestamp(last)}, up to which the journal is sure to be complete"
    return moments.checked(Span(first, last), since, f"--until {until}" if until else lagging)


def span_of_streams(since: str | None, until: str | None, now: datetime) -> Span:
    """The same for events of streams, which lack nothing: by default all time. Raises BadMoment."""
    first = moments.moment(since, now) if since else BEGINNING
    last = moments.moment(until, now) if until else now + moments.CLOCKS_DIFFER
    return moments.checked(Span(first, last), since, f"--until {until}" if until else "now")


def complete(connection: Connection, now: datetime) -> datetime:
    """Up to when the journal lacks nothing. An index lags, but for the one on this machine."""
    return now + moments.CLOCKS_DIFFER if connection.stage == LOCAL else now - moments.INDEX_LAG


@dataclass(frozen=True, slots=True)
class MissingEvents:
    """The events that one consumer lacks.

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
        pairs = [(line.id, self.consumer) for line in lines]
        wanted = (*_ROW, "tries") if self.missing else _ROW
        # What was read a moment too early is delivered twice, and processed once: no reason to pay for consistency.
        rows = entries(self.connection, pairs, wanted, consistent=False)
        has = {entry.event for entry in rows.values() if self._has(entry)}
        return [line for line in lines if line.id not in has]

    def _has(self, entry: Entry) -> bool:
        return not self._went_with_its_queue(entry) if self.missing else entry.state in DONE

    def _went_with_its_queue(self, entry: Entry) -> bool:
        """Whether the message that was being tried last was in a queue before this one."""
        last = max(entry.at, *(str(each["at"]) for each in entry.tries), "")
        return entry.state == TRYING and last < clock.timestamp(self.listens_since)


def _creation_of_the_store(connection: Connection) -> datetime:
    table = connection.dynamodb.describe_table(TableName=connection.names.store)["Table"]
    created: datetime = table["CreationDateTime"]
    return created.astimezone(UTC)
