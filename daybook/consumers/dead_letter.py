"""Sending a message to a dead-letter queue, with the reason why it cannot be processed.

The body is unchanged, except that card numbers are removed. The reason is in message attributes, and never quotes the
body.
"""

from collections.abc import Mapping
from typing import Any

from daybook.contracts.card_numbers import without_card_numbers
from daybook.contracts.card_search import removed_from
from daybook.contracts.contract import Event

# SQS counts attributes as part of the message's size, so the reason must stay short.
_MAX_ATTRIBUTE_LENGTH = 1_000  # characters
# An attribute of messages that this module has sent: card numbers are removed, and numeric ids of the contract are not.
CARD_NUMBERS = "card_numbers"
_REMOVED = "removed"


def send(
    sqs: Any,
    queue_url: str,
    body: str,
    *,
    consumer: str,
    error: str,
    reason: str,
    contract: type[Event] | None = None,
    **about: str | None,
) -> None:
    """Send `body` to the queue, without card numbers. `error` is the kind of error, `reason` a sentence; `contract` is
    the event's contract, if it is known; `about` are further attributes.

    Empty attributes are left out, because SQS does not accept them.
    """
    attributes: Mapping[str, str | None] = {"consumer": consumer, "error": error, "reason": reason, **about}
    attributes = {**attributes, CARD_NUMBERS: _REMOVED}
    sqs.send_message(
        QueueUrl=queue_url,
        MessageBody=removed_from(body, contract),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": _printable(without_card_numbers(value))[:_MAX_ATTRIBUTE_LENGTH]}
            for name, value in attributes.items()
            if value
        },
    )


def _printable(text: str) -> str:
    """The text without control characters, which SQS does not accept (https://www.w3.org/TR/REC-xml/#charsets)."""
    return "".join(character if character.isprintable() else " " for character in text)
