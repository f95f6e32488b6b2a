"""How an ordered consumer handles a batch: its messages are nudges, and what it handles comes from the stream.

On a nudge it reads the stream from its own cursor, and handles what is there in order, each event as one unit of work;
events of other types are passed over. So the order in which nudges arrive does not matter, nor whether each of them
does.

The account of each event is kept as for any consumer: its row in the ledger is written in the same transaction, beside
the cursor. The cursor guards the order, and that nothing is done twice; the row says what became of the event, and its
condition lets a decision stand that was made meanwhile: what is committed or discarded there is passed over.

An event that fails holds its own stream up at this consumer, and no other. While it is tried again, one message carries
the stream on, and other nudges end quietly; if that one never comes, the next nudge after its time takes over. When the
event is dead the stream is parked, until that event is sent again and succeeds, or a nudge finds it discarded. Who sets
a stream going again looks until nothing is left, for the sake of the nudges that have ended meanwhile.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from daybook.consumers.delivery import ENOUGH, BatchRun, End, Handler, Message
from daybook.consumers.failure import kind
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope, Metadata
from daybook.store.cursor import Cursor, Cursors, Hold, Overtaken
from daybook.store.event_store import EventStore
from daybook.store.ledger import TRYING, Entry, Ledger
from daybook.store.transaction import Pauses


class OrderedHandler(Handler, Protocol):
    """An ordered consumer, as the runtime needs to know it."""

    def handle_in_order(self, metadata: Metadata, data: str, pauses: Pauses, *, moved: Mapping[str, Any]) -> None:
        """Do all that the event asks for, and move the cursor, which is the part `moved` of the same transaction.

        Raises Overtaken if another run was there first, and all that Handler.handle raises.
        """


@dataclass
class _Turn(Message):
    """An event of the stream in the hands of a nudge. Tries and crashes are the event's, whichever nudge had them."""

    suspicious: bool  # whether the nudge is a suspect

    @property
    def tried(self) -> int:
        return self._counted("tried")

    @property
    def crashes(self) -> int:
        return self._counted("crashes")

    @property
    def age(self) -> float:
        """Seconds since the event failed first; of one that was dead, since it was sent again."""
        if self.row is None:
            return 0
        if self.row.state != TRYING:
            return super().age
        return (datetime.now(UTC) - clock.moment(self.row.at)).total_seconds()

    def _counted(self, name: str) -> int:
        if self.row is not None and self.row.state == TRYING:
            return int(self.row.details.get(name, 0))
        return self._noted(name)


class OrderedRun(BatchRun):
    """The handling of one batch of nudges."""

    def __init__(
        self, consumer: OrderedHandler, store: EventStore, ledger: Ledger, cursors: Cursors, context: Any
    ) -> None:
        super().__init__(consumer, ledger, context)
        self._in_order = consumer
        self._store = store
        self._cursors = cursors
        self._why_dead = ""

    def _row(self, metadata: Metadata) -> Entry | None:
        """The row of the event that the stream waits for: notes stand there, whichever event the nudge tells of."""
        cursor = self._cursors.read(metadata.stream)
        waiting = next(self._beyond(cursor.sequence, metadata), None)
        row = self._ledger.find(waiting.metadata.id, self._consumer.name) if waiting else None
        return None if row and row.done else row

    def _handle_in_time(self, message: Message) -> None:
        self._handle(message)  # the time is looked at before each event

    def _handle_suspect(self, message: Message) -> None:
        self._handle(message)  # each event that it brings is noted by itself

    def _handle(self, message: Message) -> None:
        try:
            self._go_on(message)
        except Exception as error:  # noqa: BLE001 - whatever it was, the nudge comes again and the others go on
            self._tell_failure(message.about, error)
            self.again[message.id] = 0

    def _go_on(self, nudge: Message) -> None:
        """Go on with the nudge's stream, until nothing is left or an event holds it up."""
        told = nudge.metadata
        handled = 0
        more = first = True
        while more:
            cursor = self._cursors.read(told.stream)
            done = self._done(cursor, nudge)
            if done is None:
                return
            if first and not cursor.hold and nudge.deliveries == 1 and told.sequence <= done:
                break  # what comes after it has nudges of its own
            more = first = False
            for envelope in self._beyond(done, told):
                released = cursor.hold is not None
                end, cursor = self._take(self._turn(nudge, cursor, envelope), cursor)
                if end is End.COMMITTED:
                    handled += 1
                    more = more or released
                elif end is End.OVERTAKEN:
                    more = True
                    break
                elif end is not End.DUPLICATE:
                    return
        if not handled:
            self._duplicate(nudge)

    def _done(self, cursor: Cursor, nudge: Message) -> int | None:
        """The sequence beyond which the nudge may go on; None if the stream is held up for it."""
        hold = cursor.hold
        if hold is None or hold.lets_through(nudge.metadata.id, nudge.id, nudge.sent):
            return cursor.sequence
        row = self._ledger.find(hold.event, self._consumer.name)
        if row and row.done:
            return hold.sequence
        self._log.info("parked" if hold.parked else "held", extra=nudge.about | {"by": hold.event})
        return None

    def _take(self, turn: _Turn, cursor: Cursor) -> tuple[End, Cursor]:
        """Handle one event. The cursor is then where it has been written."""
        end: End | None = None
        if turn.row and turn.row.done:
            return self._duplicate(turn), cursor
        if self._remaining() < ENOUGH:
            end = self._hand_back(turn)
        elif turn.suspicious:
            end = self._accused(turn)
            cursor = cursor if end else self._held(cursor, turn, seconds=self._remaining())
        if end is None:
            moved = cursor.moved(turn.metadata.sequence)
            act = partial(self._in_order.handle_in_order, turn.metadata, turn.data, moved=self._cursors.part(moved))
            end = self._attempt(turn, act)
            cursor = moved if end is End.COMMITTED else cursor
        if end is End.DEAD:
            self._park(cursor, turn)
        elif end is End.AGAIN:
            cursor = self._held(cursor, turn, seconds=self.again[turn.id])
        return end, cursor

    def _held(self, cursor: Cursor, turn: _Turn, *, seconds: float) -> Cursor:
        """Let the turn's message alone bring the stream on, for so long. What is parked stays parked."""
        if cursor.hold and cursor.hold.parked:
            return cursor
        until = clock.timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
        held = cursor.held(Hold(event=turn.metadata.id, sequence=turn.metadata.sequence, message=turn.id, until=until))
        try:
            self._cursors.write(held)
        except Overtaken:
            return cursor
        return held

    def _park(self, cursor: Cursor, turn: _Turn) -> None:
        """Stop the stream at the event that is dead. If another run was quicker, the message looks again."""
        m = turn.metadata
        hold = Hold(event=m.id, sequence=m.sequence, reason=self._why_dead, since=clock.now())
        try:
            self._cursors.write(cursor.held(hold))
        except Overtaken:
            self.again[turn.id] = 0

    def _bury(self, message: Message, error: Exception) -> End:
        self._why_dead = kind(error)
        return super()._bury(message, error)

    def _turn(self, nudge: Message, cursor: Cursor, envelope: Envelope) -> _Turn:
        # Of an event that has not been tried before nothing is noted.
        tried_before = nudge.deliveries > 1 or cursor.hold is not None
        row = self._ledger.find(envelope.metadata.id, self._consumer.name) if tried_before else None
        record = {**nudge.record, "body": as_delivered(envelope)}
        return _Turn(record, envelope.metadata, envelope.data, row, suspicious=nudge.suspect)

    def _beyond(self, sequence: int, told: Metadata) -> Iterator[Envelope]:
        """The events of the consumer's type in the stream, after those that are done."""
        events = self._store.stream(told.stream, after=sequence)
        return (envelope for envelope in events if envelope.metadata.type == told.type)


def as_delivered(envelope: Envelope) -> str:
    """The body of a message that delivers the event, as EventBridge puts it into a queue."""
    m = envelope.metadata
    told = {"version": "0", "id": m.id, "detail-type": m.type, "source": envelope.source, "time": m.recorded_at}
    return json.dumps(told | {"detail": json.loads(envelope.detail)}, ensure_ascii=False)
