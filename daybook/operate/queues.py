"""Sending messages to a queue, with each answer looked at."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from daybook.operate.connection import Connection

# SQS's quotas for one SendMessageBatch.
_MOST_ENTRIES = 10
_MOST_BYTES = 1_048_576

_ATTEMPTS = 4
_FIRST_PAUSE = 0.2  # seconds


def send(
    connection: Connection,
    url: str,
    bodies: Sequence[str],
    *,
    delay: int = 0,
    pause: Callable[[float], None] = time.sleep,
) -> list[str | None]:
    """Put messages into a queue, visible after `delay` seconds. For each: why it was not taken, or None.

    What SQS could not take just then is tried again a few times; `pause` waits so many seconds before that. A message
    may come twice, as any message of SQS may. Raises botocore's errors for a request that was refused as a whole.
    """
    errors: list[str | None] = [None] * len(bodies)
    for batch in _batches(bodies):
        waiting = batch
        for attempt in range(_ATTEMPTS):
            if attempt:
                pause(random.uniform(0.5, 1) * _FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311 - only spreads load
            entries = [{"Id": str(n), "MessageBody": bodies[n], "DelaySeconds": delay} for n in waiting]
            answer = connection.sqs.send_message_batch(QueueUrl=url, Entries=entries)
            taken = {int(each["Id"]) for each in answer.get("Successful", ())}
            failed = {int(each["Id"]): each for each in answer.get("Failed", ())}
            for number in waiting:
                errors[number] = None if number in taken else _why(failed.get(number))
            waiting = [n for n in waiting if n not in taken and not failed.get(n, {}).get("SenderFault")]
            if not waiting:
                break
    return errors


def _batches(bodies: Sequence[str]) -> Iterator[list[int]]:
    """The messages' numbers, as many together as one request may hold."""
    batch: list[int] = []
    size = 0
    for number, body in enumerate(bodies):
        length = len(body.encode())
        if batch and (len(batch) == _MOST_ENTRIES or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += length
    if batch:
        yield batch


def _why(failure: Mapping[str, Any] | None) -> str:
    if failure is None:
        return "SQS did not say what became of it"
    return f"{failure.get('Code', 'Unknown')}: {failure.get('Message') or 'no reason given'}"
