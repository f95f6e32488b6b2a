"""Announces the number of the journal's shards, from an hour on that all functions know before it begins."""

from datetime import datetime

from daybook.contracts import clock
from daybook.contracts.operations import ShardsAnnounced
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.operation import Operation
from daybook.store.journal_shards import HOUR, LEAD, MOST_SHARDS, PARTS, hour_of


class BadNumber(OperatorError):
    """The journal cannot have this number of shards."""


class AnnouncedMeanwhile(Unsuccessful):
    """Another operator has announced a number at the same time. Nothing was changed."""


class Announcement:
    """A number of shards, to be announced. `before` is the number that its first hour would have without it. Raises
    BadNumber.
    """

    def __init__(self, connection: Connection, shards: int, now: datetime) -> None:
        if shards not in range(PARTS, MOST_SHARDS + 1, PARTS):
            raise BadNumber(f"the journal cannot have {shards} shards; use a multiple of {PARTS} up to {MOST_SHARDS}")
        self._connection = connection
        self._announced = connection.journal_shards.announced()
        self.shards = shards
        self.hour = hour_of(now + LEAD + CLOCKS_DIFFER) + HOUR
        self.before = connection.journal_shards.valid(clock.timestamp(self.hour), self._announced)

    def commit(self, reason: str) -> str:
        """Announce it, and record the operation. Returns the operation's id. Raises AnnouncedMeanwhile."""
        operation = Operation.start(self._connection)
        event = ShardsAnnounced(**operation.about, reason=reason, hour=self.hour, shards=self.shards)
        row = self._connection.journal_shards.announcement(self.hour, self.shards, self._announced)
        if not operation.try_to_commit(event, {"shards": row}):
            raise AnnouncedMeanwhile("another operator has announced a number meanwhile; repeat the command")
        return operation.id
