"""Record dead letters: write each to the ledger, with reason and body, and then let SQS delete it from its queue.

No card number is kept: this function removes those in messages that SQS or EventBridge has moved to such a queue.

An SQS queue cannot be searched, and deletes messages after 14 days. This function receives from all dead-letter queues:
those of the consumers (also used by their rules), of admit, of publish, and of fire-timers.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from daybook.consumers import dead_letter
from daybook.consumers.consumer import backbone
from daybook.consumers.failure import NotRecorded, log_failure
from daybook.contracts import clock
from daybook.contracts.card_numbers import without_card_numbers
from daybook.contracts.card_search import removed_from
from daybook.contracts.envelope import MAX_NUMBER, MAX_TEXT_LENGTH
from daybook.contracts.identity import is_event_id
from daybook.runtime import aws, observability
from daybook.runtime.settings import settings
from daybook.store.ledger import COMMITTED, DEAD, AlreadyDone, LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven

CONSUMER = "record-dead-letters"
# Messages from admit contain the producer's metadata, not this system's.
ADMIT = "admit"

# The limit of a DynamoDB item is 400 KB, including the failed attempts. Larger bodies are stored in the bucket.
MAX_BODY_BYTES = 200_000

_MAX_REASON_LENGTH = 1_000  # characters

# The errors of messages that do not get the row of the event that they name.
_WITHOUT_IDENTITY = frozenset({NotRecorded.__name__, LedgerRowNotProven.__name__})


@dataclass(frozen=True, slots=True)
class _Identity:
    """The event that a message is about."""

    event: str  # the event's id, or a hash of the body if the message has no readable id
    stream: str
    sequence: int
    event_type: str


def handler(batch: Mapping[str, Any], _: Any) -> dict[str, Any]:
    """Handle an SQS batch of one dead-letter queue. Returns the messages that SQS must redeliver."""
    failed = []
    for record in batch["Records"]:
        consumer = _consumer(record["eventSourceARN"])
        metrics = observability.metrics(settings().names.stage, consumer)
        try:
            _record(_without_card_numbers(record), consumer)
        except AlreadyDone:
            observability.logger(CONSUMER).info("already done", extra=_about(record, consumer))
        except Exception as error:  # noqa: BLE001 - any error: this message is redelivered, the others are handled
            log_failure(observability.logger(CONSUMER), _about(record, consumer), error)
            failed.append({"itemIdentifier": record["messageId"]})
        else:
            observability.count(metrics, observability.DEAD_LETTERS_RECORDED)
        observability.flush(metrics)
    return {"batchItemFailures": failed}


def _record(record: Mapping[str, Any], consumer: str) -> None:
    identity = _identify(record, consumer)
    try:
        _write(record, consumer, identity)
    except AlreadyDone as done:
        if consumer != ADMIT or done.row.state != COMMITTED:
            raise
        # The rejected message has the id of an admitted event, so it is recorded under the hash of its body.
        _write(record, consumer, replace(identity, event=_body_hash(record["body"])))


def _write(record: Mapping[str, Any], consumer: str, identity: _Identity) -> None:
    """Write the dead letter to the ledger. Raises AlreadyDone."""
    body = record["body"]
    error, reason = _reason(record, backbone().ledger.find(identity.event, consumer))
    details: dict[str, object] = {"error": error, "reason": reason, "event_type": identity.event_type}
    if is_event_id(named := _attribute(record, "named_event")):
        details["named_event"] = named
    if len(body.encode()) > MAX_BODY_BYTES:
        key = f"dead/{hashlib.sha256(body.encode()).hexdigest()}"
        aws.client("s3").put_object(Bucket=settings().bodies_bucket, Key=key, Body=body.encode())
        details["body_key"] = key
    else:
        details["body"] = body
    backbone().ledger.record_dead(
        LedgerEntry(
            event=identity.event,
            consumer=consumer,
            state=DEAD,
            at=clock.now(),
            stream=identity.stream,
            sequence=identity.sequence,
            details=details,
        )
    )
    observability.logger(CONSUMER).warning(
        "dead letter recorded", extra=_about(record, consumer) | {"event_id": identity.event, "error": error}
    )


def _without_card_numbers(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message without card numbers in its body and its attributes."""
    attributes = {name: _attribute(record, name) for name in record.get("messageAttributes", {})}
    # A body with this attribute has none; what looks like one is a numeric id of the event's contract.
    body = record["body"] if attributes.get(dead_letter.CARD_NUMBERS) else removed_from(record["body"])
    cleaned = {name: {"stringValue": without_card_numbers(text)} for name, text in attributes.items() if text}
    return {**record, "body": body, "messageAttributes": cleaned}


def _consumer(queue_arn: str) -> str:
    """The consumer to which the dead-letter queue belongs."""
    return queue_arn.rpartition(":")[2].removeprefix(settings().names.of("")).removesuffix("-dead")


def _identify(record: Mapping[str, Any], consumer: str) -> _Identity:
    """The event that the message is about: from its attributes, else from its body, else from a hash of its body.

    A message about an event that is not recorded, or whose own row is not proven, does not get the row of the event
    that it names.
    """
    unknown = consumer == ADMIT or _attribute(record, "error") in _WITHOUT_IDENTITY
    metadata = {} if unknown else _metadata(record["body"])
    event_id = _attribute(record, "event_id") or metadata.get("id")
    if not is_event_id(event_id):
        event_id = _body_hash(record["body"])
    stream, sequence = _text(metadata.get("stream")), metadata.get("sequence")
    event_type = _text(_attribute(record, "event_type")) or _text(metadata.get("type"))
    identity = _Identity(str(event_id), "", 0, event_type)
    if stream and type(sequence) is int and 0 < sequence < MAX_NUMBER:
        return replace(identity, stream=stream, sequence=sequence)
    return identity


def _body_hash(body: str) -> str:
    """The id of a message without an event id of its own."""
    return f"body-{hashlib.sha256(body.encode()).hexdigest()}"


def _text(value: object) -> str:
    """The value, if it is a valid Unicode string that is short enough for the metadata; else an empty string."""
    try:
        return value if isinstance(value, str) and len(value.encode()) <= MAX_TEXT_LENGTH else ""
    except UnicodeEncodeError:
        return ""


def _metadata(body: str) -> dict[str, Any]:
    try:
        return dict(json.loads(body)["detail"]["metadata"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _reason(record: Mapping[str, Any], noted: LedgerEntry | None) -> tuple[str, str]:
    """The error and its reason: from the message's attributes, else from EventBridge's, else from the last attempt."""
    if error := _text(_attribute(record, "error")):
        return error, (_attribute(record, "reason") or "no reason given")[:_MAX_REASON_LENGTH]
    if code := _text(_attribute(record, "ERROR_CODE")):
        return code, "EventBridge could not deliver the event to the queue"
    if noted and noted.failed_attempts:
        last = noted.failed_attempts[-1]
        return str(last["error"]), str(last["reason"])
    return (
        "MaxReceiveCount",
        "SQS reached the maximum receive count, and no failure was noted: the process died each time",
    )


def _attribute(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get("messageAttributes", {}).get(name, {}).get("stringValue")
    return value if isinstance(value, str) else None


def _about(record: Mapping[str, Any], consumer: str) -> dict[str, Any]:
    return {"message_id": record["messageId"], "consumer": consumer}
