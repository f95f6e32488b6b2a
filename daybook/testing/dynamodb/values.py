"""Attribute values: validation, size and comparison."""

from base64 import b64decode
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from daybook.testing.dynamodb.errors import NotSupported, invalid

Value = Mapping[str, Any]  # {"S": "text"}
Item = Mapping[str, Value]
Comparable = str | Decimal

_DIGITS = 38
_ARITHMETIC = Context(prec=_DIGITS, traps=[Inexact, InvalidOperation])
_INVALID = "One or more parameter values were invalid:"
# Sizes are in bytes; see "DynamoDB item sizes and formats" in the Developer Guide.
MAX_ITEM = 400 * 1024
_ELEMENT = 1
_CONTAINER = 3
_SIGN = 1


def checked(value: Value) -> Value:
    """The value as DynamoDB stores it, so that equal values become equal. Raises ServiceError."""
    if len(value) != 1:
        raise invalid("Supplied AttributeValue must contain exactly one of the supported datatypes")
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B" | "BOOL":
            return value
        case "N":
            return {"N": _number(content)}
        case "NULL":
            if content is not True:
                msg = f"{_INVALID} Null attribute value types must have the value of true"
                raise invalid(msg)
            return value
        case "M":
            return {"M": checked_item(content)}
        case "L":
            return {"L": [checked(each) for each in content]}
        case "SS":
            return {"SS": _set(content)}
        case _:
            msg = f"values of the type {kind}"
            raise NotSupported(msg)


def checked_item(item: Item) -> dict[str, Value]:
    """The same for all attributes of an item."""
    return {name: checked(value) for name, value in item.items()}


def size(value: Value) -> int:
    """The bytes that DynamoDB counts for the value."""
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B":
            return len(content.encode() if kind == "S" else b64decode(content))
        case "N":
            digits = Decimal(content).normalize().as_tuple().digits
            return (len(digits) + 1) // 2 + _SIGN
        case "M":
            return _CONTAINER + sum(_ELEMENT + size_of_attribute(*each) for each in content.items())
        case "L":
            return _CONTAINER + sum(_ELEMENT + size(each) for each in content)
        case "SS":
            return sum(len(each.encode()) for each in content)
        case _:
            return 1


def size_of_attribute(name: str, value: Value) -> int:
    """The same for an attribute with its name."""
    return len(name.encode()) + size(value)


def size_of_item(item: Item) -> int:
    """The same for an item."""
    return sum(size_of_attribute(*each) for each in item.items())


def comparable(value: Value) -> Comparable:
    """A value that Python sorts as DynamoDB sorts keys: texts by their UTF-8 bytes, numbers by value."""
    ((kind, content),) = value.items()
    return Decimal(content) if kind == "N" else str(content)


def added(value: Value, other: Value, *, sign: int = 1) -> Value:
    """The sum or, with sign -1, the difference of two numbers."""
    try:
        result = _ARITHMETIC.add(Decimal(value["N"]), _ARITHMETIC.multiply(Decimal(other["N"]), sign))
    except Inexact:
        msg = "sums of more than 38 digits"
        raise NotSupported(msg) from None
    return {"N": _plain(result)}


def _set(texts: list[str]) -> list[str]:
    if not texts or len(set(texts)) < len(texts):
        msg = f"{_INVALID} a set may not be empty or contain duplicates: {texts}"
        raise invalid(msg)
    return sorted(texts)


def _number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        msg = f"The parameter cannot be converted to a numeric value: {text}"
        raise invalid(msg)
    if len(number.normalize(Context(prec=1000)).as_tuple().digits) > _DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    return _plain(number)


def _plain(number: Decimal) -> str:
    return format(number.normalize(_ARITHMETIC), "f") if number else "0"
