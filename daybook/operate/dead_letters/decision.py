"""Deciding about dead letters, a chunk at a time: their rows change in one transaction with the event that records it.

Other operators may decide about the same dead letters meanwhile, and consumers may process them: those that are no
longer dead are left out, and the others are decided.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from daybook.contracts.contract import Event
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import DeadLetter, standing
from daybook.operate.errors import Unsuccessful
from daybook.operate.operation import OPERATION, Operation
from daybook.store.transaction import ConditionsFailed

# The contract's limits for one dead letter.
_LONGEST_CONSUMER, _LONGEST_ERROR = 64, 256


class NoAnswer(Unsuccessful):
    """The consumer has not recorded a result for as long as the command waited."""


def named(dead_letters: Iterable[DeadLetter]) -> tuple[RecordedDeadLetter, ...]:
    """The dead letters as events name them."""
    return tuple(
        RecordedDeadLetter(
            event=dead_letter.event,
            consumer=dead_letter.consumer[:_LONGEST_CONSUMER],
            error=dead_letter.error[:_LONGEST_ERROR],
        )
        for dead_letter in dead_letters
    )


def decide(
    connection: Connection,
    operation: Operation,
    dead_letters: Sequence[DeadLetter],
    *,
    event: Callable[[tuple[RecordedDeadLetter, ...]], Event],
    part: Callable[[DeadLetter], dict[str, Any]],
    beside: Callable[[Sequence[DeadLetter]], object] = lambda _: None,
) -> list[DeadLetter]:
    """Change the rows of those dead letters that are dead at this moment, in one transaction with the event that names
    them.

    `part` is what changes a dead letter's row, and holds the condition that it is still dead. `beside` is done with the
    dead letters before each attempt. Returns those that were decided; the others are not dead any more.
    """
    waiting = list(dead_letters)
    while waiting:
        beside(waiting)
        try:
            operation.commit(event(named(waiting)), {f"{each.event} {each.consumer}": part(each) for each in waiting})
        except ConditionsFailed as refused:
            if refused.failed.keys() <= {OPERATION}:
                raise
            waiting = [dead_letter for dead_letter, _ in standing(connection, waiting)]
        else:
            return waiting
    return []
