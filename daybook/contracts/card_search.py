"""Find and remove card numbers in JSON: in all texts, numbers and keys, at every depth.

A field whose contract marks it as a NUMERIC_ID is left out: such an id may look like a card number by chance.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from daybook.contracts.card_numbers import REMOVED, has_card_number, is_code, without_card_numbers
from daybook.contracts.contract import Event, NumericId, Part

# Types that may describe a JSON value: annotations of fields, or the names of an object with the types of their values.
_Types = tuple[object, ...]
# Called with a text, its path, and the key under which it is; returns the text to put there.
_Change = Callable[[str, tuple[str, ...], str], str]

_METADATA = ("id", "version", "time", "correlation_id", "causation_id", "type", "stream", "sequence", "producer")
_ENVELOPE = ("version", "id", "account", "region", "source", "detail-type", "time", "resources")


def path_of_card_number(message: object, event: type[Event] | None) -> str | None:
    """Where a message from EventBridge contains a card number: `data.lines.0.name`. None if it has none.

    `event` is the contract of its data. The path has the names that contracts and metadata know, and … for others,
    because keys are content. Raises RecursionError if the message is nested too deeply.
    """
    paths: list[tuple[str, ...]] = []

    def note(text: str, path: tuple[str, ...], _: str) -> str:
        if has_card_number(text):
            paths.append(path)
        return text

    _walk(message, (_message(event),), note)
    return ".".join(paths[0]).removeprefix("detail.") if paths else None


def removed_from(body: str, event: type[Event] | None = None) -> str:
    """The body of a message with REMOVED in place of each card number and its code. Without any, it stays as it is.

    `event` is the contract of the event in the message, if it is known: its numeric ids stay.
    """
    try:
        message = json.loads(body, object_pairs_hook=_Object)
        if path_of_card_number(message, event) is None:
            return body
        cleaned = _walk(message, (_message(event),), lambda text, _, key: _cleaned(text, key))
        return json.dumps(cleaned, ensure_ascii=False)
    except (ValueError, RecursionError):
        return without_card_numbers(body)


def is_removed(body: str) -> bool:
    """Whether a card number was removed from the body, so that it cannot be sent again as it was."""
    return REMOVED in body


class _Object(dict[str, Any]):
    """A JSON object that keeps all values of a key that occurs twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override] # json.dumps accepts a list
        """All pairs, in their order."""
        return self._pairs


def _message(event: type[Event] | None) -> Mapping[str, object]:
    detail = {"metadata": dict.fromkeys(_METADATA), "data": event}
    return {**dict.fromkeys(_ENVELOPE), "detail": detail}


def _cleaned(text: str, key: str) -> str:
    return REMOVED if is_code(key, text) else without_card_numbers(text)


def _walk(
    value: Any,
    types: _Types,
    change: _Change,
    path: tuple[str, ...] = (),
    keys: tuple[str, ...] = ("", ""),
    numeric: frozenset[str] = frozenset(),
) -> Any:
    """The value with changed texts. `keys` are the last two keys; `numeric` are the pairs of keys that kept parts
    declare as numeric ids.
    """
    match value:
        case dict():
            numeric = numeric.union(*(part.numeric_ids for part in _parts(types)))
            pairs = []
            for key, inner in value.items():
                known = _field(types, key)
                below = (*path, "…" if known is None else key)
                inner_keys = (keys[1], key)
                skipped = ".".join(inner_keys) in numeric
                changed = inner if skipped else _walk(inner, known or (), change, below, inner_keys, numeric)
                pairs.append((change(key, below, ""), changed))
            return _Object(pairs)
        case list():
            return [
                _walk(inner, types, change, (*path, str(number)), keys, numeric) for number, inner in enumerate(value)
            ]
        case str() if not _is_numeric_id(value, types):
            return change(value, path, keys[1])
        case int() | float() if not isinstance(value, bool) and value == value // 1:
            text = str(int(value))
            new = text if _is_numeric_id(text, types) else change(text, path, keys[1])
            return value if new == text else new
    return value


def _field(types: _Types, key: str) -> _Types | None:
    """The types of a field of one of these types. None if none of them has the field."""
    names = [each for each in types if isinstance(each, Mapping) and key in each]
    fields = [part.model_fields[key] for part in _parts(types) if key in part.model_fields]
    if not names and not fields:
        return None
    return (*(each[key] for each in names), *(part for field in fields for part in (field.annotation, *field.metadata)))


def _parts(types: _Types) -> list[type[Part]]:
    """The parts of contracts in these types."""
    found: list[type[Part]] = []
    for each in types:
        if isinstance(each, type) and issubclass(each, BaseModel):
            found += [each] if issubclass(each, Part) else []
        else:
            found += _parts(get_args(each))
    return found


def _is_numeric_id(text: str, types: _Types) -> bool:
    return any(
        each.includes(text) if isinstance(each, NumericId) else _is_numeric_id(text, get_args(each)) for each in types
    )
