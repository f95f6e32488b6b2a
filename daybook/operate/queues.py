"""The queues of a stage: finds them, counts their messages, and sends messages."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from daybook.operate.connection import Connection
from daybook.operate.errors import is_not_there
from daybook.operate.polling import attempts
from daybook.operate.reading import batches
from daybook.runtime.queues import message_counts, queue_urls
from daybook.store.limits import SEND_MESSAGES

# The limit of one SendMessageBatch, in bytes.
_MAX_BYTES = 1_048_576


def find_queue(connection: Connection, consumer: str) -> str | None:
    """The URL of the consumer's queue; None if there is none."""
    try:
        return str(connection.sqs.get_queue_url(QueueName=connection.names.of(consumer))["QueueUrl"])
    except ClientError as error:
        if is_not_there(error):
            return None
        raise


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """The numbers of messages `waiting`, `in_flight` and `delayed` in each queue of the stage, by the queue's name
    without the stage. The numbers are SQS's approximations.
    """
    urls = queue_urls(connection.sqs, connection.names)
    return dict(
        zip(urls, connection.each(lambda url: message_counts(connection.sqs, url), list(urls.values())), strict=True)
    )


def send(
    connection: Connection,
    url: str,
    bodies: Sequence[str],
    *,
    delay: int = 0,
    pause: Callable[[float], None] = time.sleep,
) -> list[str | None]:
    """Send messages to a queue, visible after `delay` seconds. Returns for each the reason why SQS rejected it, or
    None.

    Rejected messages are sent again a few times, after `pause` has waited. A message may be delivered twice. Raises
    botocore's errors if a whole request fails.
    """
    errors: list[str | None] = [None] * len(bodies)
    numbers = range(len(bodies))
    for batch in batches(numbers, lambda n: len(bodies[n].encode()), most=SEND_MESSAGES, most_bytes=_MAX_BYTES):
        waiting = batch
        for _ in attempts(pause):
            entries = [{"Id": str(n), "MessageBody": bodies[n], "DelaySeconds": delay} for n in waiting]
            answer = connection.sqs.send_message_batch(QueueUrl=url, Entries=entries)
            accepted = {int(each["Id"]) for each in answer.get("Successful", ())}
            failed = {int(each["Id"]): each for each in answer.get("Failed", ())}
            for number in waiting:
                errors[number] = None if number in accepted else _why(failed.get(number))
            waiting = [n for n in waiting if n not in accepted and not failed.get(n, {}).get("SenderFault")]
            if not waiting:
                break
    return errors


def _why(failure: Mapping[str, Any] | None) -> str:
    if failure is None:
        return "SQS returned no result"
    return f"{failure.get('Code', 'Unknown')}: {failure.get('Message') or 'no reason given'}"
