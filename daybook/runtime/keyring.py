"""The keys of all writers. A writer proves its events, timers and rows of the ledger, and each reader can check them.

Partition key `writer`: a consumer, or `admit`, `fire-timers` or `operations`. A row holds the writer's key, wrapped by
the stage's KMS key for proofs with the writer's name in the encryption context. The writer creates it at first use; no
code changes or deletes it, so that the events of a consumer that was deleted can still be checked. A process unwraps
each key once.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from daybook.contracts.envelope import Envelope
from daybook.contracts.proof import ADMIT, FIRE_TIMERS, KEY_BYTES, OPERATIONS, Writer
from daybook.runtime import aws
from daybook.runtime.names import Names
from daybook.runtime.settings import settings
from daybook.store import ledger_keys, ledger_proofs
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.schema import Schema
from daybook.store.timers import Timer
from daybook.store.transaction import ConditionFailed, write_item

SCHEMA = Schema("writer")

# What KMS answers to a text that it has not encrypted with this key and this encryption context.
_NOT_WRAPPED = {"InvalidCiphertextException", "IncorrectKeyException"}


class KeyUnusable(RuntimeError):
    """The row of a writer's own key cannot be unwrapped: somebody has changed it. Restore the row from a backup."""


class Keyring:
    """The keys of one stage. `client` makes the client of an AWS service by its name."""

    def __init__(self, names: Names, client: Callable[[str], Any]) -> None:
        self._names = names
        self._client = client
        self._writers: dict[str, Writer] = {}

    def writer(self, name: str) -> Writer:
        """The writer with this name, to record events. Its key is created at first use. Raises KeyUnusable."""
        writer = self.find(name)
        if writer is None:
            self._create(name)
            writer = self.find(name)
        if writer is None:
            msg = f"the row {name} of the table {self._names.keys} cannot be unwrapped; restore it from a backup"
            raise KeyUnusable(msg)
        return writer

    def find(self, name: str) -> Writer | None:
        """The writer with this name, to check its proofs; None if it has no valid key."""
        if name not in self._writers:
            key = self._key(name)
            if key is None:
                return None
            self._writers[name] = Writer(name, key)
        return self._writers[name]

    def proves(self, event: Envelope, timers: Collection[str]) -> bool:
        """Whether the event is unchanged, and proven by a writer that may record it.

        A consumer may record only events that it has emitted itself, and no event of the types `timers`. Of the other
        writers, each can use only its own key, and records in the name of others: of producers, of the consumers that
        have scheduled a timer, and of effects whose outcome an operator knows.
        """
        if event.writer not in {ADMIT, FIRE_TIMERS, OPERATIONS} and (
            event.writer != event.metadata.producer or event.metadata.type in timers
        ):
            return False
        writer = self.find(event.writer)
        return writer is not None and event.is_unchanged and writer.has_proven(event.hash, event.proof)

    def proves_timer(self, timer: Timer, timers: Collection[str]) -> bool:
        """Whether the timer's event is of one of the types `timers`, and the timer is proven by the consumer that it
        names.
        """
        writer = self.find(timer.draft.producer) if timer.draft.type in timers else None
        return writer is not None and writer.has_proven(timer.content, timer.proof)

    def proves_row(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the ledger is proven by the consumer with whose name its key begins."""
        writer = self.find(ledger_keys.split(row["key"])[0])
        return writer is not None and ledger_proofs.is_proven(row, writer)

    def check_row(self, row: Mapping[str, Any]) -> None:
        """Raises LedgerRowNotProven if the row is not proven."""
        if not self.proves_row(row):
            raise LedgerRowNotProven(row["key"])

    def prove_timer(self, timer: Timer) -> Timer:
        """The timer with the proof of the consumer that it names: for tools that change timers."""
        return Timer.proven(timer.draft, timer.place, self.writer(timer.draft.producer))

    def _key(self, name: str) -> bytes | None:
        answer = self._client("dynamodb").get_item(
            TableName=self._names.keys, Key=pack_item({"writer": name}), ConsistentRead=True
        )
        wrapped = unpack_item(answer.get("Item", {})).get("key")
        if not isinstance(wrapped, bytes):
            return None
        try:
            answer = self._client("kms").decrypt(
                KeyId=self._names.proofs_key, CiphertextBlob=wrapped, EncryptionContext=self._context(name)
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_WRAPPED:
                return None
            raise
        key: bytes = answer["Plaintext"]
        return key

    def _create(self, name: str) -> None:
        """Create the key, unless another process has just created it."""
        wrapped = self._client("kms").generate_data_key_without_plaintext(
            KeyId=self._names.proofs_key, NumberOfBytes=KEY_BYTES, EncryptionContext=self._context(name)
        )["CiphertextBlob"]
        with suppress(ConditionFailed):
            write_item(
                self._client("dynamodb").put_item,
                TableName=self._names.keys,
                Item=pack_item({"writer": name, "key": wrapped}),
                ConditionExpression="attribute_not_exists(writer)",
            )

    def _context(self, name: str) -> dict[str, str]:
        return {"consumer": name, "stage": self._names.stage}


@cache
def keyring() -> Keyring:
    """This process's keyring."""
    return Keyring(settings().names, aws.client)
