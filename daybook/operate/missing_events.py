"""Finds missing events: events that a consumer should have received and has not, according to the ledger.

A rule delivers events that are published while it exists. A service that was removed and deployed again, or was added
later, has not received the events that were recorded in between. The store has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.reading import entries
from daybook.runtime.keyring import Keyring
from daybook.store import ledger_proofs
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import TRYING, LedgerEntry

# Before any event.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

_ROW = ("key", *ledger_proofs.STATUS, ledger_proofs.PROOF)


def span(connection: Connection, since: str | None, until: str | None, now: datetime) -> Span:
    """The period between these times; by default from the creation of the store to `complete`. Raises InvalidTime."""
    first = moments.moment(since, now) if since else _store_creation(connection)
    last = moments.moment(until, now) if until else complete(connection, now)
    if since is None:
        return Span(min(first, last), last)
    lagging = f"{clock.timestamp(last)}, up to which the journal is complete"
    return moments.checked(Span(first, last), since, f"--until {until}" if until else lagging)


def span_of_streams(since: str | None, until: str | None, now: datetime) -> Span:
    """Like `span`, for streams, which are read consistently; by default all time. Raises InvalidTime."""
    first = moments.moment(since, now) if since else BEGINNING
    last = moments.moment(until, now) if until else now + moments.CLOCKS_DIFFER
    return moments.checked(Span(first, last), since, f"--until {until}" if until else "now")


def complete(connection: Connection, now: datetime) -> datetime:
    """The time up to which the journal is complete. The index lags, except on a local run."""
    return now + moments.CLOCKS_DIFFER if connection.stage == LOCAL else now - moments.INDEX_LAG


@dataclass(frozen=True, slots=True)
class MissingEvents:
    """The events that one consumer has not processed.

    Committed and discarded events are processed, if their rows are proven: otherwise the event is delivered, and the
    consumer makes it a dead letter. With `missing`, only events without a ledger row count, and events
    whose last attempt was before `subscribed_since`: they were in a queue that was deleted. Events that wait in
    the queue for the first time have no row either, so they count as missing: a second delivery does no harm.
    """

    connection: Connection
    consumer: str
    subscribed_since: datetime
    missing: bool
    keyring: Keyring
    unproven: set[str] = field(default_factory=set)
    """The ids of events so far whose rows say that they are done, without a valid proof."""

    def of(self, lines: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Those of the events that the consumer has not processed, in their order."""
        pairs = [(line.id, self.consumer) for line in lines]
        wanted = (*_ROW, "failed_attempts") if self.missing else _ROW
        # An eventually consistent read may cause a second delivery, which does no harm, and costs half.
        rows = entries(self.connection, pairs, wanted, consistent=False)
        has = {entry.event for entry in rows.values() if self._has(entry)}
        return [line for line in lines if line.id not in has]

    def _has(self, entry: LedgerEntry) -> bool:
        if entry.done:
            proven = self.keyring.proves_row(entry.row)
            if not proven:
                self.unproven.add(entry.event)
            return proven
        return self.missing and not self._was_in_deleted_queue(entry)

    def _was_in_deleted_queue(self, entry: LedgerEntry) -> bool:
        """Whether its last attempt was before the current queue was created."""
        last = max(entry.at, *(str(each["at"]) for each in entry.failed_attempts), "")
        return entry.state == TRYING and last < clock.timestamp(self.subscribed_since)


def _store_creation(connection: Connection) -> datetime:
    table = connection.dynamodb.describe_table(TableName=connection.names.store)["Table"]
    created: datetime = table["CreationDateTime"]
    return created.astimezone(UTC)
