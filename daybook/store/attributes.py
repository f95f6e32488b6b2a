"""Values as DynamoDB's low-level API writes them: {"S": "text"}, {"N": "12"} …

boto3 has such a serialiser, but importing boto3 costs every cold start for parts that no function calls.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def pack(value: object) -> dict[str, Any]:
    """One value as an attribute. Raises TypeError for a float, because DynamoDB would round it."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str() | bytes():
            return {"S" if isinstance(value, str) else "B": value}
        case int() | Decimal():
            return {"N": str(value)}
        case Mapping():
            return {"M": pack_item(value)}
        case list() | tuple():
            return {"L": [pack(item) for item in value]}
        case _:
            msg = f"a {type(value).__name__} cannot be stored exactly; use int, Decimal, str, bytes, bool, list or dict"
            raise TypeError(msg)


def unpack(attribute: Mapping[str, Any]) -> Any:
    """The value of one attribute. Whole numbers come back as int, others as Decimal.

    In JSON, as in a record of a change stream, binary values are base64.
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else number
        case "B":
            return b64decode(value, validate=True) if isinstance(value, str) else value
        case "NULL":
            return None
        case "M":
            return unpack_item(value)
        case "L":
            return [unpack(item) for item in value]
        case _:
            return value


def size(attribute: Mapping[str, Any]) -> int:
    """The bytes that DynamoDB counts for an attribute's value; for numbers, the most that it may count
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html).
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(value)
        case "N":
            return len(value) // 2 + 2
        case "M":
            return 3 + len(value) + item_size(value)
        case "L":
            return 3 + len(value) + sum(map(size, value))
        case _:
            return 1


def item_size(item: Mapping[str, Any]) -> int:
    """The bytes that DynamoDB counts for a whole item: its names and values."""
    return sum(len(name.encode()) + size(value) for name, value in item.items())


def pack_item(item: Mapping[str, object]) -> dict[str, Any]:
    """A whole item, name by name."""
    return {name: pack(value) for name, value in item.items()}


def unpack_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """A whole item, name by name."""
    return {name: unpack(attribute) for name, attribute in item.items()}


def as_json(value: object) -> str:
    """Values or attributes as JSON. Binary values are base64, as in a record of a change stream; decimals are texts."""
    return json.dumps(value, default=lambda each: b64encode(each).decode() if isinstance(each, bytes) else str(each))
