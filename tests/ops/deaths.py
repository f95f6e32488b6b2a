"""The death of a command at any of its calls of AWS, brought about at botocore's event system."""

from collections.abc import Iterator
from typing import Any

from ops.connection import Connection
from tests.ops.world import STAGE


class Killed(BaseException):
    """The process is gone, at this very instruction."""


def dying(number: int, *, after: bool) -> Connection:
    """A connection whose process dies at its call of that number, from 1, before or after it has taken effect."""
    connection = Connection(STAGE)
    made = 0

    def before(**_: Any) -> None:
        nonlocal made
        made += 1
        if made == number and not after:
            raise Killed

    def afterwards(**_: Any) -> None:
        if made == number and after:
            raise Killed

    for client in (connection.dynamodb, connection.sqs, connection.lambda_):
        client.meta.events.register_first("before-call", before)
        client.meta.events.register_last("after-call", afterwards)
    return connection


def moments() -> Iterator[tuple[int, bool]]:
    """Every call, before and after it has taken effect. Whoever is not killed any more has seen all of them."""
    number = 0
    while True:
        number += 1
        yield number, False
        yield number, True
