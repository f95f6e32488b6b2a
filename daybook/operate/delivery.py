"""Delivering events of the store to one consumer: into its queue, in the form in which its rule would put them."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from daybook.contracts.envelope import Envelope
from daybook.operate import queues
from daybook.operate.connection import Connection
from daybook.operate.reading import Place, chunks, stored
from daybook.operate.subscriptions import queue_url
from daybook.store.event_store import NotAnEvent
from daybook.store.event_store import from_item as event_in
from daybook.store.journal import Line
from daybook.store.limits import SEND_MESSAGES


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one delivery: the event is in the queue, or not, with the reason."""

    event: Line
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether it is in the consumer's queue."""
        return self.error is None


class Delivery:
    """Puts events into one consumer's queue. `pause` waits that many seconds before a message that SQS rejected is sent
    again; `before` is called with the number of events before they are sent, and may wait.
    """

    def __init__(
        self,
        connection: Connection,
        consumer: str,
        *,
        pause: Callable[[float], None] = time.sleep,
        before: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Raises UnknownConsumer."""
        self._connection = connection
        self._url = queue_url(connection, consumer)
        self._pause = pause
        self._before = before
        self._everywhere = {"account": connection.account, "region": connection.region, "resources": []}

    def deliver(self, events: Iterable[Line]) -> Iterator[Outcome]:
        """Put events into the queue, in their order, just as the consumer's rule would, and yield the outcome of each.

        Events are read as they are needed, so that there may be any number. Messages that SQS could not take are sent
        again a few times. The ledger makes sure that an event that is delivered twice is processed once.
        """
        for lines in chunks(events):
            found, unreadable = self._stored(lines)
            for batch in chunks((line for line in lines if _place(line) in found), SEND_MESSAGES):
                self._before(len(batch))
                bodies = [self._message(found[_place(line)]) for line in batch]
                errors = queues.send(self._connection, self._url, bodies, pause=self._pause)
                yield from (Outcome(line, error) for line, error in zip(batch, errors, strict=True))
            for line in lines:
                if _place(line) not in found:
                    yield Outcome(line, unreadable.get(_place(line), "it is in the journal, and not in the store"))

    def _stored(self, lines: Sequence[Line]) -> tuple[dict[Place, Envelope], dict[Place, str]]:
        """The events as the store has them, and why some cannot be read; by their place."""
        events: dict[Place, Envelope] = {}
        unreadable: dict[Place, str] = {}
        for consistent in (False, True):
            # An event is never changed, so that the cheaper way of reading is right as soon as it finds it.
            places = [p for p in map(_place, lines) if p not in events and p not in unreadable]
            for place, item in stored(self._connection, places, consistent=consistent).items():
                try:
                    events[place] = event_in(item)
                except NotAnEvent as error:
                    unreadable[place] = f"{error}; it was not written by this system: look at the alarm on tampering"
        return events, unreadable

    def _message(self, event: Envelope) -> str:
        """The message that EventBridge makes of the event. The detail stays to the dead letter what was stored."""
        m = event.metadata
        head = {
            "version": "0",
            "id": m.id,
            "detail-type": m.type,
            "source": event.source,
            "time": f"{m.recorded_at[:19]}Z",
            **self._everywhere,
        }
        return f'{json.dumps(head).removesuffix("}")}, "detail": {event.detail}}}'


def _place(line: Line) -> Place:
    return line.stream, line.sequence
