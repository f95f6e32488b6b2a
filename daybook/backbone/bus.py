"""Writing to the event bus: a pointer to each event, and the data of shared ones. No other code puts events there.

Only events with a valid proof of origin are published: the others are set aside.

It checks EventBridge's answer for each entry, retries entries that failed, and sends entries that can never be
published to a dead-letter queue. Any other failure is raised: Lambda repeats the invocation, and consumers detect the
duplicates by the ledger.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import ClientError, ParamValidationError

from daybook.consumers import dead_letter
from daybook.consumers.failure import kind
from daybook.contracts.envelope import Envelope
from daybook.runtime import aws, observability
from daybook.runtime.keyring import keyring
from daybook.runtime.settings import settings
from daybook.store.attributes import as_json
from daybook.store.event_store import NotAnEvent, from_item
from daybook.store.limits import PUT_EVENTS_ENTRIES
from daybook.store.transaction import Backoff, OutOfTime

CONSUMER = "publish"

# Below the limit of one PutEvents request, 256 KB (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html).
_MAX_REQUEST_BYTES = 256_000

# Non-retryable errors of a whole request.
_INVALID_REQUEST = {"ValidationException", "ParamValidationError"}

# Non-retryable errors of an entry
# (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html).
_INVALID_ENTRY = {
    "InvalidArgument",
    "MalformedDetail",
    "NoDetailType",
    "NoSource",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "RedactionFailure",
}


class NotPublished(RuntimeError):
    """EventBridge did not accept all entries in time. Lambda repeats the invocation."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item of the store's table, and its name in logs."""

    item: Mapping[str, Any]
    name: str


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """An item of the store's table, and its event."""

    stored: Stored
    envelope: Envelope


class BusWriter:
    """Puts events on the event bus, for one invocation of a function. Use it in a `with` block, which emits metrics.

    `published` and `set_aside` count the published events, and those that can never be published. Dead letters, logs
    and metrics have the consumer name `publish`, in all functions that use this class.
    """

    def __init__(self, context: Any) -> None:
        self.published = 0
        self.set_aside = 0
        self.backoff = Backoff(self.remaining)
        self._context = context
        self._counts = observability.counts(settings().names.stage, CONSUMER)
        self._log = observability.logger(CONSUMER)
        self._bus = settings().names.event_bus
        self._shared = settings().shared_types

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._counts.flush()

    def remaining(self) -> float:
        """Seconds until Lambda ends the invocation."""
        return float(self._context.get_remaining_time_in_millis()) / 1000

    def put(self, items: Iterable[Stored]) -> None:
        """Put the events of these items on the bus, in order. Raises NotPublished and botocore's errors."""
        for batch in _batches(self._readable(items)):
            self._put(batch)

    def tampered(self, change: str, name: str) -> None:
        """Report that an item was changed or deleted. This system only appends items."""
        self._log.critical("tampered", extra={"change": change, "record": name})
        self._counts.count(observability.TAMPERED)

    def _readable(self, items: Iterable[Stored]) -> Iterator[_Outgoing]:
        for stored in items:
            try:
                envelope = from_item(stored.item)
            except NotAnEvent as error:
                self._set_aside(stored, type(error).__name__, str(error))
                continue
            if keyring().proves(envelope, settings().timers):
                yield _Outgoing(stored, envelope)
                continue
            self._log.critical("not proven", extra={"record": stored.name, "writer": envelope.writer})
            self._counts.count(observability.NOT_PROVEN)
            self._set_aside(
                stored, "NotProven", "the event has no valid proof by a writer that may record it", envelope
            )

    def _put(self, waiting: Sequence[_Outgoing]) -> None:
        while waiting:
            try:
                answer = aws.client("events").put_events(Entries=[self._entry(event.envelope) for event in waiting])
            except (ClientError, ParamValidationError) as error:
                if kind(error) not in _INVALID_REQUEST:
                    raise
                self._put_one_by_one(waiting, kind(error))
                return
            failed = []
            for event, result in zip(waiting, answer["Entries"], strict=True):
                code = result.get("ErrorCode")
                if not code:
                    self._published(event.envelope)
                elif code in _INVALID_ENTRY:
                    self._cannot_publish(event, code)
                else:
                    failed.append(event)
            waiting = failed
            if waiting:
                self._wait(len(waiting))

    def _put_one_by_one(self, events: Sequence[_Outgoing], error: str) -> None:
        """Find the events that make a request invalid, and set them aside."""
        if len(events) == 1:
            self._cannot_publish(events[0], error)
            return
        for event in events:
            self._put([event])

    def _wait(self, waiting: int) -> None:
        try:
            self.backoff.wait()
        except OutOfTime as error:
            msg = f"EventBridge did not accept {waiting} entries in time"
            raise NotPublished(msg) from error

    def _entry(self, envelope: Envelope) -> dict[str, str]:
        return {
            "EventBusName": self._bus,
            "Source": envelope.source,
            "DetailType": envelope.metadata.type,
            "Detail": envelope.shared_detail if envelope.metadata.type in self._shared else envelope.detail,
        }

    def _published(self, envelope: Envelope) -> None:
        m = envelope.metadata
        about = {"event_id": m.id, "event_type": m.type, "stream": m.stream, "sequence": m.sequence}
        self._log.info("published", extra=about | {"correlation_id": m.correlation_id})
        self._counts.count(observability.PUBLISHED)
        self.published += 1

    def _cannot_publish(self, event: _Outgoing, error: str) -> None:
        self._set_aside(event.stored, error, "EventBridge cannot accept this entry", event.envelope)

    def _set_aside(self, stored: Stored, error: str, reason: str, envelope: Envelope | None = None) -> None:
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            as_json(stored.item),
            consumer=CONSUMER,
            error=error,
            reason=reason,
            event_id=envelope.metadata.id if envelope else None,
            event_type=envelope.metadata.type if envelope else None,
        )
        self._log.error("set aside", extra={"error": error, "record": stored.name})
        self.set_aside += 1


def _batches(events: Iterable[_Outgoing]) -> Iterator[list[_Outgoing]]:
    """The events in batches, each as large as one request allows, in order."""
    batch: list[_Outgoing] = []
    size = 0
    for event in events:
        if batch and (len(batch) == PUT_EVENTS_ENTRIES or size + event.envelope.size > _MAX_REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.envelope.size
    if batch:
        yield batch
