"""Kills a command before or after one of its AWS calls."""

from collections.abc import Callable
from itertools import count, takewhile

from daybook.operate.connection import Connection
from tests.ops.world import STAGE
from tests.unit.faults import die_at_call

# One call, and whether the process is killed after it has taken effect, or before.
Moment = tuple[int | str, bool]


def killed_at(call: int | str, *, after: bool) -> Connection:
    """A connection whose process is killed at one call: this call, from 1, or the first of this name."""
    connection = Connection(STAGE)
    die_at_call(call, after=after, clients=(connection.dynamodb, connection.sqs, connection.lambda_))
    return connection


def killed_at_every_call(dies: Callable[[Moment], bool]) -> int:
    """Call `dies` for each call, before and after it, until nothing is killed. Returns the number of kills."""
    moments = ((number, after) for number in count(1) for after in (False, True))
    return sum(1 for _ in takewhile(dies, moments))
