"""Hides the personal fields of an event's data from operators."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from daybook.application import catalogue
from daybook.contracts.contract import ContractBroken, UnknownVersion, personal_fields
from daybook.contracts.envelope import Envelope

HIDDEN: Final = "•••"


def shown(event: Envelope) -> Any:
    """The event's data as JSON data, parsed by its contract, with personal fields as HIDDEN.

    Fields that the contract does not know are left out. If no contract can parse the data, all of it is HIDDEN.
    """
    contract = catalogue().get(event.metadata.type)
    if contract is None:
        return HIDDEN
    try:
        read = contract.read(event.data, version=event.metadata.version)
    except (ContractBroken, UnknownVersion):
        return HIDDEN
    return _without_personal(read, json.loads(read.to_json()))


def _without_personal(value: object, written: Any) -> Any:
    """`written` is `value` as JSON; the fields of models in it are checked one by one."""
    match value, written:
        case BaseModel(), dict():
            hidden = personal_fields(type(value))
            return {
                name: HIDDEN if name in hidden else _without_personal(getattr(value, name, None), part)
                for name, part in written.items()
            }
        case Mapping(), dict():
            parts = zip(value.values(), written.items(), strict=True)
            return {name: _without_personal(inner, part) for inner, (name, part) in parts}
        case ((list() | tuple()), list()):
            return [_without_personal(inner, part) for inner, part in zip(value, written, strict=True)]
        case (BaseModel(), _) | (_, dict() | list()):
            return HIDDEN  # a custom JSON form, in which fields cannot be distinguished
        case _:
            return written
