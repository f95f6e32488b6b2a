"""Changes many dead letters, in chunks: their rows change in one transaction with the event that records the operation.

Other operators may change the same dead letters at the same time, and consumers may process them. Those that are no
longer dead are left out; the others are changed.
"""

from collections.abc import Callable, Sequence
from typing import Any

from daybook.contracts.contract import Event
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import DeadLetter, still_dead
from daybook.operate.errors import Unsuccessful
from daybook.operate.operation import OPERATION, Operation
from daybook.store.ledger import LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.transaction import ConditionsFailed

# The contract's limits for one dead letter.
_MAX_CONSUMER_LENGTH, _MAX_ERROR_LENGTH = 64, 256


class NoAnswer(Unsuccessful):
    """The consumer recorded no result while the command waited."""


class RowNotProven(Unsuccessful):
    """A row of the ledger says that work is done, and its consumer has not proven it."""


def check_proven(connection: Connection, row: LedgerEntry) -> None:
    """Raises RowNotProven if the row says that its event is done, and is not proven."""
    if row.done and not connection.keyring.proves_row(row.row):
        raise RowNotProven(
            f"{LedgerRowNotProven(row.row['key'])}. Find out whether the work was done: then restore the row from a "
            "backup, otherwise delete it"
        )


def recorded(dead_letter: DeadLetter) -> RecordedDeadLetter:
    """The dead letter in the form that events record."""
    consumer, error = dead_letter.consumer[:_MAX_CONSUMER_LENGTH], dead_letter.error[:_MAX_ERROR_LENGTH]
    return RecordedDeadLetter(event=dead_letter.event, consumer=consumer, error=error)


def decide(
    connection: Connection,
    operation: Operation,
    dead_letters: Sequence[DeadLetter],
    *,
    event: Callable[[tuple[RecordedDeadLetter, ...]], Event],
    part: Callable[[DeadLetter], dict[str, Any]],
    before_attempt: Callable[[Sequence[DeadLetter]], object] = lambda _: None,
) -> list[DeadLetter]:
    """Change the rows of those dead letters that are still dead, in one transaction with the event that lists them.

    `part` returns the change of one row, if it is still dead. `before_attempt` is called with the dead letters before
    each attempt. Returns those that were changed; the others are no longer dead.
    """
    waiting = list(dead_letters)
    while waiting:
        before_attempt(waiting)
        try:
            operation.commit(
                event(tuple(map(recorded, waiting))), {f"{each.event} {each.consumer}": part(each) for each in waiting}
            )
        except ConditionsFailed as error:
            if error.failed.keys() <= {OPERATION}:
                raise
            waiting = [dead_letter for dead_letter, _ in still_dead(connection, waiting)]
        else:
            return waiting
    return []
