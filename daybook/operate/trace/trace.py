"""The trace of events as data: events, their deliveries to consumers, and the events that these emitted.

trace = Trace.of(connection, "order/1001")
for step in trace.steps:
    print(step.event.metadata.type, [delivery.consumer for delivery in step.deliveries])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.masking import shown
from daybook.operate.registered import KnownConsumers
from daybook.operate.subscriptions import Subscriptions
from daybook.operate.trace.correlation import collect
from daybook.store.ledger import LedgerEntry

# A delivery without a ledger row. WAITING: the event is on its way to the consumer, or in its queue.
# UNKNOWN: the event is too old to be in a queue; the consumer subscribed later, or the event was lost.
WAITING = "waiting"
UNKNOWN = "unknown"

# SQS keeps a message for at most 14 days, and EventBridge retries for one day.
_DELIVERED_WITHIN = timedelta(days=15)

# The row of admit records that an event was admitted, not that a consumer has handled it.
_ADMIT = "admit"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an event to one consumer.

    `state` is the processing status in the ledger (`committed` …), or WAITING or UNKNOWN without a row; `at` is its
    time, None without a row. `emitted` are the ids of the emitted events; the newest may not be in the trace yet.
    """

    consumer: str
    state: str
    at: str | None
    emitted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One event and its deliveries: first those with a ledger row, by time, then the others, by name."""

    event: Envelope
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Trace:
    """Events and their deliveries, in the order of recording.

    It is a flat list: `emitted` of a delivery has the ids of the following steps, `step` finds them, and `roots` are
    the steps that no delivery in the trace has emitted. `cut`: there are more events than the limit.
    """

    what: str
    steps: tuple[Step, ...]
    cut: bool

    @classmethod
    def of(cls, connection: Connection, what: str, *, most: int = 200) -> Self:
        """The trace of a stream (`order/1001`), of an event id, or of a correlation id.

        It includes the correlations of all events of the stream, or of the event. `most` limits the number of events of
        the stream and of each correlation. Raises NothingFound.
        """
        collected = collect(connection, what, most=most)
        subscriptions = Subscriptions.of(connection)
        about = [(event.metadata.id, event.metadata.type) for event in collected.events]
        rows = KnownConsumers.of(connection).rows_of_all(about)
        now = clock.now()
        steps = tuple(
            Step(event, _deliveries(event, rows.get(event.metadata.id, ()), subscriptions, now))
            for event in collected.events
        )
        return cls(what, steps, collected.cut)

    @cached_property
    def roots(self) -> tuple[Step, ...]:
        """The first steps: events from outside, or emitted by a delivery that is not in the trace."""
        emitted = {event_id for step in self.steps for delivery in step.deliveries for event_id in delivery.emitted}
        return tuple(step for step in self.steps if step.event.metadata.id not in emitted)

    @cached_property
    def correlations(self) -> tuple[str, ...]:
        """The correlation ids, in the order of their first events."""
        return tuple(self._beginnings)

    @property
    def deliveries(self) -> int:
        """The number of deliveries with a ledger row."""
        return sum(delivery.at is not None for step in self.steps for delivery in step.deliveries)

    @property
    def waiting(self) -> int:
        """The number of deliveries without a result."""
        return sum(delivery.state == WAITING for step in self.steps for delivery in step.deliveries)

    def step(self, event_id: str) -> Step | None:
        """The step of the event with this id, if it is in the trace."""
        return self._by_id.get(event_id)

    def since_beginning(self, event: Envelope, at: str) -> timedelta:
        """The duration from the first event of the correlation of `event` until `at`.

        It may be negative if the clocks of two functions differ.
        """
        return clock.moment(at) - clock.moment(self._beginnings[event.metadata.correlation_id])

    def as_data(self, *, with_data: bool = False) -> dict[str, Any]:
        """The trace as JSON data. `with_data` includes the data of events, with personal fields hidden."""
        return {
            "what": self.what,
            "cut": self.cut,
            "events": [self._step_as_data(step, with_data=with_data) for step in self.steps],
            "summary": {"events": len(self.steps), "deliveries": self.deliveries, "waiting": self.waiting},
        }

    def _step_as_data(self, step: Step, *, with_data: bool) -> dict[str, Any]:
        m = step.event.metadata
        event: dict[str, Any] = {
            "id": m.id,
            "type": m.type,
            "version": m.version,
            "stream": m.stream,
            "sequence": m.sequence,
            "time": m.time,
            "recorded_at": m.recorded_at,
            "after_ms": self._milliseconds(step.event, m.recorded_at),
            "correlation_id": m.correlation_id,
            "causation_id": m.causation_id,
            "producer": m.producer,
        }
        if with_data:
            event["data"] = shown(step.event)
        event["deliveries"] = [
            {
                "consumer": delivery.consumer,
                "state": delivery.state,
                "at": delivery.at,
                "after_ms": self._milliseconds(step.event, delivery.at) if delivery.at else None,
                "emitted": list(delivery.emitted),
            }
            for delivery in step.deliveries
        ]
        return event

    def _milliseconds(self, event: Envelope, at: str) -> int:
        return round(self.since_beginning(event, at) / timedelta(milliseconds=1))

    @cached_property
    def _by_id(self) -> dict[str, Step]:
        return {step.event.metadata.id: step for step in self.steps}

    @cached_property
    def _beginnings(self) -> dict[str, str]:
        beginnings: dict[str, str] = {}
        for step in self.steps:
            m = step.event.metadata
            beginnings.setdefault(m.correlation_id, m.recorded_at)
        return beginnings


def _deliveries(
    event: Envelope, entries: Sequence[LedgerEntry], subscriptions: Subscriptions, now: str
) -> tuple[Delivery, ...]:
    m = event.metadata
    handled = [
        Delivery(entry.consumer, entry.state, entry.at, tuple(entry.emitted))
        for entry in sorted(entries, key=lambda entry: (entry.at, entry.consumer))
        if entry.consumer != _ADMIT
    ]
    known = {delivery.consumer for delivery in handled}
    fresh = clock.moment(now) - clock.moment(m.recorded_at) < _DELIVERED_WITHIN
    missing = [
        Delivery(consumer, WAITING if fresh else UNKNOWN, None, ())
        for consumer in subscriptions.consumers(event.source, m.type)
        if consumer not in known
    ]
    return (*handled, *missing)
