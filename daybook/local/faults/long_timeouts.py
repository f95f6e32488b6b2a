"""Longer timeouts for a function, so that two of its processes can wait for each other, however slow they start."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from daybook.local.system import STAGE
from daybook.runtime.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daybook.local.cloud import Cloud

BARRIER_TIMEOUT = 100.0  # seconds that a call may wait within `long_timeouts`
_TIMEOUT = 120  # seconds


@contextmanager
def long_timeouts(cloud: Cloud, consumer: str) -> Iterator[None]:
    """Set the function's timeout and its queue's visibility timeout to two minutes for the length of the block.

    The function's processes restart at the beginning and at the end: it must have no message in flight then.
    """
    lambda_, sqs, name = cloud.client("lambda"), cloud.client("sqs"), Names(STAGE).of(consumer)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    visibility = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    timeout = lambda_.get_function_configuration(FunctionName=name)["Timeout"]

    def give(seconds: int, attributes: dict[str, str]) -> None:
        lambda_.update_function_configuration(FunctionName=name, Timeout=seconds)
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)

    give(_TIMEOUT, {"VisibilityTimeout": str(_TIMEOUT)})
    try:
        yield
    finally:
        give(timeout, visibility)
