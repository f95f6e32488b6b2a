"""Which dead letters a command is to decide about: those that are named, those of a kind, or all if that is said."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from daybook.operate.connection import Connection
from daybook.operate.dead_letters import index as letters
from daybook.operate.dead_letters.index import Letter, Selection
from daybook.operate.errors import OperatorError

# The contract's limit for a reason.
_LONGEST_REASON = 500  # characters


class NotSaid(OperatorError):
    """The command was not told which letters, or why."""


def chosen(
    connection: Connection,
    ids: Sequence[str] | None,
    selected: Selection,
    *,
    everything: bool,
    first: int | None = None,
) -> Iterable[Letter]:
    """The letters that are meant, read as they are asked for; with `first` only so many, the oldest.

    Raises NotSaid if nothing says which, and NoSuchLetter.
    """
    if ids and not selected.everything:
        msg = "name letters by their ids, or say of which kind they are, not both"
        raise NotSaid(msg)
    if (ids or not selected.everything) and everything:
        msg = "--all means every dead letter of the stage; leave it out, or name no others"
        raise NotSaid(msg)
    if ids:
        named = [letters.named(connection, each) for each in dict.fromkeys(ids)]
        return named if first is None else _oldest(named, first)
    if selected.everything and not everything:
        msg = "say which letters: their ids, of which kind (--consumer, --error, --type, --stream, --since), or --all"
        raise NotSaid(msg)
    found = letters.letters(connection, selected)
    return found if first is None else _oldest(found, first)


def a_reason(reason: str) -> str:
    """The reason, if it can be recorded. Raises NotSaid."""
    if len(reason) > _LONGEST_REASON:
        msg = f"a reason has {_LONGEST_REASON} characters at the most; this one has {len(reason)}"
        raise NotSaid(msg)
    return reason


def number_of(letters_: int) -> str:
    """`1 dead letter`, `2 dead letters`."""
    return "1 dead letter" if letters_ == 1 else f"{letters_} dead letters"


def _oldest(found: Iterable[Letter], number: int) -> Iterator[Letter]:
    return iter(heapq.nsmallest(number, found, key=lambda letter: (letter.at, letter.id)))
