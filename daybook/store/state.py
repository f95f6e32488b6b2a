"""The rows that services keep: state that reactions decide on, and views that people read.

    class StockItem(State, table="stock", key="sku"):
        sku: Sku
        available: int = 0

Every field but the key has a default, so that a row that is not there yet reads as a blank one.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from daybook.contracts.contract import ContractError
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.schema import Index, Schema

# The partition key of every service's table, whatever the row calls it.
KEY = "id"
VERSION = "version"


def row_table(*fields: str) -> Schema:
    """Every service's table: rows under one key, and an index of that name by each of these fields."""
    return Schema(KEY, indexes=tuple(Index(name, name, KEY, carries=None) for name in fields))


class State(BaseModel):
    """One row of one table. Class arguments: `table`, as the service's stack names it, and `key`, a field.

    A reaction reads rows, decides, and writes them with a condition; a view's rows are written by its changes alone.
    A row with an unknown field, or with a value that its field does not allow, cannot be made: pydantic's
    ValidationError names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    table: ClassVar[str]
    key: ClassVar[str]

    def __init_subclass__(cls, *, table: str, key: str) -> None:
        super().__init_subclass__()
        cls.table = table
        cls.key = key

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        if cls.key not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.key!r}, which is to be its key"
            raise ContractError(msg)
        reserved = sorted({KEY, VERSION} & cls.model_fields.keys() - {cls.key})
        if reserved or cls.key == VERSION:
            msg = f"{cls.__name__}: the names {KEY!r} and {VERSION!r} are the item's own; name the field otherwise"
            raise ContractError(msg)
        required = [name for name, field in cls.model_fields.items() if field.is_required() and name != cls.key]
        if required:
            msg = f"{cls.__name__}: {required} need defaults, for rows that are not there yet"
            raise ContractError(msg)

    @property
    def row_id(self) -> str:
        """The row's key."""
        return str(getattr(self, self.key))

    @classmethod
    def blank(cls, key: str) -> Self:
        """The row as it reads before anything was written."""
        return cls.model_validate({cls.key: key})

    def evolve(self, **changes: Any) -> Self:
        """The row with other values in these fields: `order.evolve(stage="confirmed")`. The only way to change a row.

        Raises pydantic's ValidationError for a field that the row does not have, and for a value that is not allowed.
        """
        return self.model_validate({**dict(self), **changes})

    @property
    def given(self) -> dict[str, Any]:
        """The fields that were given a value, by name, but for the key: what a view's change sets."""
        return self.model_dump(exclude={self.key}, exclude_unset=True)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """The row in an item of its table."""
        return cls.from_values(unpack_item(item))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The row in an item's plain values. Attributes that are no fields are left out: newer code may write them."""
        fields = {name: value for name, value in values.items() if name in cls.model_fields}
        return cls.model_validate({**fields, cls.key: values[KEY]})

    @classmethod
    def address(cls, key: str) -> dict[str, Any]:
        """The key as DynamoDB wants it."""
        return pack_item({KEY: key})

    def to_item(self, version: int) -> dict[str, Any]:
        """The row as an item of its table, at the given version. What JSON writes as a number keeps its digits."""
        values = json.loads(self.model_dump_json(exclude={self.key}), parse_float=Decimal)
        return pack_item({**values, KEY: self.row_id, VERSION: version})
