"""Sending a message to a dead-letter queue with the reason it cannot be processed.

The body stays as it came. The reason travels beside it as message attributes and never quotes the body.
"""

from collections.abc import Mapping
from typing import Any

# Attributes count towards the size of a message: a reason must not make one too large.
_MOST_TEXT = 1_000  # characters


def send(sqs: Any, queue_url: str, body: str, *, consumer: str, error: str, reason: str, **about: str | None) -> None:
    """Put `body` into the queue. `error` is the kind of failure, `reason` a sentence; `about` what else is known.

    What is empty is left out: SQS takes no empty attribute.
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
    """What SQS takes: no control characters (https://www.w3.org/TR/REC-xml/#charsets)."""
    return "".join(character if character.isprintable() else " " for character in text)
