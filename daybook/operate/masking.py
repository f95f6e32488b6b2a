"""What an operator may see of an event's data: all but what its contract says is about a person."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from daybook.application import catalogue
from daybook.contracts.contract import ContractBroken, UnknownVersion, personal_fields
from daybook.contracts.envelope import Envelope

HIDDEN: Final = "•••"


def shown(event: Envelope) -> Any:
    """The event's data as its contract reads them, as what JSON can hold, with personal fields as HIDDEN.

    Fields that the contract does not know are left out. All is HIDDEN where no contract reads the data, since then
    nobody knows what they hold.
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
    """`written` is `value` as JSON; what of it belongs to a model is looked at field by field."""
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
            return HIDDEN  # written in a way of its own, in which fields cannot be distinguished
        case _:
            return written
