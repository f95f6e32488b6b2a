"""The register of consumers: all that ever subscribed to events, also those that were removed since.

One row in the ledger's table. The ledger has no list of the consumers that have a row for an event, so readers ask the
register, and then read the rows by their keys. control-consumers compares the register with the rules each minute.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from daybook.contracts import clock
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.transaction import ConditionFailed, write_item

# Functions of the backbone that have rows in the ledger: admit for each event, the others for dead letters.
BACKBONE = ("admit", "fire-timers", "publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A consumer in the register. `types` are all types of events that it ever subscribed to, `since` is the time at
    which it was first seen. `until` is when its rule was first missed, or empty while it has one.
    """

    types: tuple[str, ...]
    since: str
    until: str = ""


class Register:
    """Reads and writes a stage's register. `table` is the ledger's table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def read(self) -> dict[str, Registration]:
        """The registered consumers, by name. A consistent read."""
        return self._read()[0]

    def update(self, subscribed: Mapping[str, Collection[str]]) -> dict[str, Registration]:
        """Register the consumers that now subscribe, with their types of events. Returns the registered consumers.

        Another process may do the same at the same time. Then its result counts, and the next run corrects it.
        """
        registered, version = self._read()
        now = clock.now()
        new = {
            name: replace(known, until=known.until or now) if name not in subscribed else known
            for name, known in registered.items()
        }
        for name, types in subscribed.items():
            known = registered.get(name, Registration(types=(), since=now))
            new[name] = replace(known, types=tuple(sorted({*known.types, *types})), until="")
        if new != registered:
            self._write(new, version)
        return new

    def _read(self) -> tuple[dict[str, Registration], int]:
        answer = self._dynamodb.get_item(
            TableName=self._table, Key=pack_item(ledger_keys.REGISTER), ConsistentRead=True
        )
        row = unpack_item(answer.get("Item", {}))
        consumers = {
            name: Registration(types=tuple(each["types"]), since=each["since"], until=each["until"])
            for name, each in row.get("consumers", {}).items()
        }
        return consumers, row.get("version", 0)

    def _write(self, consumers: Mapping[str, Registration], version: int) -> None:
        values = {"consumers": {name: asdict(each) for name, each in sorted(consumers.items())}, "version": version + 1}
        with suppress(ConditionFailed):
            write_item(
                self._dynamodb.put_item,
                TableName=self._table,
                Item=pack_item(ledger_keys.REGISTER | values),
                ConditionExpression="attribute_not_exists(#version) OR #version = :read",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":read": pack(version)},
            )
