"""Generations of a view: it is rebuilt beside the one that people read, which it then replaces.

The rows of the first generation stand under their plain keys, those of generation 2 under `@2/<key>`, all in one table.
One more row, `@generation`, says which of them is live, and which is being built. Functions write both; readers read
the live one (LiveView).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.state import KEY, State

# The row that says which generation is live. No row of a view may have a key that begins as this does.
RESERVED = "@"
POINTER = "@generation"

R = TypeVar("R", bound=State)


@dataclass(frozen=True, slots=True)
class Generations:
    """What stands in a view's table: the generation that people read, and one that is being built beside it.

    `last` is the highest number that was ever given, so that none is given twice; `version` counts how often this was
    written; `operation` is the act of the operator who builds.
    """

    live: int = 0
    building: int | None = None
    last: int = 0
    version: int = 0
    operation: str = ""

    @classmethod
    def in_item(cls, item: Mapping[str, Any] | None) -> Self:
        """What the pointer's item says; without one, there is but the first generation."""
        if item is None:
            return cls()
        values = unpack_item(item)
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})

    @property
    def written(self) -> tuple[int, ...]:
        """The generations that functions write to."""
        return (self.live,) if self.building is None else (self.live, self.building)

    def part(self, table: str) -> dict[str, Any]:
        """The part of a transaction that writes the pointer, if nobody has since the version before was read."""
        values = {name: getattr(self, name) for name in self.__slots__}
        put: dict[str, Any] = {
            "TableName": table,
            "Item": pack_item({KEY: POINTER, **values}),
            "ConditionExpression": "attribute_not_exists(#version)",
            "ExpressionAttributeNames": {"#version": "version"},
        }
        if self.version > 1:
            put["ConditionExpression"] = "#version = :read"
            put["ExpressionAttributeValues"] = {":read": pack(self.version - 1)}
        return {"Put": put}


def generation_name(table: str, generation: int, operation: str) -> str:
    """What the ledger notes of an event that was written to a generation while that was being built, in this act of an
    operator's: a table that is lost and made again begins to count again.
    """
    return f"{table}@{generation}:{operation}"


def row_id(generation: int, key: str) -> str:
    """Under which id a row stands in its table."""
    return f"{_prefix(generation)}{key}"


def row_key(generation: int, stands_under: str) -> str | None:
    """The key of a row of this generation that stands under that id; None for a row of another, and for the pointer."""
    if generation:
        prefix = _prefix(generation)
        return stands_under.removeprefix(prefix) if stands_under.startswith(prefix) else None
    return None if stands_under.startswith(RESERVED) else stands_under


def _prefix(generation: int) -> str:
    return f"{RESERVED}{generation}/" if generation else ""


class LiveView:
    """Reads a view as people should see it: the generation that is live at this moment.

    `dynamodb` is a client of botocore or boto3, `table` the view's deployed name.
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def row(self, row: type[R], key: str) -> R | None:
        """The row with that key, read consistently, or None.

        Rows of a generation that was live a moment ago are kept for longer than this takes.
        """
        live = Generations.in_item(self._item(POINTER)).live
        item = self._item(row_id(live, key))
        return row.from_item({**item, KEY: pack(key)}) if item else None

    def _item(self, stands_under: str) -> Any:
        key = {KEY: pack(stands_under)}
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return found.get("Item")
