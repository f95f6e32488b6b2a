"""Contracts: an event is a frozen fact in the past tense. It knows its stream, its version and its allowed sources.

    class OrderPlaced(Event, opens="order/{order_id}", sources=("shop.checkout",)):
        '''A customer has placed an order.'''

        order_id: OrderId

The class name is the event's detail-type. The module's name is the service that owns it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from daybook.contracts.identity import key_part

_STREAM = re.compile(r"(?P<kind>[a-z][a-z0-9-]*)/\{(?P<field>[a-z_]+)\}")


class Place(StrEnum):
    """At which position of its stream an event is allowed."""

    OPENS = "opens"  # only the first: a second order 1001 is rejected
    CONTINUES = "continues"  # any but the first: a shipment of an order that was never placed is rejected
    JOINS = "joins"  # any: the reports of a device


class Personal:
    """Marks a field with personal data: `name: Annotated[str, PERSONAL]`. Logs never contain it."""


PERSONAL = Personal()


@dataclass(frozen=True, slots=True)
class NumericId:
    """Marks a field with an id that may be any number, such as a tracking number: `Annotated[str, NUMERIC_ID]`.

    Of random numbers with 16 digits 3.5 % look like card numbers, and admit rejects card numbers. It accepts them in
    this field. `max_digits`: longer numbers are still rejected.
    """

    max_digits: int | None = None

    def includes(self, text: str) -> bool:
        """Whether the text can be such an id."""
        return self.max_digits is None or sum(map(str.isdigit, text)) <= self.max_digits


NUMERIC_ID = NumericId()


class Part(BaseModel):
    """A part of a contract. Like an event it is frozen, and its validation errors do not quote the input.

    Fields that it does not know are not stored. A part with `model_config = ConfigDict(extra="allow")` keeps them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)

    # For a part that keeps fields that it does not know: a key and the key below it, `identifier.value`, whose value is
    # a numeric id (see NumericId), at every depth.
    numeric_ids: ClassVar[frozenset[str]] = frozenset()


class ContractError(TypeError):
    """A contract's declaration is invalid. Raised when its class is defined, so never while events are processed."""


class ContractBroken(ValueError):
    """The data violate their contract. The message names fields and rules. No personal value is quoted."""


class UnknownVersion(ValueError):
    """This code does not know the event's version. Deploy the code that does, then process the event again."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The properties that all events of one type share, apart from their fields. Event describes them."""

    type: str
    version: int
    service: str
    place: Place
    stream_kind: str
    stream_field: str
    sources: tuple[str, ...]
    timer: bool
    foreign: str | None
    occurred_at: str | None
    identified_by: str | None
    shared: bool

    @property
    def published_source(self) -> str:
        """The `source` of these events on the event bus."""
        return f"daybook.{self.service}"

    def producer_id(self, data: object) -> str | None:
        """The producer's id of an event with these data, if the contract has a field for it (`identified_by`)."""
        key = data.get(self.identified_by) if self.identified_by and isinstance(data, Mapping) else None
        return f"{self.type}/{key}" if isinstance(key, str) else None


class Event(Part):
    """The base class of all contracts. Unknown fields are ignored, and admit does not store them. Missing fields are
    errors. Instances are frozen.

    Class arguments:

    * exactly one of `opens`, `continues` and `joins` (see Place): a stream such as `order/{order_id}`
    * `sources`: the external sources that may send the event. Without any, only the owning service emits it
    * `version`: from 1. Version n needs a static method `upcast_<m>` for each m below n, which converts the data of
      version m to version m + 1
    * `timer`: the event is recorded at a scheduled time (see Work.schedule)
    * `foreign`: the detail-type that sources use which do not know this system, such as AWS services. A static method
      `translated` converts their detail to `{"metadata": {…}, "data": {…}}`
    * `occurred_at`: a field, a UtcTime, with the time of the event; the time in the metadata is then ignored
    * `identified_by`: a field with the producer's id of the event, unique within its type. A second event with this id
      is a duplicate if its content is the same, and is rejected otherwise
    * `shared`: listeners outside of this system need the data, so they are on the event bus. Without it the event bus
      has only a pointer to the event in the store
    """

    contract: ClassVar[Contract]
    example: ClassVar[Mapping[str, Any]]

    def __init_subclass__(
        cls,
        *,
        opens: str | None = None,
        continues: str | None = None,
        joins: str | None = None,
        sources: tuple[str, ...] = (),
        version: int = 1,
        timer: bool = False,
        foreign: str | None = None,
        occurred_at: str | None = None,
        identified_by: str | None = None,
        shared: bool = False,
    ) -> None:
        super().__init_subclass__()
        places = {Place.OPENS: opens, Place.CONTINUES: continues, Place.JOINS: joins}
        given = [(place, stream) for place, stream in places.items() if stream is not None]
        if len(given) != 1:
            msg = f"{cls.__name__} needs exactly one of opens=, continues= and joins="
            raise ContractError(msg)
        ((place, stream),) = given
        match = _STREAM.fullmatch(stream)
        if match is None:
            msg = f"{cls.__name__}: the stream {stream!r} must have the form kind/{{field}}"
            raise ContractError(msg)
        if any(source.startswith("daybook.") for source in sources):
            msg = f"{cls.__name__}: sources named daybook.* are internal; remove them from sources="
            raise ContractError(msg)
        if timer and sources:
            msg = f"{cls.__name__} has timer=True, so external sources cannot send it; remove sources= or timer="
            raise ContractError(msg)
        if foreign and not (sources and hasattr(cls, "translated")):
            msg = f"{cls.__name__} has foreign={foreign!r}: it also needs sources= and a static method translated"
            raise ContractError(msg)
        if hasattr(cls, "translated") and not foreign:
            msg = f"{cls.__name__} has a method translated: it also needs foreign=, the detail-type of its sources"
            raise ContractError(msg)
        missing = [m for m in range(1, version) if not hasattr(cls, f"upcast_{m}")]
        if missing:
            msg = f"{cls.__name__} version {version} cannot read version {missing[0]}: add upcast_{missing[0]}"
            raise ContractError(msg)
        cls.contract = Contract(
            type=cls.__name__,
            version=version,
            service=cls.__module__.rpartition(".")[2],
            place=place,
            stream_kind=match["kind"],
            stream_field=match["field"],
            sources=sources,
            timer=timer,
            foreign=foreign,
            occurred_at=occurred_at,
            identified_by=identified_by,
            shared=shared,
        )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        if cls.contract.stream_field not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.contract.stream_field!r}, which names its stream"
            raise ContractError(msg)
        if cls.contract.occurred_at and cls.contract.occurred_at not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.contract.occurred_at!r}, which occurred_at= names"
            raise ContractError(msg)
        if cls.contract.identified_by and cls.contract.identified_by not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.contract.identified_by!r}, which identified_by= names"
            raise ContractError(msg)

    @property
    def stream(self) -> str:
        """The stream of this event: `order/1001`. The field's value is percent-encoded: `order/%231001` for #1001."""
        return f"{self.contract.stream_kind}/{key_part(getattr(self, self.contract.stream_field))}"

    @property
    def occurred_at(self) -> datetime | None:
        """The time of the event, if its contract has a field for it (`occurred_at`)."""
        return getattr(self, self.contract.occurred_at) if self.contract.occurred_at else None

    @classmethod
    def read(cls, data: str, *, version: int) -> Self:
        """The event in `data`, JSON text of the given version.

        Raises UnknownVersion if this code does not know the version, ContractBroken for any other fault.
        """
        return cls._read(data, version)[0]

    @classmethod
    def read_from_outside(cls, data: str, *, version: int) -> tuple[Self, str]:
        """The same, and the data to store, as JSON text of the newest version, without the fields that the contract
        does not know.
        """
        event, sent = cls._read(data, version)
        known = _known(event, json.loads(sent))
        return event, json.dumps(known, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def _read(cls, data: str, version: int) -> tuple[Self, str]:
        """The event, and its data as JSON text of the newest version."""
        newest = cls.contract.version
        if version > newest or version < 1:
            msg = f"unknown version of {cls.__name__}; the newest version that this code knows is {newest}"
            raise UnknownVersion(msg)
        try:
            if version != newest:
                data = cls._upcast(data, version)
            return cls.model_validate_json(data, strict=True), data
        except ValidationError as error:
            raise ContractBroken(_reason(cls, error)) from None

    @classmethod
    def _upcast(cls, data: str, version: int) -> str:
        try:
            fields = cast("dict[str, Any]", json.loads(data))
        except (ValueError, RecursionError) as error:
            msg = f"{cls.__name__}: the data are not JSON"
            raise ContractBroken(msg) from error
        for older in range(version, cls.contract.version):
            try:
                fields = getattr(cls, f"upcast_{older}")(fields)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                msg = f"{cls.__name__}: the data of version {older} cannot be converted to version {older + 1}"
                raise ContractBroken(msg) from error
        return json.dumps(fields)

    @classmethod
    def translate(cls, detail: Any) -> dict[str, Any]:
        """Convert a detail from a source that does not know this system to this system's form. Raises ContractBroken.

        Returns {"metadata": {…}, "data": {…}}.
        """
        try:
            return cast("dict[str, Any]", getattr(cls, "translated")(detail))  # noqa: B009 - only some have it
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            msg = f"{cls.__name__}: the detail does not have the form that its source sends"
            raise ContractBroken(msg) from error

    def to_json(self) -> str:
        """The event's data as JSON text."""
        return self.model_dump_json()


def _known(value: object, sent: Any) -> Any:
    """`sent`, the JSON of which `value` was read, without the fields that the contract does not know."""
    match value, sent:
        case BaseModel(), dict():
            keeps = value.model_config.get("extra") == "allow"
            return {
                name: _known(getattr(value, name), inner) if name in type(value).model_fields else inner
                for name, inner in sent.items()
                if keeps or name in type(value).model_fields
            }
        case Mapping(), dict() if value.keys() == sent.keys():
            return {name: _known(value[name], inner) for name, inner in sent.items()}
        case ((list() | tuple()), list()) if len(value) == len(sent):
            return [_known(read, inner) for read, inner in zip(value, sent, strict=True)]
        case ((BaseModel() | Mapping() | list() | tuple()), _):
            return to_jsonable_python(value)
        case _, dict() | list():
            return to_jsonable_python(value)  # the contract has read something else from it
    return sent


def _reason(model: type[BaseModel], error: ValidationError) -> str:
    """Which fields violate which rules. The input is never quoted here; a contract's own rule may quote a
    value that is not personal.
    """
    problems = error.errors(include_url=False, include_input=False)
    # pydantic also reports a list with an invalid item as too short. Only the item is reported here.
    inner = [
        problem
        for problem in problems
        if not any(other["loc"][: len(problem["loc"])] == problem["loc"] != other["loc"] for other in problems)
    ]
    known, tags = _names_in(model), _tags_in(model)
    violations = []
    for problem in inner[:5]:
        # The keys of a mapping are input, so they are not quoted either. pydantic adds the tags of unions to the path.
        parts = [part for part in problem["loc"] if part not in tags]
        path = ".".join(str(part) if isinstance(part, int) or part in known else "…" for part in parts)
        violations.append(f"{path or 'data'}: {_rule(problem)}")
    more = f" (and {len(inner) - len(violations)} more)" if len(inner) > len(violations) else ""
    return f"{model.__name__}: {'; '.join(violations)}{more}"


def _rule(problem: ErrorDetails) -> str:
    """The violated rule."""
    if problem["type"] == "union_tag_invalid":  # pydantic's message would quote the input
        return "{discriminator} must be one of {expected_tags}".format(**problem["ctx"])
    return problem["msg"].removeprefix("Value error, ")


def _names_in(annotation: object) -> frozenset[str]:
    """The names of all fields of a type, nested ones included, and all its literals."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return frozenset(fields).union(*(_names_in(field.annotation) for field in fields.values()))
    if get_origin(annotation) is Literal:
        return frozenset(map(str, get_args(annotation)))
    return frozenset[str]().union(*(_names_in(part) for part in get_args(annotation)))


def _tags_in(annotation: object) -> frozenset[str]:
    """The tags of all unions in a type, except those that are also names of fields."""
    if isinstance(annotation, Tag):
        return frozenset({annotation.tag})
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return frozenset[str]().union(*(_tags_in(field.annotation) for field in fields.values())) - fields.keys()
    return frozenset[str]().union(*(_tags_in(part) for part in get_args(annotation)))


def personal_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields of a contract or part that are marked as Personal, anywhere in their type."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, Personal) for mark in field.metadata) or _is_personal(field.annotation)
    )


def _is_personal(annotation: object) -> bool:
    return isinstance(annotation, Personal) or any(_is_personal(part) for part in get_args(annotation))
