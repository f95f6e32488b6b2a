"""The rows that services keep: state that reactions decide on, and views that people read.

    class StockItem(State, table="stock", key="sku"):
        sku: Sku
        available: int = 0

Every field except the key has a default, so that a row that does not exist reads as a blank row.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from daybook.contracts.contract import ContractError
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.schema import Index, Schema

# The partition key of every service's table. In the row's class it has the name of the field `key`.
KEY = "id"
VERSION = "version"


def row_table(*fields: str) -> Schema:
    """The schema of a service's table: one row for each key, and an index for each of these fields, with its name."""
    return Schema(KEY, indexes=tuple(Index(name, name, KEY, carries=None) for name in fields))


class State(BaseModel):
    """One row of one table. Class arguments: `table`, as the service's stack names it, and `key`, a field.

    A reaction reads rows, decides, and writes them with a condition. A view's rows are written only by its changes.
    pydantic raises a ValidationError, which names the field, for an unknown field and for a value that is not allowed.
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
            msg = f"{cls.__name__} has no field {cls.key!r}, but key= names it"
            raise ContractError(msg)
        reserved = sorted({KEY, VERSION} & cls.model_fields.keys() - {cls.key})
        if reserved or cls.key == VERSION:
            msg = f"{cls.__name__}: the names {KEY!r} and {VERSION!r} are reserved; rename the field"
            raise ContractError(msg)
        required = [name for name, field in cls.model_fields.items() if field.is_required() and name != cls.key]
        if required:
            msg = f"{cls.__name__}: the fields {required} need defaults, for rows that do not exist yet"
            raise ContractError(msg)

    @property
    def row_id(self) -> str:
        """The row's key."""
        return str(getattr(self, self.key))

    @classmethod
    def blank(cls, key: str) -> Self:
        """The row with this key and the defaults of all other fields."""
        return cls.model_validate({cls.key: key})

    def evolve(self, **changes: Any) -> Self:
        """A copy of the row with other values in these fields: `order.evolve(stage="confirmed")`. Rows are frozen.

        Raises pydantic's ValidationError for an unknown field and for a value that is not allowed.
        """
        return self.model_validate({**dict(self), **changes})

    @property
    def given(self) -> dict[str, Any]:
        """The fields that were set explicitly, without the key: the fields that a view's change sets."""
        return self.model_dump(exclude={self.key}, exclude_unset=True)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """The row in an item of its table."""
        return cls.from_values(unpack_item(item))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The row in an item's plain values. Other attributes are ignored: newer code may write them."""
        fields = {name: value for name, value in values.items() if name in cls.model_fields}
        return cls.model_validate({**fields, cls.key: values[KEY]})

    @classmethod
    def address(cls, key: str) -> dict[str, Any]:
        """The key in DynamoDB's format."""
        return pack_item({KEY: key})

    def to_item(self, version: int) -> dict[str, Any]:
        """The row as an item of its table, at the given version. Numbers keep all their digits."""
        values = json.loads(self.model_dump_json(exclude={self.key}), parse_float=Decimal)
        return pack_item({**values, KEY: self.row_id, VERSION: version})
