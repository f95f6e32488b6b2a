"""Publish what is recorded: read the store's stream, put every event on the event bus.

The only function that may put events there. It reads EventBridge's answer entry by entry, tries those again that were
not taken, puts what can never be published aside, and moves on. If all else fails it raises: the batch comes again, and
the duplicates end at the ledger.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import Metrics
from botocore.exceptions import ClientError, ParamValidationError

from backbone import aws, dead_letter, observability
from backbone.envelope import Envelope
from backbone.failure import kind
from backbone.settings import settings
from backbone.store import NotAnEvent, from_item
from backbone.transaction import OutOfTime, Pauses

CONSUMER = "publish"

# EventBridge's quotas for one PutEvents: entries, and bytes (1 MB by now, and 256 KB before).
_MOST_ENTRIES = 10
_MOST_BYTES = 256_000

# What it says of a whole request that no repetition will mend.
_IMPOSSIBLE = {"ValidationException", "ParamValidationError"}

# What EventBridge says of an entry that no repetition will mend
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
    """EventBridge did not take all entries in the time there was. The batch comes again."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One record of the store's stream, and the event in it."""

    record: Mapping[str, Any]
    envelope: Envelope


def handler(batch: Mapping[str, Any], context: Any) -> None:
    """Take a batch of the store's stream. Raises NotPublished, or botocore's errors, if it must come again."""
    publication = _Publication(context)
    try:
        publication.publish(batch["Records"])
    finally:
        observability.flush(publication.metrics)


class _Publication:
    """The publication of one batch."""

    def __init__(self, context: Any) -> None:
        self.metrics: Metrics = observability.metrics(settings().names.stage, CONSUMER)
        self._log = observability.logger(CONSUMER)
        self._bus = settings().names.event_bus
        self._pauses = Pauses(lambda: context.get_remaining_time_in_millis() / 1000)

    def publish(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Put all events of the records on the bus, in the order of the records."""
        for together in _batches(self._events(records)):
            self._put(together)

    def _events(self, records: Sequence[Mapping[str, Any]]) -> Iterator[_Outgoing]:
        for record in records:
            if record["eventName"] != "INSERT":
                self._tampered(record)
                continue
            try:
                envelope = from_item(record["dynamodb"]["NewImage"])
            except NotAnEvent as error:
                self._set_aside(record, type(error).__name__, str(error))
            else:
                yield _Outgoing(record, envelope)

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
                    self._set_aside(event.record, error, "EventBridge will never take this entry", event.envelope)
                else:
                    again.append(event)
            waiting = again
            if waiting:
                self._wait(len(waiting))

    def _put_alone(self, refused: Sequence[_Outgoing], error: str) -> None:
        """EventBridge takes no request with one of these in it: find out which, and put it aside."""
        if len(refused) == 1:
            self._set_aside(refused[0].record, error, "EventBridge will never take this entry", refused[0].envelope)
            return
        for event in refused:
            self._put([event])

    def _wait(self, waiting: int) -> None:
        try:
            self._pauses.pause()
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
        observability.count(self.metrics, observability.PUBLISHED)

    def _set_aside(self, record: Mapping[str, Any], error: str, reason: str, envelope: Envelope | None = None) -> None:
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            json.dumps(record["dynamodb"].get("NewImage", {})),
            consumer=CONSUMER,
            error=error,
            reason=reason,
            event_id=envelope.metadata.id if envelope else None,
            event_type=envelope.metadata.type if envelope else None,
        )
        self._log.error("set aside", extra={"error": error, "record": record["eventID"]})
        observability.count(self.metrics, observability.SET_ASIDE)

    def _tampered(self, record: Mapping[str, Any]) -> None:
        """The store is only ever appended to: whatever else happens to it is not this system's doing."""
        self._log.critical("tampered", extra={"change": record["eventName"], "record": record["eventID"]})
        observability.count(self.metrics, observability.TAMPERED)


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
