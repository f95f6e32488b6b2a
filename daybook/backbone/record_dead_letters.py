"""Bury dead letters: note each in the ledger as dead, with reason and body, and only then let its queue forget it.

SQS only carries them: it cannot be searched, and forgets after 14 days. All dead-letter queues end here, those of
consumers and their rules, of admit and of publish.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from daybook.consumers.consumer import backbone
from daybook.consumers.failure import log_failure
from daybook.contracts import clock
from daybook.contracts.envelope import LARGEST_NUMBER, LONGEST_TEXT
from daybook.contracts.identity import is_event_id
from daybook.runtime import aws, observability
from daybook.runtime.settings import settings
from daybook.store.ledger import COMMITTED, DEAD, AlreadyDone, Entry

CONSUMER = "record-dead-letters"
# What it could not admit holds its producer's metadata, not ours.
ADMIT = "admit"

# A DynamoDB item holds 400 KB, tries and all; larger bodies go to the bucket.
MAX_BODY_BYTES = 200_000

_LONGEST_REASON = 1_000  # characters


@dataclass(frozen=True, slots=True)
class _Told:
    """What a message says of itself."""

    event: str  # its event's id, or a hash of the body where there is none to be read
    stream: str
    sequence: int
    event_type: str


def handler(batch: Mapping[str, Any], _: Any) -> dict[str, Any]:
    """Take an SQS batch of one dead-letter queue, and name the messages that must come again."""
    failed = []
    for record in batch["Records"]:
        consumer = _consumer(record["eventSourceARN"])
        metrics = observability.metrics(settings().names.stage, consumer)
        try:
            _bury(record, consumer)
        except AlreadyDone:
            observability.logger(CONSUMER).info("done already", extra=_about(record, consumer))
        except Exception as error:  # noqa: BLE001 - whatever it was, this message comes again and the others go on
            log_failure(observability.logger(CONSUMER), _about(record, consumer), error)
            failed.append({"itemIdentifier": record["messageId"]})
        else:
            observability.count(metrics, observability.BURIED)
        observability.flush(metrics)
    return {"batchItemFailures": failed}


def _bury(record: Mapping[str, Any], consumer: str) -> None:
    told = _read(record, consumer)
    try:
        _file(record, consumer, told)
    except AlreadyDone:
        done = backbone().ledger.find(told.event, consumer)
        if consumer != ADMIT or done is None or done.state != COMMITTED:
            raise
        # It was refused, and so is another event than that which was admitted under this id.
        _file(record, consumer, replace(told, event=_by_body(record["body"])))


def _file(record: Mapping[str, Any], consumer: str, told: _Told) -> None:
    """Note the message as dead under what it tells. Raises AlreadyDone."""
    body = record["body"]
    error, sentence = _reason(record, backbone().ledger.find(told.event, consumer))
    details: dict[str, object] = {"error": error, "reason": sentence, "event_type": told.event_type}
    if len(body.encode()) > MAX_BODY_BYTES:
        key = f"dead/{hashlib.sha256(body.encode()).hexdigest()}"
        aws.client("s3").put_object(Bucket=settings().bodies_bucket, Key=key, Body=body.encode())
        details["body_key"] = key
    else:
        details["body"] = body
    backbone().ledger.bury(
        Entry(
            event=told.event,
            consumer=consumer,
            state=DEAD,
            at=clock.now(),
            stream=told.stream,
            sequence=told.sequence,
            details=details,
        )
    )
    observability.logger(CONSUMER).warning(
        "buried", extra=_about(record, consumer) | {"event_id": told.event, "error": error}
    )


def _consumer(queue_arn: str) -> str:
    """The consumer whose dead-letter queue it is."""
    return queue_arn.rpartition(":")[2].removeprefix(settings().names.of("")).removesuffix("-dead")


def _read(record: Mapping[str, Any], consumer: str) -> _Told:
    """Which event the message is about: by its attributes, else by its body, else by what it is."""
    metadata = {} if consumer == ADMIT else _metadata(record["body"])
    event_id = _attribute(record, "event_id") or metadata.get("id")
    if not is_event_id(event_id):
        event_id = _by_body(record["body"])
    stream, sequence = _text(metadata.get("stream")), metadata.get("sequence")
    event_type = _text(_attribute(record, "event_type")) or _text(metadata.get("type"))
    told = _Told(str(event_id), "", 0, event_type)
    if stream and type(sequence) is int and 0 < sequence < LARGEST_NUMBER:
        return replace(told, stream=stream, sequence=sequence)
    return told


def _by_body(body: str) -> str:
    """What stands for the id of an event that has none, or whose id stands for another."""
    return f"body-{hashlib.sha256(body.encode()).hexdigest()}"


def _text(value: object) -> str:
    """The value, if it is a text that DynamoDB takes, of a length that a part of the metadata can have; else none."""
    try:
        return value if isinstance(value, str) and len(value.encode()) <= LONGEST_TEXT else ""
    except UnicodeEncodeError:
        return ""


def _metadata(body: str) -> dict[str, Any]:
    try:
        return dict(json.loads(body)["detail"]["metadata"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _reason(record: Mapping[str, Any], noted: Entry | None) -> tuple[str, str]:
    """Kind and sentence: by who sent the message here, else by EventBridge, else by the tries that were noted."""
    if error := _text(_attribute(record, "error")):
        return error, (_attribute(record, "reason") or "nothing more was said")[:_LONGEST_REASON]
    if code := _text(_attribute(record, "ERROR_CODE")):
        return code, "EventBridge could not deliver the event to the queue"
    if noted and noted.tries:
        last = noted.tries[-1]
        return str(last["error"]), str(last["reason"])
    return (
        "GivenUp",
        "SQS has delivered the message as often as it may, and nothing was noted: its process died each time",
    )


def _attribute(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get("messageAttributes", {}).get(name, {}).get("stringValue")
    return value if isinstance(value, str) else None


def _about(record: Mapping[str, Any], consumer: str) -> dict[str, Any]:
    return {"message_id": record["messageId"], "of": consumer}
