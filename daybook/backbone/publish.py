"""Publish what is recorded: read the store's stream, put every event on the event bus.

The only function that may put events there. It reads EventBridge's answer entry by entry, tries those again that were
not taken, puts what can never be published aside, and moves on. If all else fails it raises: the batch comes again, and
the duplicates end at the ledger.

DynamoDB keeps the stream for 24 hours. For what is older, publish is invoked with a span of time and takes its events
from the journal instead.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import Metrics
from botocore.exceptions import ClientError, ParamValidationError

from daybook.backbone.republish import Item, Place, items, portions, span_of
from daybook.consumers import dead_letter
from daybook.consumers.failure import kind
from daybook.contracts.envelope import Envelope
from daybook.runtime import aws, observability
from daybook.runtime.settings import settings
from daybook.store.event_store import NotAnEvent, from_item
from daybook.store.journal import Journal, Line, Span
from daybook.store.transaction import OutOfTime, Pauses

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


# A span is left for the next invocation when less time than this remains: a portion of it takes a second or two.
_ENOUGH = 10.0  # seconds


class NotPublished(RuntimeError):
    """EventBridge did not take all entries in the time there was. The batch comes again."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One item of the store, what logs call it, and the event in it."""

    item: Mapping[str, Any]
    name: str
    envelope: Envelope


def handler(request: Mapping[str, Any], context: Any) -> dict[str, Any] | None:
    """Take a batch of the store's stream, or a span of the past: {"since": RFC 3339, "until": RFC 3339}.

    A span is answered with {"published": so many events, "set_aside": so many that can never be, "next": the `since` to
    go on from, or null at its end}.
    Raises NotPublished, or botocore's errors, if it must come again, and BadRange for what is neither.
    """
    publication = _Publication(context)
    try:
        if isinstance(request, Mapping) and "Records" in request:
            publication.publish(request["Records"])
            return None
        following = publication.catch_up(span_of(request))
        return {"next": following, "published": publication.published, "set_aside": publication.set_aside}
    finally:
        observability.flush(publication.metrics)


class _Publication:
    """The publication of one batch, or of part of a span."""

    def __init__(self, context: Any) -> None:
        self.published = 0
        self.set_aside = 0
        self.metrics: Metrics = observability.metrics(settings().names.stage, CONSUMER)
        self._log = observability.logger(CONSUMER)
        self._bus = settings().names.event_bus
        self._context = context
        self._pauses = Pauses(self._remaining)

    def publish(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Put all events of the records on the bus, in the order of the records."""
        for together in _batches(self._events(records)):
            self._put(together)

    def catch_up(self, span: Span) -> str | None:
        """Put the events of the span on the bus, while time remains. Returns where to go on, None at its end."""
        dynamodb, table = aws.client("dynamodb"), settings().names.store
        for number, portion in enumerate(portions(Journal(dynamodb, table), span)):
            # The first is always done: however short the time, whoever goes on gets ahead.
            if number and self._remaining() < _ENOUGH:
                return portion.since
            stored = items(dynamodb, table, portion.lines, self._pauses)
            for together in _batches(self._again(portion.lines, stored)):
                self._put(together)
        return None

    def _remaining(self) -> float:
        return float(self._context.get_remaining_time_in_millis()) / 1000

    def _events(self, records: Sequence[Mapping[str, Any]]) -> Iterator[_Outgoing]:
        for record in records:
            if record["eventName"] != "INSERT":
                self._tampered(record["eventName"], record["eventID"])
            else:
                yield from self._event(record["dynamodb"].get("NewImage", {}), record["eventID"])

    def _again(self, lines: Iterable[Line], stored: Mapping[Place, Item]) -> Iterator[_Outgoing]:
        for line in lines:
            name = f"{line.stream}#{line.sequence}"
            if item := stored.get((line.stream, line.sequence)):
                yield from self._event(item, name)
            else:
                self._tampered("REMOVE", name)

    def _event(self, item: Mapping[str, Any], name: str) -> Iterator[_Outgoing]:
        try:
            yield _Outgoing(item, name, from_item(item))
        except NotAnEvent as error:
            self._set_aside(item, name, type(error).__name__, str(error))

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
        """EventBridge takes no request with one of these in it: find out which, and put it aside."""
        if len(refused) == 1:
            self._never_taken(refused[0], error)
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
        self.published += 1

    def _never_taken(self, event: _Outgoing, error: str) -> None:
        self._set_aside(event.item, event.name, error, "EventBridge will never take this entry", event.envelope)

    def _set_aside(
        self, item: Mapping[str, Any], name: str, error: str, reason: str, envelope: Envelope | None = None
    ) -> None:
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            json.dumps(item),
            consumer=CONSUMER,
            error=error,
            reason=reason,
            event_id=envelope.metadata.id if envelope else None,
            event_type=envelope.metadata.type if envelope else None,
        )
        self._log.error("set aside", extra={"error": error, "record": name})
        observability.count(self.metrics, observability.SET_ASIDE)
        self.set_aside += 1

    def _tampered(self, change: str, name: str) -> None:
        """The store is only ever appended to: whatever else happens to it is not this system's doing."""
        self._log.critical("tampered", extra={"change": change, "record": name})
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
