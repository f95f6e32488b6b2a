"""Checks one stream: in order, without gaps, each event proven, and linked by its hash to the event before it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from daybook.contracts import clock
from daybook.contracts.envelope import GENESIS, Envelope, Metadata
from daybook.operate.audit.findings import Difference
from daybook.store.attributes import unpack
from daybook.store.event_store import NotAnEvent, from_item

_HOUR = len("2026-03-01T09")
_LINKED = ("bucket", "position", "correlation")


class Chain:
    """Checks a stream item by item. Only the hash and the time of the last event are held in memory.

    Events recorded outside of `since` to `until` are not checked, but link the events after them. `shards` returns the
    number of the journal's shards in an hour such as `2026-03-01T09`.
    """

    def __init__(
        self,
        stream: str,
        report: Callable[[Difference], None],
        is_proven: Callable[[Envelope], bool],
        shards: Callable[[str], int],
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        self.stream = stream
        self.next = 1
        self._report = report
        self._is_proven = is_proven
        self._shards = shards
        self._since = clock.timestamp(since) if since else ""
        self._until = clock.timestamp(until) if until else "~"  # after all times
        self._hash: bytes | None = GENESIS
        self._recorded_at = ""

    def begin(self, sequence: int, before: Mapping[str, Any] | None) -> None:
        """Begin with this sequence, in the middle of the stream. `before` is the item before it, if it is there.

        The item before it is not checked, but reported if the journal cannot list it, so that nobody else finds it.
        """
        if before is None:
            self.next = max(1, sequence - 1)  # so that the next event reports it as missing
            return
        try:
            event = from_item(before)
        except NotAnEvent:
            self.next, self._hash = sequence, None
            if not {"bucket", "position"} <= before.keys():
                self._report_foreign(sequence - 1)
            return
        if self._is_in_period(event.metadata):
            self._check_indexes(event, before)
        self.next, self._hash, self._recorded_at = sequence, event.hash, event.metadata.recorded_at

    def fits(self, item: Mapping[str, Any]) -> bool:
        """Whether it is the next item of the stream."""
        return bool(unpack(item["sequence"]) == self.next)

    def follow(self, item: Mapping[str, Any]) -> Envelope | None:
        """Check the next item. Returns its event if it is in the period that is checked."""
        sequence = unpack(item["sequence"])
        try:
            event = from_item(item)
        except NotAnEvent:
            self._report_foreign(sequence)
            if sequence == self.next:
                self.next, self._hash = sequence + 1, None
            return None
        m = event.metadata
        in_period = self._is_in_period(m)
        if in_period:
            self._check(event, item)
        self.next, self._hash, self._recorded_at = m.sequence + 1, event.hash, m.recorded_at
        return event if in_period else None

    def _is_in_period(self, m: Metadata) -> bool:
        return self._since <= m.recorded_at < self._until

    def _check(self, event: Envelope, item: Mapping[str, Any]) -> None:
        m = event.metadata
        if m.sequence > self.next:
            missing = f"#{self.next}" if m.sequence == self.next + 1 else f"#{self.next} to #{m.sequence - 1}"
            self._report_difference("chain", f"{missing} before it is missing", m.sequence, m.id)
        elif self._hash not in {None, event.previous}:
            self._report_difference(
                "chain", "it links to another event than the one before it, which was changed", m.sequence, m.id
            )
        if not event.is_unchanged:
            self._report_difference("chain", "its hash does not match its content: it was changed", m.sequence, m.id)
        elif not self._is_proven(event):
            self._report_difference(
                "proof",
                f"it has no valid proof by {event.writer}, or {event.writer} may not record it",
                m.sequence,
                m.id,
            )
        if m.recorded_at < self._recorded_at:
            self._report_difference(
                "chain", "its time of recording is before that of the event before it", m.sequence, m.id
            )
        self._check_indexes(event, item)

    def _check_indexes(self, event: Envelope, item: Mapping[str, Any]) -> None:
        m = event.metadata
        bucket, position, correlation = (unpack(item[name]) if name in item else None for name in _LINKED)
        if (
            position != f"{m.recorded_at}#{m.stream}#{m.sequence:012d}"
            or not self._is_readable(bucket, m)
            or (event.in_correlation_index and correlation != m.correlation_id)
        ):
            self._report_difference("journal", "the journal or the correlation index cannot find it", m.sequence, m.id)

    def _is_readable(self, bucket: object, m: Metadata) -> bool:
        """Whether readers of the journal find it in this partition, in any shard of its hour."""
        hour, _, shard = str(bucket).partition("#")
        try:
            shards = self._shards(m.recorded_at[:_HOUR])
        except (ValueError, OverflowError):  # no time that this system writes
            return False
        return hour == m.recorded_at[:_HOUR] and shard in map(str, range(shards))

    def _report_foreign(self, sequence: Any) -> None:
        self._report_difference("item", f"{NotAnEvent.__doc__}".partition(". ")[0].rstrip("."), sequence)

    def _report_difference(self, kind: Any, text: str, sequence: Any, event: str = "") -> None:
        if not isinstance(sequence, int):
            sequence = str(sequence)  # an item that is not an event may have any number
        self._report(Difference(kind=kind, text=text, stream=self.stream, sequence=sequence, event=event))
