"""Keys of writers in tests, derived from their names, without KMS and without the table of keys."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from daybook.contracts.contract import Event
from daybook.contracts.proof import ADMIT, FIRE_TIMERS, OPERATIONS, Writer
from daybook.runtime.keyring import Keyring
from daybook.store import ledger_keys, ledger_proofs


def writer(name: str) -> Writer:
    """The writer with this name."""
    return Writer(name, hashlib.sha256(f"test key of {name}".encode()).digest())


def proven(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the ledger, with the proof of its consumer."""
    return {**row, **ledger_proofs.prove(row, writer(ledger_keys.split(row["key"])[0]))}


def writer_of(event: type[Event] | None, producer: str) -> Writer:
    """The writer that records events of this type for this producer; None is a type without a contract."""
    if event and event.contract.timer:
        return writer(FIRE_TIMERS)
    if event and producer in event.contract.sources:
        return writer(ADMIT)
    return writer(OPERATIONS if producer == "daybook" else producer)


def use_derived_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all keyrings of this process use these keys."""
    monkeypatch.setattr(Keyring, "_key", lambda _, name: writer(name).key)
