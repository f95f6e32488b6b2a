"""Record dead letters: write each to the ledger, with reason and body, and then delete it from its queue.

No card number is kept: this function removes those in messages that SQS or EventBridge has moved to such a queue.

An SQS queue cannot be searched, and deletes messages after 14 days. This function runs each minute and receives from
all dead-letter queues: those of the consumers (also used by their rules), of admit, of publish, and of fire-timers. An
event source mapping for each of these queues, nearly always empty, would cost about fifteen times as many requests.
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
from daybook.runtime.names import DEAD_LETTERS
from daybook.runtime.queues import queue_urls
from daybook.runtime.settings import settings
from daybook.store.ledger import COMMITTED, DEAD, AlreadyDone, LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.limits import RECEIVE_MESSAGES

CONSUMER = "record-dead-letters"
# Messages from admit contain the producer's metadata, not this system's.
ADMIT = "admit"

# The limit of a DynamoDB item is 400 KB, including the failed attempts. Larger bodies are stored in the bucket.
MAX_BODY_BYTES = 200_000

_MAX_REASON_LENGTH = 1_000  # characters

_MIN_REMAINING = 5_000  # milliseconds, for one batch

# The errors of messages that do not get the row of the event that they name.
_WITHOUT_IDENTITY = frozenset({NotRecorded.__name__, LedgerRowNotProven.__name__})


@dataclass(frozen=True, slots=True)
class _Identity:
    """The event that a message is about."""

    event: str  # the event's id, or a hash of the body if the message has no readable id
    stream: str
    sequence: int
    event_type: str


def handler(_: Mapping[str, Any], context: Any) -> None:
    """Record the messages in the stage's dead-letter queues, until these are empty or the time is nearly over.

    A message that cannot be recorded becomes visible again and is tried by a later run. The alarm `not-recorded` goes
    off if this lasts.
    """
    waiting = {
        name.removesuffix(DEAD_LETTERS): url
        for name, url in queue_urls(aws.client("sqs"), settings().names).items()
        if name.endswith(DEAD_LETTERS)
    }
    while waiting:  # one batch of each queue in turn, so that one with many messages delays no other
        for consumer, url in list(waiting.items()):
            if context.get_remaining_time_in_millis() < _MIN_REMAINING:
                return
            if not _record_batch(consumer, url):
                del waiting[consumer]


def _record_batch(consumer: str, url: str) -> bool:
    """Receive messages of one dead-letter queue, record them, and delete those that are recorded. Returns whether there
    were any.
    """
    log, counts = observability.logger(CONSUMER), observability.counts(settings().names.stage, consumer)
    recorded: list[dict[str, str]] = []
    try:
        messages = (
            aws.client("sqs")
            .receive_message(QueueUrl=url, MaxNumberOfMessages=RECEIVE_MESSAGES, MessageAttributeNames=["All"])
            .get("Messages", [])
        )
    except Exception as error:  # noqa: BLE001 - any error: the next run tries again, other queues are read
        log_failure(log, {"consumer": consumer}, error)
        counts.count(observability.NOT_RECORDED)
        messages = []
    for message in messages:
        try:
            _record(_without_card_numbers(message), consumer)
        except AlreadyDone:
            log.info("already done", extra=_about(message, consumer))
        except Exception as error:  # noqa: BLE001 - any error: this message is tried again, the others are handled
            log_failure(log, _about(message, consumer), error)
            counts.count(observability.NOT_RECORDED)
            continue
        else:
            counts.count(observability.DEAD_LETTERS_RECORDED)
        recorded.append({"Id": str(len(recorded)), "ReceiptHandle": message["ReceiptHandle"]})
    if recorded:
        try:
            answer = aws.client("sqs").delete_message_batch(QueueUrl=url, Entries=recorded)
            for failed in answer.get("Failed", ()):
                log.error("not deleted", extra={"consumer": consumer, "error": failed["Code"]})
                counts.count(observability.NOT_RECORDED)
        except Exception as error:  # noqa: BLE001 - any error: they are received again, and are recorded already
            log_failure(log, {"consumer": consumer}, error)
            counts.count(observability.NOT_RECORDED)
    counts.flush()
    return bool(messages)


def _record(message: Mapping[str, Any], consumer: str) -> None:
    identity = _identify(message, consumer)
    try:
        _write(message, consumer, identity)
    except AlreadyDone as done:
        if consumer != ADMIT or done.row.state != COMMITTED:
            raise
        # The rejected message has the id of an admitted event, so it is recorded under the hash of its body.
        _write(message, consumer, replace(identity, event=_body_hash(message["Body"])))


def _write(message: Mapping[str, Any], consumer: str, identity: _Identity) -> None:
    """Write the dead letter to the ledger. Raises AlreadyDone."""
    body = message["Body"]
    error, reason = _reason(message, backbone().ledger.find(identity.event, consumer))
    details: dict[str, object] = {"error": error, "reason": reason, "event_type": identity.event_type}
    if is_event_id(named := _attribute(message, "named_event")):
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
        "dead letter recorded", extra=_about(message, consumer) | {"event_id": identity.event, "error": error}
    )


def _without_card_numbers(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message without card numbers in its body and its attributes."""
    attributes = {name: _attribute(message, name) for name in message.get("MessageAttributes", {})}
    # A body with this attribute has none; what looks like one is a numeric id of the event's contract.
    body = message["Body"] if attributes.get(dead_letter.CARD_NUMBERS) else removed_from(message["Body"])
    cleaned = {name: {"StringValue": without_card_numbers(text)} for name, text in attributes.items() if text}
    return {**message, "Body": body, "MessageAttributes": cleaned}


def _identify(message: Mapping[str, Any], consumer: str) -> _Identity:
    """The event that the message is about: from its attributes, else from its body, else from a hash of its body.

    A message about an event that is not recorded, or whose own row is not proven, does not get the row of the event
    that it names.
    """
    unknown = consumer == ADMIT or _attribute(message, "error") in _WITHOUT_IDENTITY
    metadata = {} if unknown else _metadata(message["Body"])
    event_id = _attribute(message, "event_id") or metadata.get("id")
    if not is_event_id(event_id):
        event_id = _body_hash(message["Body"])
    stream, sequence = _text(metadata.get("stream")), metadata.get("sequence")
    event_type = _text(_attribute(message, "event_type")) or _text(metadata.get("type"))
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


def _reason(message: Mapping[str, Any], noted: LedgerEntry | None) -> tuple[str, str]:
    """The error and its reason: from the message's attributes, else from EventBridge's, else from the last attempt."""
    if error := _text(_attribute(message, "error")):
        return error, (_attribute(message, "reason") or "no reason given")[:_MAX_REASON_LENGTH]
    if code := _text(_attribute(message, "ERROR_CODE")):
        return code, "EventBridge could not deliver the event to the queue"
    if noted and noted.failed_attempts:
        last = noted.failed_attempts[-1]
        return str(last["error"]), str(last["reason"])
    return (
        "MaxReceiveCount",
        "SQS reached the maximum receive count, and no failure was noted: the process died each time",
    )


def _attribute(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get("MessageAttributes", {}).get(name, {}).get("StringValue")
    return value if isinstance(value, str) else None


def _about(message: Mapping[str, Any], consumer: str) -> dict[str, Any]:
    return {"message_id": message["MessageId"], "consumer": consumer}
