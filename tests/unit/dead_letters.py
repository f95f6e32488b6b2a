"""Dead-letter queues, and the function that records what is in them."""

from collections.abc import Mapping
from typing import Any

import boto3
from moto.backends import get_backend

from daybook.backbone import record_dead_letters
from daybook.testing.world import ACCOUNT, NAMES, REGION, Context

CONSUMER = "open-loan"


def record(*bodies: str, of: str = CONSUMER, attributes: Mapping[str, str] | None = None) -> list[str]:
    """Put messages into the dead-letter queue of the consumer `of`, and run the function. Returns the bodies of those
    that stay in the queue.
    """
    put_dead(*bodies, of=of, attributes=attributes)
    record_dead_letters.handler({}, Context())
    return left(of)


def left(consumer: str) -> list[str]:
    """The bodies of the messages in the consumer's dead-letter queue."""
    queue = get_backend("sqs")[ACCOUNT][REGION].queues[NAMES.dead_letters(consumer)]
    return [message.body for message in queue._messages]  # noqa: SLF001


def put_dead(*bodies: str, of: str = CONSUMER, attributes: Mapping[str, str] | None = None) -> None:
    """Put messages into the dead-letter queue of the consumer `of`."""
    queues, name = get_backend("sqs")[ACCOUNT][REGION], NAMES.dead_letters(of)
    if name not in queues.queues:
        queues.create_queue(name)
    client = boto3.client("sqs", region_name=REGION)
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    values: Any = {key: {"StringValue": value, "DataType": "String"} for key, value in (attributes or {}).items()}
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=values)
