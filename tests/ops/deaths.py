"""Kills a command before or after one of its AWS calls, with botocore's event system."""

from collections.abc import Callable
from itertools import count, takewhile
from typing import Any

import boto3

from ops.connection import Connection
from tests.ops.world import STAGE

# One call, and whether the process is killed after it has taken effect, or before.
Moment = tuple[int | str, bool]


class Killed(BaseException):
    """The process is gone, at this very instruction."""


def dying(call: int | str, *, after: bool) -> Connection:
    """A connection whose process is killed at one call: the call of that number, from 1, or the first of that name."""
    connection = Connection(STAGE, boto3.Session())
    made: list[str] = []

    def before(model: Any, **_: Any) -> None:
        made.append(model.name)
        if call in {len(made), model.name} and not after:
            raise Killed

    def afterwards(model: Any, **_: Any) -> None:
        if call in {len(made), model.name} and after:
            raise Killed

    for client in (connection.dynamodb, connection.sqs, connection.lambda_):
        client.meta.events.register_first("before-call", before)
        client.meta.events.register_last("after-call", afterwards)
    return connection


def killed_at_every_call(dies: Callable[[Moment], bool]) -> int:
    """Call `dies` with each call's number, before and after, until nothing dies any more. Returns how often it did."""
    moments = ((number, after) for number in count(1) for after in (False, True))
    return sum(1 for _ in takewhile(dies, moments))
