"""The results of retried dead letters, read from the ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import DeadLetter
from daybook.operate.reading import Pair, entries
from daybook.store import ledger_proofs
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven

DONE = "done"
DEAD_AGAIN = "dead again"
WAS_DISCARDED = "discarded"
NO_LONGER_DEAD = "no longer dead"
IN_PROGRESS = "in progress"
NOT_SENT = "not sent"
SKIPPED = "skipped"  # not sent; `reason` says why

# Without bodies, which may be large.
_READ = ("key", *ledger_proofs.STATUS, ledger_proofs.PROOF, "error", "reason")


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one dead letter, with error and reason if it is dead again or was skipped."""

    dead_letter: DeadLetter
    result: str
    error: str = ""
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: it was processed or discarded."""
        return self.result in {DONE, WAS_DISCARDED, NO_LONGER_DEAD}

    def as_data(self) -> dict[str, Any]:
        about = {name: getattr(self.dead_letter, name) for name in ("id", "event", "consumer", "type")}
        return {**about, "result": self.result, "error": self.error, "reason": self.reason}


def deaths(connection: Connection, dead_letters: Iterable[DeadLetter]) -> dict[Pair, str]:
    """The times of death of the events that these dead letters name, if they are dead under their own ids. Read
    consistently.
    """
    named = {(each.named_event, each.consumer) for each in dead_letters if each.named_event}
    rows = entries(connection, named, _READ) if named else {}
    return {pair: row.at for pair, row in rows.items() if row.state == DEAD}


def results(connection: Connection, dead_letters: Iterable[DeadLetter], died: Mapping[Pair, str]) -> list[Result]:
    """The results so far, read consistently; dead letters whose status has not changed are left out.

    A dead letter that names its event is done when the event is, and its own row is still dead. It is also dead again
    when the event has died under its own id: `died` is what `deaths` returned before the retry.
    """
    by_pair = {(dead_letter.event, dead_letter.consumer): dead_letter for dead_letter in dead_letters}
    named = {pair: (each.named_event, each.consumer) for pair, each in by_pair.items() if each.named_event}
    rows = entries(connection, [*by_pair, *named.values()], _READ)
    found = []
    for pair, dead_letter in by_pair.items():
        result = _result(connection, dead_letter, rows[pair]) if pair in rows else None
        event = rows.get(named[pair]) if pair in named else None
        if result is None and event:
            result = _result_of_event(connection, dead_letter, event, died.get(named[pair]))
        found += [result] if result else []
    return found


def _result(connection: Connection, dead_letter: DeadLetter, row: LedgerEntry) -> Result | None:
    if row.state == DEAD and row.at != dead_letter.at:
        return _dead_again(dead_letter, row)
    if not row.done:
        return None
    if not connection.keyring.proves_row(row.row):
        error = LedgerRowNotProven(row.row["key"])
        return Result(dead_letter, DEAD_AGAIN, type(error).__name__, str(error))
    return Result(dead_letter, DONE if row.state == COMMITTED else WAS_DISCARDED)


def _result_of_event(
    connection: Connection, dead_letter: DeadLetter, event: LedgerEntry, died: str | None
) -> Result | None:
    if event.state == DEAD and event.at != died:
        return _dead_again(dead_letter, event)
    return Result(dead_letter, DONE) if event.done and connection.keyring.proves_row(event.row) else None


def _dead_again(dead_letter: DeadLetter, row: LedgerEntry) -> Result:
    return Result(dead_letter, DEAD_AGAIN, *(str(row.details.get(name, "")) for name in ("error", "reason")))
