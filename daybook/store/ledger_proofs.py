"""Proofs of the ledger's rows: what says that work is done carries an HMAC by the key of the row's consumer.

Otherwise anybody who can write to the table could have a consumer skip an event. Proven are the processing statuses
*committed* and *discarded*, and cursors. The proof is the row's attribute `proof`.
"""

from collections.abc import Mapping
from typing import Any

from daybook.contracts.envelope import canonical
from daybook.contracts.proof import Writer
from daybook.store import ledger_keys

PROOF = "proof"

# The attributes that a proof covers besides the key, by kind of row.
STATUS = ("state", "at", "emitted", "content_hash", "effect")
_CURSOR = ("sequence", "version", "pending")


class LedgerRowNotProven(Exception):
    """A row of the ledger says that work is done, and has no valid proof. Nothing was processed. Find out whether the
    work was done: then restore the row from a backup, otherwise delete it.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"the ledger's row {key} has no valid proof: its consumer has not written it like this")


def content(row: Mapping[str, Any]) -> bytes:
    """The canonical form of a row, which its proof covers: the key, and those of the covered attributes that it has.

    Raises TypeError for a value that no proven row has.
    """
    key = row["key"]
    covered = STATUS if ledger_keys.is_of_event(key) else _CURSOR
    return canonical({name: row[name] for name in ("key", *covered) if name in row}).encode()


def prove(row: Mapping[str, Any], writer: Writer) -> dict[str, bytes]:
    """The attribute with the proof of this row by its consumer."""
    return {PROOF: writer.prove(content(row))}


def is_proven(row: Mapping[str, Any], consumer: Writer) -> bool:
    """Whether the row carries a proof by its consumer. The row may have any values."""
    proof = row.get(PROOF)
    try:
        return isinstance(proof, bytes) and consumer.has_proven(content(row), proof)
    except (TypeError, ValueError):
        return False
