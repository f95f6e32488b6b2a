"""Generations of a view: a rebuild creates a new generation beside the live one, and then makes it live.

All generations are in one table. Rows of the first generation have their plain keys, rows of generation 2 have the keys
`@2/<key>`. One more row, `@generation`, says which generation is live, and which is being built. Functions write to
both; readers read the live one (LiveView).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.state import KEY, State

# The row that says which generation is live. Keys of a view's rows must not begin with RESERVED.
RESERVED = "@"
POINTER = "@generation"

R = TypeVar("R", bound=State)


@dataclass(frozen=True, slots=True)
class Generations:
    """The generations in a view's table: the live one, and one that is being built, if any.

    `last` is the highest number ever used, so that no number is used twice; `version` counts the writes of the row;
    `operation` is the id of the operation that builds.
    """

    live: int = 0
    building: int | None = None
    last: int = 0
    version: int = 0
    operation: str = ""

    @classmethod
    def in_item(cls, item: Mapping[str, Any] | None) -> Self:
        """The generations in the pointer's item. Without an item there is only the first generation."""
        if item is None:
            return cls()
        values = unpack_item(item)
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})

    @property
    def written(self) -> tuple[int, ...]:
        """The generations that functions write to."""
        return (self.live,) if self.building is None else (self.live, self.building)

    def part(self, table: str) -> dict[str, Any]:
        """The part of a transaction that writes the pointer, on the condition that it has not changed."""
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
    """The mark in the ledger that an event was also written to a generation while an operation was building it.

    It contains the operation, because a table that was lost and created again counts generations from the start.
    """
    return f"{table}@{generation}:{operation}"


def row_id(generation: int, key: str) -> str:
    """The id of a row in its table."""
    return f"{_prefix(generation)}{key}"


def row_key(generation: int, item_id: str) -> str | None:
    """The key of the row with that id in its table; None for a row of another generation and for the pointer."""
    if generation:
        prefix = _prefix(generation)
        return item_id.removeprefix(prefix) if item_id.startswith(prefix) else None
    return None if item_id.startswith(RESERVED) else item_id


def _prefix(generation: int) -> str:
    return f"{RESERVED}{generation}/" if generation else ""


class LiveView:
    """Reads the live generation of a view. `dynamodb` is a botocore or boto3 client, `table` the deployed name."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def row(self, row: type[R], key: str) -> R | None:
        """The row with that key, or None. Consistent reads.

        The live generation may change between the two reads; a replaced generation is kept for longer than that.
        """
        live = Generations.in_item(self._item(POINTER)).live
        item = self._item(row_id(live, key))
        return row.from_item({**item, KEY: pack(key)}) if item else None

    def _item(self, item_id: str) -> Any:
        key = {KEY: pack(item_id)}
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return found.get("Item")
