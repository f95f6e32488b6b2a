"""Proofs of origin: each recorded event, each timer, and each row of the ledger that says that work is done, carries an
HMAC-SHA256 by the key of its writer.

A writer is a consumer, or one of the three below. Each has a key of its own, so that nobody records an event in the
name of another writer.
"""

import hmac
from dataclasses import dataclass, field

ADMIT = "admit"  # records events of external producers
FIRE_TIMERS = "fire-timers"  # records the events of timers that consumers have scheduled
OPERATIONS = "operations"  # the operator's commands

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Writer:
    """A writer: its name, and its key of KEY_BYTES."""

    name: str
    key: bytes = field(repr=False)

    def prove(self, content: bytes) -> bytes:
        """The proof of `content`, the hash of an event, or the canonical form of a timer or a row."""
        return hmac.digest(self.key, content, "sha256")

    def has_proven(self, content: bytes, proof: bytes) -> bool:
        """Whether the proof of `content` is by this writer's key."""
        return hmac.compare_digest(self.prove(content), proof)
