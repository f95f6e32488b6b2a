"""Deciding about dead letters, a chunk at a time: what is noted on their rows, and the event that tells of it, are one.

Others may decide about the same letters meanwhile, and consumers may handle them: whatever is no longer dead is left
out, and the rest is decided.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from daybook.contracts.contract import Event
from daybook.contracts.operations import MOST_LETTERS
from daybook.contracts.operations import Letter as Named
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import Letter, standing
from daybook.operate.operation import OPERATION, Operation
from daybook.store.transaction import Refused

# The contract's limits for one letter.
_LONGEST_CONSUMER, _LONGEST_ERROR = 64, 256


def chunks(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """As many letters together as one event may name."""
    waiting = iter(letters)
    while some := list(islice(waiting, MOST_LETTERS)):
        yield some


def named(letters: Iterable[Letter]) -> tuple[Named, ...]:
    """The letters as events name them."""
    return tuple(
        Named(event=letter.event, consumer=letter.consumer[:_LONGEST_CONSUMER], error=letter.error[:_LONGEST_ERROR])
        for letter in letters
    )


def decide(
    connection: Connection,
    operation: Operation,
    letters: Sequence[Letter],
    *,
    event: Callable[[tuple[Named, ...]], Event],
    part: Callable[[Letter], dict[str, Any]],
    beside: Callable[[Sequence[Letter]], object] = lambda _: None,
) -> list[Letter]:
    """Change the rows of those letters that are dead at this moment, in one transaction with the event that names them.

    `part` is what changes a letter's row, and holds the condition that it is still dead. `beside` is done with the
    letters before each attempt. Returns those that were decided; the others are not dead any more.
    """
    waiting = list(letters)
    while waiting:
        beside(waiting)
        try:
            operation.commit(
                event(named(waiting)), {f"{letter.event} {letter.consumer}": part(letter) for letter in waiting}
            )
        except Refused as refused:
            if refused.failed.keys() <= {OPERATION}:
                raise
            waiting = [letter for letter, _ in standing(connection, waiting)]
        else:
            return waiting
    return []
