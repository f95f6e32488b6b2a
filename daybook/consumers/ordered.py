"""How an ordered consumer handles deliveries. A message is only a wake-up message; the events come from the stream.

For each wake-up message the consumer reads the stream from its own cursor, and processes the events in order, each as
one unit of work. It skips events of other types. So wake-up messages may arrive in any order, and some may be lost.

Each transaction also writes the event's row in the ledger, as for any consumer. The cursor guarantees that events are
processed in order and once. The ledger's row guarantees that an event that is committed or discarded is skipped.

A failed event delays only its own stream, at this consumer. While it is retried, only one message continues the stream,
and other wake-up messages end at once. If that message is not redelivered in time, the next wake-up message takes over.
If the event becomes dead, the stream is blocked until an operator sends the event again and it succeeds, or a wake-up
message finds it discarded. A message that continues such a stream processes all waiting events, because their own
wake-up messages may have ended meanwhile.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from daybook.consumers.delivery import Delivery
from daybook.consumers.failure import kind
from daybook.consumers.outcome import Outcome, Verdict
from daybook.consumers.pipeline import Pipeline
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope, Metadata
from daybook.runtime.keyring import keyring
from daybook.store.cursor import ConcurrentWrite, Cursor, Cursors, PendingEvent
from daybook.store.event_store import EventStore
from daybook.store.ledger import TRYING, Ledger, LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.transaction import Backoff

_PAGE_SIZE = 25
"""Events in one read of a stream. A batch has ten messages, and other invocations may process the rest."""


class Step(Protocol):
    """An ordered consumer's step: process the event, and write the cursor in the same transaction.

    Raises ConcurrentWrite if another invocation has written the cursor since it was read.
    """

    def __call__(self, delivery: Delivery, backoff: Backoff, *, cursor: Mapping[str, Any]) -> None: ...


@dataclass
class _StreamDelivery(Delivery):
    """A delivery of an event that was read from the stream. Failed attempts and crashes are counted for the event, even
    if they belong to different messages.
    """

    wake_up_is_suspected: bool

    @property
    def is_suspected(self) -> bool:
        return self.wake_up_is_suspected or bool(self._noted_count("begun"))

    @property
    def age(self) -> float:
        """Seconds since the event's first failure or, for a dead event, since its message was sent again."""
        if self.row is None:
            return 0
        if self.row.state != TRYING:
            return super().age
        return (datetime.now(UTC) - clock.moment(self.row.at)).total_seconds()

    def _noted_count(self, name: str) -> int:
        if self.row is not None and self.row.state == TRYING:
            return int(self.row.details.get(name, 0))
        return super()._noted_count(name)


class Stream:
    """Processes the waiting events of a stream at one ordered consumer: those after its cursor."""

    def __init__(self, consumer: str, store: EventStore, ledger: Ledger, cursors: Cursors) -> None:
        self._consumer = consumer
        self._store = store
        self._ledger = ledger
        self._cursors = cursors

    def ledger_row(self, metadata: Metadata) -> LedgerEntry | None:
        """The ledger row of the stream's next waiting event: it holds the notes, whichever event a message is about."""
        cursor = self._cursors.read(metadata.stream)
        waiting = next(self._events_after(cursor.sequence, metadata), None)
        row = self._ledger.find(waiting.metadata.id, self._consumer) if waiting else None
        return None if row and row.done else row

    def process(self, wake_up: Delivery, pipeline: Pipeline, step: Step) -> None:
        """Process the stream's events until none is left or one must be retried or is dead."""
        first_delivery = wake_up.receive_count == 1
        handled = 0
        more = first = True
        while more:
            cursor = self._cursors.read(wake_up.metadata.stream)
            done = self._position(cursor, wake_up, pipeline)
            if done is None:
                return
            if first and not cursor.pending and first_delivery and wake_up.metadata.sequence <= done:
                break  # later events have wake-up messages of their own
            more = first = False
            for envelope in self._events_after(done, wake_up.metadata):
                continued = cursor.pending is not None
                delivery = self._delivery(wake_up, cursor, envelope)
                verdict, cursor = self._handle(delivery, cursor, pipeline, step)
                if verdict is Verdict.COMMITTED:
                    handled += 1
                    more = more or continued
                elif verdict is Verdict.CURSOR_CHANGED:
                    more = True
                    break
                elif verdict is not Verdict.DUPLICATE:
                    return
        if not handled:
            pipeline.settlement.settle(wake_up, Outcome(verdict=Verdict.DUPLICATE))

    def _position(self, cursor: Cursor, wake_up: Delivery, pipeline: Pipeline) -> int | None:
        """The sequence after which the message may continue the stream; None if it may not."""
        pending = cursor.pending
        if pending is None or pending.allows(wake_up.metadata.id, wake_up.id, wake_up.sent):
            return cursor.sequence
        row = self._ledger.find(pending.event, self._consumer)
        if row and row.done:
            if keyring().proves_row(row.row):
                return pending.sequence
            if pending.reason != LedgerRowNotProven.__name__:
                return cursor.sequence  # the pending event is next, and becomes a dead letter because of this row
        message = "stream blocked" if pending.blocked else "stream waits for retry"
        pipeline.settlement.log.info(message, extra=wake_up.about | {"blocked_by": pending.event})
        return None

    def _handle(
        self, delivery: _StreamDelivery, cursor: Cursor, pipeline: Pipeline, step: Step
    ) -> tuple[Verdict, Cursor]:
        """Handle one event. Returns the cursor as it was last written."""
        outcome = pipeline.check(delivery)
        if outcome is None and delivery.is_suspected:
            # Before the note: if the cursor cannot be written, nothing has begun.
            cursor = self._wait_for(cursor, delivery, seconds=pipeline.remaining())
            if final := pipeline.settlement.note_begin(delivery):
                return final.verdict, cursor
        if outcome is None:
            advanced = cursor.advanced_to(delivery.metadata.sequence)
            outcome = pipeline.attempt(delivery, partial(step, delivery, cursor=self._cursors.part(advanced)))
            cursor = advanced if outcome.verdict is Verdict.COMMITTED else cursor
        outcome = pipeline.settlement.settle(delivery, outcome)
        if outcome.verdict is Verdict.DEAD and not self._block(cursor, delivery, outcome):
            pipeline.settlement.redelivered[delivery.id] = 0  # another invocation has moved the cursor: try again
        elif outcome.verdict is Verdict.RETRY:
            cursor = self._wait_for(cursor, delivery, seconds=outcome.seconds)
        return outcome.verdict, cursor

    def _wait_for(self, cursor: Cursor, delivery: _StreamDelivery, *, seconds: float) -> Cursor:
        """Let only the delivery's message continue the stream, for so many seconds. A blocked stream stays blocked."""
        if cursor.pending and cursor.pending.blocked:
            return cursor
        until = clock.timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
        m = delivery.metadata
        waiting = cursor.waiting_for(PendingEvent(event=m.id, sequence=m.sequence, message=delivery.id, until=until))
        try:
            self._cursors.write(waiting)
        except ConcurrentWrite:
            return cursor
        return waiting

    def _block(self, cursor: Cursor, delivery: _StreamDelivery, outcome: Outcome) -> bool:
        """Block the stream at the dead event. Returns whether the cursor was written."""
        m, error = delivery.metadata, kind(outcome.error) if outcome.error else ""
        blocked = cursor.waiting_for(PendingEvent(event=m.id, sequence=m.sequence, reason=error, since=clock.now()))
        try:
            self._cursors.write(blocked)
        except ConcurrentWrite:
            return False
        return True

    def _delivery(self, wake_up: Delivery, cursor: Cursor, envelope: Envelope) -> _StreamDelivery:
        # An event that was not attempted before has no note.
        attempted = wake_up.receive_count > 1 or cursor.pending is not None
        row = self._ledger.find(envelope.metadata.id, self._consumer) if attempted else None
        record = {**wake_up.record, "body": as_delivered(envelope)}
        return _StreamDelivery(record, envelope.metadata, envelope.data, row, wake_up_is_suspected=wake_up.is_suspected)

    def _events_after(self, sequence: int, metadata: Metadata) -> Iterator[Envelope]:
        """The stream's events of the consumer's type after the sequence. `metadata` names stream and type."""
        events = self._store.stream(metadata.stream, after=sequence, page_size=_PAGE_SIZE)
        return (envelope for envelope in events if envelope.metadata.type == metadata.type)


def as_delivered(envelope: Envelope) -> str:
    """The message body with which EventBridge delivers the event to a queue."""
    m = envelope.metadata
    entry = {"version": "0", "id": m.id, "detail-type": m.type, "source": envelope.source, "time": m.recorded_at}
    return json.dumps(entry | {"detail": json.loads(envelope.detail)}, ensure_ascii=False)
