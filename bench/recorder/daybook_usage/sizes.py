"""Sizes of items as DynamoDB counts them.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Mapping
from typing import Any

_READ_BYTES = 4096  # bytes of one read request unit with consistent reads


def item_bytes(item: Mapping[str, Any]) -> int:
    """The bytes of an item's names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def read_units(size: int, *, consistent: bool) -> float:
    """Read request units for this many bytes; half with eventually consistent reads."""
    return max(1, -(-size // _READ_BYTES)) * (1.0 if consistent else 0.5)


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return len(value.lstrip("-").replace(".", "")) // 2 + 2
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_bytes(each) for name, each in value.items())
        case "L":
            return 3 + sum(1 + _value_bytes(each) for each in value)
        case "BOOL" | "NULL":
            return 1
        case _:
            return len(str(value))
