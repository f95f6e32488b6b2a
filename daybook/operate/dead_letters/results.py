"""What became of dead letters that were sent again, by the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import DeadLetter
from daybook.operate.reading import entries
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, Entry

DONE = "done"
DEAD_AGAIN = "dead again"
DISCARDED_MEANWHILE = "discarded meanwhile"
DECIDED_BEFORE = "no longer dead"
BEING_TRIED = "being tried"
NOT_SENT = "not sent"
REFUSED = "refused"  # it was not even sent: `reason` says why

# Without bodies, which may be large.
_READ = ("event", "consumer", "state", "at", "error", "reason")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a dead letter, with the error and the reason if it is dead again or was refused."""

    dead_letter: DeadLetter
    result: str
    error: str = ""
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: it is processed, or somebody has decided that it need not be."""
        return self.result in {DONE, DISCARDED_MEANWHILE, DECIDED_BEFORE}

    def as_data(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        dead_letter = {
            "id": self.dead_letter.id,
            "event": self.dead_letter.event,
            "consumer": self.dead_letter.consumer,
        }
        return {
            **dead_letter,
            "type": self.dead_letter.type,
            "result": self.result,
            "error": self.error,
            "reason": self.reason,
        }


def results(connection: Connection, dead_letters: Iterable[DeadLetter]) -> list[Result]:
    """The results there are, read consistently; dead letters whose status has not changed are left out."""
    by_pair = {(dead_letter.event, dead_letter.consumer): dead_letter for dead_letter in dead_letters}
    rows = entries(connection, by_pair, _READ)
    found = (_result(dead_letter, rows[pair]) for pair, dead_letter in by_pair.items() if pair in rows)
    return [each for each in found if each]


def _result(dead_letter: DeadLetter, row: Entry) -> Result | None:
    if row.state == DEAD and row.at != dead_letter.at:
        return Result(dead_letter, DEAD_AGAIN, *(str(row.details.get(name, "")) for name in ("error", "reason")))
    result = {COMMITTED: DONE, DISCARDED: DISCARDED_MEANWHILE}.get(row.state)
    return Result(dead_letter, result) if result else None
