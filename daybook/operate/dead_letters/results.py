"""How dead letters fare that were sent again: as the ledger says, looked at until each has come to an end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import Letter
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED
from daybook.store.transaction import Pauses, batch_get

DONE = "done"
DEAD_AGAIN = "dead again"
DISCARDED_MEANWHILE = "discarded meanwhile"
DECIDED_BEFORE = "no longer dead"
BEING_TRIED = "being tried"
NOT_SENT = "not sent"
REFUSED = "refused"  # it was not even tried: `reason` says why

# DynamoDB's quota for one BatchGetItem.
_MOST_READS = 100
# For how long keys are asked for again that DynamoDB had no time for.
_PATIENCE = 60.0  # seconds
# Without bodies, which may be large. All but `event` and `consumer` are DynamoDB's words or may be.
_READ = ("event", "consumer", "state", "at", "error", "reason")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a letter, and of one that is dead again, or was refused, why."""

    letter: Letter
    fate: str
    error: str = ""
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: it is done, or somebody has decided that it need not be."""
        return self.fate in {DONE, DISCARDED_MEANWHILE, DECIDED_BEFORE}

    def as_data(self) -> dict[str, Any]:
        """It as what JSON can hold."""
        letter = {"id": self.letter.id, "event": self.letter.event, "consumer": self.letter.consumer}
        return {**letter, "type": self.letter.type, "fate": self.fate, "error": self.error, "reason": self.reason}


def fates(connection: Connection, letters: Iterable[Letter]) -> list[Fate]:
    """The letters that have come to an end, read consistently; those that are as dead as before are left out."""
    waiting = iter(letters)
    found: list[Fate] = []
    names = {f"#{name}": name for name in _READ}
    while some := list(islice(waiting, _MOST_READS)):
        by_key = {(letter.event, letter.consumer): letter for letter in some}
        keys = [pack_item({"event": event, "consumer": consumer}) for event, consumer in by_key]
        request: Mapping[str, Any] = {
            connection.names.ledger: {
                "Keys": keys,
                "ConsistentRead": True,
                "ProjectionExpression": ", ".join(names),
                "ExpressionAttributeNames": names,
            }
        }
        for _, item in batch_get(connection.dynamodb, request, Pauses(lambda: _PATIENCE)):
            row = unpack_item(item)
            if fate := _fate(by_key[row["event"], row["consumer"]], row):
                found.append(fate)
    return found


def _fate(letter: Letter, row: Mapping[str, Any]) -> Fate | None:
    match row["state"]:
        case state if state == COMMITTED:
            return Fate(letter, DONE)
        case state if state == DISCARDED:
            return Fate(letter, DISCARDED_MEANWHILE)
        case state if state == DEAD and row["at"] != letter.at:
            return Fate(letter, DEAD_AGAIN, str(row.get("error", "")), str(row.get("reason", "")))
    return None
