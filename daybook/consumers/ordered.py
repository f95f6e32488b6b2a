"""How an ordered consumer handles a delivery: as a wake-up message. What it handles comes from the stream.

On a wake-up message it reads the stream from its own cursor, and handles what is there in order, each event as one unit
of work; events of other types are passed over. So neither the order in which wake-up messages arrive matters, nor
whether each of them does.

The processing status of each event is kept as for any consumer: its row in the ledger is written in the same
transaction, beside the cursor. The cursor guards the order, and that nothing is done twice; the row's condition lets a
decision stand that was made meanwhile: an event that is committed or discarded there is passed over.

An event that fails holds its own stream up at this consumer, and no other. While it is retried, one message carries the
stream on, and other wake-up messages end at once; if that one is never redelivered, the next message after its time
takes over. When the event is dead the stream is blocked, until that event is sent again and succeeds, or a message
finds it discarded. A message that sets a stream going again looks until nothing is left, since other messages have
ended meanwhile.
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
from daybook.store.cursor import Cursor, Cursors, Hold, Overtaken
from daybook.store.event_store import EventStore
from daybook.store.ledger import TRYING, Entry, Ledger
from daybook.store.transaction import Pauses


class Attempt(Protocol):
    """An ordered consumer's step: do all that the event asks for, and write the cursor in the same transaction.

    Raises Overtaken if another run has written the cursor since.
    """

    def __call__(self, delivery: Delivery, pauses: Pauses, *, cursor: Mapping[str, Any]) -> None: ...


@dataclass
class _Turn(Delivery):
    """An event of the stream, brought by a wake-up message. Failed attempts and crashes are the event's, whichever
    message had them.
    """

    suspicious: bool  # whether the wake-up message is a suspect

    @property
    def suspect(self) -> bool:
        return self.suspicious

    @property
    def age(self) -> float:
        """Seconds since the event failed first; of one that was dead, since it was sent again."""
        if self.row is None:
            return 0
        if self.row.state != TRYING:
            return super().age
        return (datetime.now(UTC) - clock.moment(self.row.at)).total_seconds()

    def _noted(self, name: str) -> int:
        if self.row is not None and self.row.state == TRYING:
            return int(self.row.details.get(name, 0))
        return super()._noted(name)


class Stream:
    """A stream at one ordered consumer: the events that wait behind the cursor, and handling them."""

    def __init__(self, consumer: str, store: EventStore, ledger: Ledger, cursors: Cursors) -> None:
        self._consumer = consumer
        self._store = store
        self._ledger = ledger
        self._cursors = cursors

    def noted(self, metadata: Metadata) -> Entry | None:
        """The row of the event that the stream waits for: notes stand there, whichever event a message tells of."""
        cursor = self._cursors.read(metadata.stream)
        waiting = next(self._beyond(cursor.sequence, metadata), None)
        row = self._ledger.find(waiting.metadata.id, self._consumer) if waiting else None
        return None if row and row.done else row

    def go_on(self, wake_up: Delivery, pipeline: Pipeline, attempt: Attempt) -> None:
        """Go on with the stream, until nothing is left or an event holds it up."""
        first_news = wake_up.receive_count == 1
        handled = 0
        more = first = True
        while more:
            cursor = self._cursors.read(wake_up.metadata.stream)
            done = self._done(cursor, wake_up, pipeline)
            if done is None:
                return
            if first and not cursor.hold and first_news and wake_up.metadata.sequence <= done:
                break  # what comes after it has wake-up messages of its own
            more = first = False
            for envelope in self._beyond(done, wake_up.metadata):
                released = cursor.hold is not None
                verdict, cursor = self._take(self._turn(wake_up, cursor, envelope), cursor, pipeline, attempt)
                if verdict is Verdict.COMMITTED:
                    handled += 1
                    more = more or released
                elif verdict is Verdict.OVERTAKEN:
                    more = True
                    break
                elif verdict is not Verdict.DUPLICATE:
                    return
        if not handled:
            pipeline.settlement.settle(wake_up, Outcome(verdict=Verdict.DUPLICATE))

    def _done(self, cursor: Cursor, wake_up: Delivery, pipeline: Pipeline) -> int | None:
        """The sequence behind which the message may go on; None if the stream is held up for it."""
        hold = cursor.hold
        if hold is None or hold.lets_through(wake_up.metadata.id, wake_up.id, wake_up.sent):
            return cursor.sequence
        row = self._ledger.find(hold.event, self._consumer)
        if row and row.done:
            return hold.sequence
        pipeline.settlement.log.info("blocked" if hold.parked else "held", extra=wake_up.about | {"by": hold.event})
        return None

    def _take(self, turn: _Turn, cursor: Cursor, pipeline: Pipeline, attempt: Attempt) -> tuple[Verdict, Cursor]:
        """Handle one event. The cursor is then where it has been written."""
        outcome = pipeline.check(turn)
        if outcome is None and turn.suspect:
            if end := pipeline.settlement.accuse(turn):
                return end.verdict, cursor
            cursor = self._held(cursor, turn, seconds=pipeline.remaining())
        if outcome is None:
            moved = cursor.moved(turn.metadata.sequence)
            outcome = pipeline.attempt(turn, partial(attempt, turn, cursor=self._cursors.part(moved)))
            cursor = moved if outcome.verdict is Verdict.COMMITTED else cursor
        outcome = pipeline.settlement.settle(turn, outcome)
        if outcome.verdict is Verdict.DEAD and not self._block(cursor, turn, outcome):
            pipeline.settlement.again[turn.id] = 0  # another run was quicker: the message looks again
        elif outcome.verdict is Verdict.RETRY:
            cursor = self._held(cursor, turn, seconds=outcome.seconds)
        return outcome.verdict, cursor

    def _held(self, cursor: Cursor, turn: _Turn, *, seconds: float) -> Cursor:
        """Let the turn's message alone bring the stream on, for so long. A blocked stream stays blocked."""
        if cursor.hold and cursor.hold.parked:
            return cursor
        until = clock.timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
        held = cursor.held(Hold(event=turn.metadata.id, sequence=turn.metadata.sequence, message=turn.id, until=until))
        try:
            self._cursors.write(held)
        except Overtaken:
            return cursor
        return held

    def _block(self, cursor: Cursor, turn: _Turn, outcome: Outcome) -> bool:
        """Stop the stream at the event that is dead. Returns whether that is done."""
        m, why = turn.metadata, kind(outcome.error) if outcome.error else ""
        hold = Hold(event=m.id, sequence=m.sequence, reason=why, since=clock.now())
        try:
            self._cursors.write(cursor.held(hold))
        except Overtaken:
            return False
        return True

    def _turn(self, wake_up: Delivery, cursor: Cursor, envelope: Envelope) -> _Turn:
        # Of an event that was not attempted before nothing is noted.
        attempted = wake_up.receive_count > 1 or cursor.hold is not None
        row = self._ledger.find(envelope.metadata.id, self._consumer) if attempted else None
        record = {**wake_up.record, "body": as_delivered(envelope)}
        return _Turn(record, envelope.metadata, envelope.data, row, suspicious=wake_up.suspect)

    def _beyond(self, sequence: int, told: Metadata) -> Iterator[Envelope]:
        """The events of the consumer's type in the stream, behind those that are done."""
        events = self._store.stream(told.stream, after=sequence)
        return (envelope for envelope in events if envelope.metadata.type == told.type)


def as_delivered(envelope: Envelope) -> str:
    """The body of a message that delivers the event, as EventBridge puts it into a queue."""
    m = envelope.metadata
    told = {"version": "0", "id": m.id, "detail-type": m.type, "source": envelope.source, "time": m.recorded_at}
    return json.dumps(told | {"detail": json.loads(envelope.detail)}, ensure_ascii=False)
