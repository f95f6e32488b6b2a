"""One stream as the audit reads it: in order, without gaps, each event linked by its hash to the one before."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from daybook.contracts import clock
from daybook.contracts.envelope import GENESIS, Envelope, Metadata, digest
from daybook.operate.audit.findings import Difference
from daybook.store.attributes import unpack
from daybook.store.event_store import JOURNAL_SHARDS, NotAnEvent, from_item, journal_bucket, journal_shard

_LINKED = ("bucket", "position", "story")


class Chain:
    """A stream, item by item in the order of the table. It keeps no more than the event before.

    What was recorded outside of `since` to `until` is not judged, and still links what follows.
    """

    def __init__(
        self, stream: str, report: Callable[[Difference], None], since: datetime | None, until: datetime | None
    ) -> None:
        self.stream = stream
        self.next = 1
        self._report = report
        self._since = clock.timestamp(since) if since else ""
        self._until = clock.timestamp(until) if until else "~"  # behind all times
        self._hash: str | None = GENESIS
        self._recorded_at = ""

    def fits(self, item: Mapping[str, Any]) -> bool:
        """Whether it is the item that should follow."""
        return bool(unpack(item["sequence"]) == self.next)

    def follow(self, item: Mapping[str, Any]) -> Envelope | None:
        """Take the next item. Returns the event in it, if it is one that is to be judged."""
        sequence = unpack(item["sequence"])
        try:
            event = from_item(item)
        except NotAnEvent:
            self._say("item", f"{NotAnEvent.__doc__}".partition(". ")[0].rstrip("."), sequence)
            if sequence == self.next:
                self.next, self._hash = sequence + 1, None
            return None
        m = event.metadata
        judged = self._since <= m.recorded_at < self._until
        if judged:
            self._judge(event, item)
        self.next, self._hash, self._recorded_at = m.sequence + 1, event.hash, m.recorded_at
        return event if judged else None

    def _judge(self, event: Envelope, item: Mapping[str, Any]) -> None:
        m = event.metadata
        if m.sequence > self.next:
            gone = f"#{self.next}" if m.sequence == self.next + 1 else f"#{self.next} to #{m.sequence - 1}"
            self._say("chain", f"{gone} before it is missing", m.sequence, m.id)
        elif self._hash not in {None, event.previous}:
            self._say("chain", "it follows another event than the one before it, which was changed", m.sequence, m.id)
        if event.hash != digest(m, event.data, event.source, event.previous):
            self._say("chain", "its hash does not fit what it says: it was changed", m.sequence, m.id)
        if m.recorded_at < self._recorded_at:
            self._say("chain", "it was recorded before the event before it", m.sequence, m.id)
        bucket, position, story = (unpack(item[name]) if name in item else None for name in _LINKED)
        if (
            position != f"{m.recorded_at}#{m.stream}#{m.sequence:012d}"
            or not _is_read(bucket, m)
            or (event.story and story != m.correlation_id)
        ):
            self._say(
                "journal", "it stands where neither the journal nor the correlation index finds it", m.sequence, m.id
            )

    def _say(self, kind: Any, text: str, sequence: Any, event: str = "") -> None:
        if not isinstance(sequence, int):
            sequence = str(sequence)  # of what is no event it may be any number
        self._report(Difference(kind=kind, text=text, stream=self.stream, sequence=sequence, event=event))


def _is_read(bucket: object, m: Metadata) -> bool:
    """Whether readers of the journal look there for it: it need not be the shard that a newer event would get."""
    return bucket == journal_bucket(m.recorded_at, journal_shard(m.stream)) or any(
        bucket == journal_bucket(m.recorded_at, shard) for shard in range(JOURNAL_SHARDS)
    )
