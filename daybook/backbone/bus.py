"""The event bus, and the only code that puts events there.

It reads EventBridge's answer entry by entry, retries entries that were not taken, sends what can never be published to
a dead-letter queue, and goes on. If all else fails it raises: the invocation is repeated, and duplicates end at the
ledger.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aws_lambda_powertools.metrics import Metrics
from botocore.exceptions import ClientError, ParamValidationError

from daybook.consumers import dead_letter
from daybook.consumers.failure import kind
from daybook.contracts.envelope import Envelope
from daybook.runtime import aws, observability
from daybook.runtime.settings import settings
from daybook.store.event_store import NotAnEvent, from_item
from daybook.store.transaction import OutOfTime, Pauses

CONSUMER = "publish"

# EventBridge's quotas for one PutEvents: entries, and bytes (1 MB by now, and 256 KB before).
_MOST_ENTRIES = 10
_MOST_BYTES = 256_000

# What it says of a whole request that no retry will mend.
_IMPOSSIBLE = {"ValidationException", "ParamValidationError"}

# What EventBridge says of an entry that no retry will mend
# (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html).
_FOR_GOOD = {
    "InvalidArgument",
    "MalformedDetail",
    "NoDetailType",
    "NoSource",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "RedactionFailure",
}


class NotPublished(RuntimeError):
    """EventBridge did not take all entries in the time there was. The invocation is repeated."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item of the store, and what logs call it."""

    item: Mapping[str, Any]
    name: str


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """An item of the store, and the event in it."""

    stored: Stored
    envelope: Envelope


class BusWriter:
    """Puts events on the event bus, for one invocation of a function. Use it in a `with` block, which writes metrics.

    `published` and `set_aside` count the events that were put, and those that can never be. Dead letters, logs and
    metrics are those of `publish`, whichever function it is.
    """

    def __init__(self, context: Any) -> None:
        self.published = 0
        self.set_aside = 0
        self.pauses = Pauses(self.remaining)
        self._context = context
        self._metrics: Metrics = observability.metrics(settings().names.stage, CONSUMER)
        self._log = observability.logger(CONSUMER)
        self._bus = settings().names.event_bus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        observability.flush(self._metrics)

    def remaining(self) -> float:
        """Seconds until Lambda ends the invocation."""
        return float(self._context.get_remaining_time_in_millis()) / 1000

    def put(self, items: Iterable[Stored]) -> None:
        """Put the events in these items on the bus, in their order. Raises NotPublished, and botocore's errors."""
        for together in _batches(self._readable(items)):
            self._put(together)

    def tampered(self, change: str, name: str) -> None:
        """Report that an item was changed or deleted: this system only ever appends."""
        self._log.critical("tampered", extra={"change": change, "record": name})
        observability.count(self._metrics, observability.TAMPERED)

    def _readable(self, items: Iterable[Stored]) -> Iterator[_Outgoing]:
        for stored in items:
            try:
                yield _Outgoing(stored, from_item(stored.item))
            except NotAnEvent as error:
                self._set_aside(stored, type(error).__name__, str(error))

    def _put(self, waiting: Sequence[_Outgoing]) -> None:
        while waiting:
            try:
                answer = aws.client("events").put_events(Entries=[self._entry(event.envelope) for event in waiting])
            except (ClientError, ParamValidationError) as refused:
                if kind(refused) not in _IMPOSSIBLE:
                    raise
                self._put_alone(waiting, kind(refused))
                return
            again = []
            for event, result in zip(waiting, answer["Entries"], strict=True):
                error = result.get("ErrorCode")
                if not error:
                    self._published(event.envelope)
                elif error in _FOR_GOOD:
                    self._never_taken(event, error)
                else:
                    again.append(event)
            waiting = again
            if waiting:
                self._wait(len(waiting))

    def _put_alone(self, refused: Sequence[_Outgoing], error: str) -> None:
        """EventBridge takes no request with one of these in it: find out which, and set it aside."""
        if len(refused) == 1:
            self._never_taken(refused[0], error)
            return
        for event in refused:
            self._put([event])

    def _wait(self, waiting: int) -> None:
        try:
            self.pauses.pause()
        except OutOfTime as error:
            msg = f"EventBridge did not take {waiting} entries"
            raise NotPublished(msg) from error

    def _entry(self, envelope: Envelope) -> dict[str, str]:
        return {
            "EventBusName": self._bus,
            "Source": envelope.source,
            "DetailType": envelope.metadata.type,
            "Detail": envelope.detail,
        }

    def _published(self, envelope: Envelope) -> None:
        m = envelope.metadata
        about = {"event_id": m.id, "event_type": m.type, "stream": m.stream, "sequence": m.sequence}
        self._log.info("published", extra=about | {"correlation_id": m.correlation_id})
        observability.count(self._metrics, observability.PUBLISHED)
        self.published += 1

    def _never_taken(self, event: _Outgoing, error: str) -> None:
        self._set_aside(event.stored, error, "EventBridge will never take this entry", event.envelope)

    def _set_aside(self, stored: Stored, error: str, reason: str, envelope: Envelope | None = None) -> None:
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            json.dumps(stored.item),
            consumer=CONSUMER,
            error=error,
            reason=reason,
            event_id=envelope.metadata.id if envelope else None,
            event_type=envelope.metadata.type if envelope else None,
        )
        self._log.error("set aside", extra={"error": error, "record": stored.name})
        observability.count(self._metrics, observability.SET_ASIDE)
        self.set_aside += 1


def _batches(events: Iterable[_Outgoing]) -> Iterator[list[_Outgoing]]:
    """As many events together as one request may hold, in their order."""
    batch: list[_Outgoing] = []
    size = 0
    for event in events:
        if batch and (len(batch) == _MOST_ENTRIES or size + event.envelope.size > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.envelope.size
    if batch:
        yield batch
