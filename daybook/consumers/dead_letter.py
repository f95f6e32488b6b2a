"""Sending a message to a dead-letter queue, with the reason why it cannot be processed.

The body is unchanged. The reason is in message attributes, and never quotes the body.
"""

from collections.abc import Mapping
from typing import Any

# SQS counts attributes as part of the message's size, so the reason must stay short.
_MOST_TEXT = 1_000  # characters


def send(sqs: Any, queue_url: str, body: str, *, consumer: str, error: str, reason: str, **about: str | None) -> None:
    """Send `body` to the queue. `error` is the kind of error, `reason` a sentence; `about` are further attributes.

    Empty attributes are left out, because SQS does not accept them.
    """
    attributes: Mapping[str, str | None] = {"consumer": consumer, "error": error, "reason": reason, **about}
    sqs.send_message(
        QueueUrl=queue_url,
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": _printable(value)[:_MOST_TEXT]}
            for name, value in attributes.items()
            if value
        },
    )


def _printable(text: str) -> str:
    """The text without control characters, which SQS does not accept (https://www.w3.org/TR/REC-xml/#charsets)."""
    return "".join(character if character.isprintable() else " " for character in text)
