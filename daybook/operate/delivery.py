"""Delivers events of the store to one consumer: into its queue, in the form that its rule would use."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from daybook.application import catalogue
from daybook.contracts.envelope import Envelope
from daybook.operate import queues
from daybook.operate.connection import Connection
from daybook.operate.reading import Place, chunks, stored
from daybook.operate.subscriptions import queue_url
from daybook.store.event_store import NotAnEvent
from daybook.store.event_store import from_item as event_in
from daybook.store.journal import JournalEntry
from daybook.store.limits import SEND_MESSAGES


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one delivery. `error` is the reason if the event is not in the queue."""

    event: JournalEntry
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether it is in the consumer's queue."""
        return self.error is None


class Delivery:
    """Puts events into one consumer's queue. `pause` waits this number of seconds before a rejected message is sent
    again; `before` is called with the number of events before each batch, and may wait.
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
        self._keyring = connection.keyring  # created before threads use it
        self._pause = pause
        self._before = before
        self._common_fields = {"account": connection.account, "region": connection.region, "resources": []}

    def deliver(self, events: Iterable[JournalEntry]) -> Iterator[Outcome]:
        """Put events into the queue in this order, and yield the outcome of each.

        Events are read lazily, so any number is possible. Messages that SQS rejects are sent again a few times. An
        event that is delivered twice is processed once.
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
                    yield Outcome(line, unreadable.get(_place(line), "it is in the journal, but not in the store"))

    def _stored(self, lines: Sequence[JournalEntry]) -> tuple[dict[Place, Envelope], dict[Place, str]]:
        """The events from the store, and the reasons why some cannot be read; by their place."""
        events: dict[Place, Envelope] = {}
        unreadable: dict[Place, str] = {}
        for consistent in (False, True):
            # An event never changes, so an eventually consistent read is right if it finds the event.
            places = [p for p in map(_place, lines) if p not in events and p not in unreadable]
            for place, item in stored(self._connection, places, consistent=consistent).items():
                try:
                    event = event_in(item)
                except NotAnEvent as error:
                    unreadable[place] = f"{error}; it was not written by this system: see the alarm tampered"
                    continue
                if self._keyring.proves(event, catalogue().timers):
                    events[place] = event
                else:
                    unreadable[place] = "it has no valid proof of origin: run `daybook audit check`"
        return events, unreadable

    def _message(self, event: Envelope) -> str:
        """The message that EventBridge would send."""
        m = event.metadata
        head = {
            "version": "0",
            "id": m.id,
            "detail-type": m.type,
            "source": event.source,
            "time": f"{m.recorded_at[:19]}Z",
            **self._common_fields,
        }
        return f'{json.dumps(head).removesuffix("}")}, "detail": {event.detail}}}'


def _place(line: JournalEntry) -> Place:
    return line.stream, line.sequence
