"""The trace of events: what happened, who handled it, and what came of that, as data.

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
from daybook.operate.subscriptions import Subscriptions
from daybook.operate.trace.correlation import collect
from daybook.store.ledger import Entry

# A delivery that the ledger does not know. WAITING: the event is on its way to the consumer, or in its queue.
# UNKNOWN: it is older than what any queue still holds; the consumer has subscribed since, or has lost it.
WAITING = "waiting"
UNKNOWN = "unknown"

# SQS keeps no message longer than 14 days, and EventBridge tries for one day.
_DELIVERED_WITHIN = timedelta(days=15)

# admit's row in the ledger says that an event came in, not that anyone has handled it.
_ADMIT = "admit"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an event at one consumer.

    `state` is the ledger's (`committed` …), or WAITING or UNKNOWN where it has no row; `at` is when, None without a
    row. `emitted` are the ids of the events that came of it: those recorded a moment ago may not be in the trace yet.
    """

    consumer: str
    state: str
    at: str | None
    emitted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One event, and its deliveries: those in the ledger by time, then those it has no row of by name."""

    event: Envelope
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Trace:
    """Events and their deliveries, in the order of recording.

    It is flat: `emitted` of a delivery names the steps that came of it, `step` finds them, and `roots` are the steps
    that no delivery here has emitted. `cut` says that there are more events than were asked for.
    """

    what: str
    steps: tuple[Step, ...]
    cut: bool

    @classmethod
    def of(cls, connection: Connection, what: str, *, most: int = 200) -> Self:
        """The trace of a stream (`order/1001`), of an event or of a correlation, by its id, up to now.

        A stream comes with the correlations that its events belong to, an event with its correlation. `most` limits the
        events read of the stream, and of each correlation. Raises NothingKnown.
        """
        collected = collect(connection, what, most=most)
        subscriptions = Subscriptions.of(connection)
        ledger = connection.ledger
        entries = connection.each(lambda event: ledger.of_event(event.metadata.id), collected.events)
        now = clock.now()
        steps = tuple(
            Step(event, _deliveries(event, rows, subscriptions, now))
            for event, rows in zip(collected.events, entries, strict=True)
        )
        return cls(what, steps, collected.cut)

    @cached_property
    def roots(self) -> tuple[Step, ...]:
        """Where it all began: what came from outside, or was emitted by what is not part of this trace."""
        emitted = {event_id for step in self.steps for delivery in step.deliveries for event_id in delivery.emitted}
        return tuple(step for step in self.steps if step.event.metadata.id not in emitted)

    @cached_property
    def correlations(self) -> tuple[str, ...]:
        """The correlation ids, in the order in which the correlations began."""
        return tuple(self._beginnings)

    @property
    def deliveries(self) -> int:
        """How many deliveries the ledger knows."""
        return sum(delivery.at is not None for step in self.steps for delivery in step.deliveries)

    @property
    def waiting(self) -> int:
        """How many deliveries are under way."""
        return sum(delivery.state == WAITING for step in self.steps for delivery in step.deliveries)

    def step(self, event_id: str) -> Step | None:
        """The step of the event with this id, if it is part of the trace."""
        return self._by_id.get(event_id)

    def since_beginning(self, event: Envelope, at: str) -> timedelta:
        """From the recording of the first event here of the correlation that `event` belongs to, until `at`.

        May be negative by as much as the clocks of two functions differ.
        """
        return clock.moment(at) - clock.moment(self._beginnings[event.metadata.correlation_id])

    def as_data(self, *, with_data: bool = False) -> dict[str, Any]:
        """All of it as what JSON can hold. The events' own data only if asked for, without what is about a person."""
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
    event: Envelope, entries: Sequence[Entry], subscriptions: Subscriptions, now: str
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
