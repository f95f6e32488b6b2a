"""What an event is: a frozen fact in the past tense, that knows its stream, its version and who may say it.

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
from pydantic_core import ErrorDetails

_STREAM = re.compile(r"(?P<kind>[a-z][a-z0-9-]*)/\{(?P<field>[a-z_]+)\}")


class Place(StrEnum):
    """Where in its stream an event may stand."""

    OPENS = "opens"  # first, and only first: a second order 1001 is refused
    CONTINUES = "continues"  # after another: a parcel for an order that nobody placed is refused
    JOINS = "joins"  # either: the reports of a device


class Personal:
    """Marks a field that is about a person: `name: Annotated[str, PERSONAL]`. No log shows it."""


PERSONAL = Personal()


class Part(BaseModel):
    """A part of a contract: as frozen as the whole, and as silent about its content when it is refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)


class ContractError(TypeError):
    """A contract is declared in a way that cannot work. Raised when its class is made, so never in production."""


class ContractBroken(ValueError):
    """The data do not keep their contract. The sentence names fields and rules, and never quotes the data."""


class UnknownVersion(ValueError):
    """The event's version is newer than this code knows. Deploy the code that knows it, then process it again."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What holds for all events of one type, apart from their fields."""

    type: str
    version: int
    service: str
    place: Place
    stream_kind: str
    stream_field: str
    sources: tuple[str, ...]
    timer: bool
    foreign: str | None
    happened: str | None
    identified_by: str | None

    @property
    def published_source(self) -> str:
        """The `source` under which the event bus carries it."""
        return f"daybook.{self.service}"

    def name(self, data: object) -> str | None:
        """What its producer tells an event with these data by from all others, if there is a field for that."""
        key = data.get(self.identified_by) if self.identified_by and isinstance(data, Mapping) else None
        return f"{self.type}/{key}" if isinstance(key, str) else None


class Event(Part):
    """The base of all contracts. Unknown fields pass, missing ones do not; nothing can be changed afterwards.

    Class arguments: exactly one of `opens`, `continues` and `joins` (see Place), each a stream like
    `order/{order_id}`; `sources`, those outside that may send it (none: only the owning service emits it);
    `timer`, for what is recorded once its time has come (see Work.arm); `version`, from 1. A version n needs a static
    method `upcast_<m>` for each m below n, which turns the data of version m into those of version m + 1. `foreign` is
    the detail-type of sources that do not know this system, as AWS's own services; a static method `translated` turns
    the detail that they send into `{"metadata": {…}, "data": {…}}`. `happened` names a field, a UtcTime, that says when
    it happened: what the metadata say of that does not count. `identified_by` names a field by which its producer tells
    it from all others of the type: the same again is a repetition, and with other content it is refused.
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
        happened: str | None = None,
        identified_by: str | None = None,
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
            msg = f"{cls.__name__}: the stream {stream!r} is not of the form kind/{{field}}"
            raise ContractError(msg)
        if any(source.startswith("daybook.") for source in sources):
            msg = f"{cls.__name__}: sources named daybook.* are this system's own and never come from outside"
            raise ContractError(msg)
        if timer and sources:
            msg = f"{cls.__name__} is a timer's, and so comes from no source outside"
            raise ContractError(msg)
        if foreign and not (sources and hasattr(cls, "translated")):
            msg = f"{cls.__name__} is sent as {foreign!r}: say by which sources, and how it is translated"
            raise ContractError(msg)
        if hasattr(cls, "translated") and not foreign:
            msg = f"{cls.__name__}: say by which detail-type its sources send what it translates"
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
            happened=happened,
            identified_by=identified_by,
        )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        if cls.contract.stream_field not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.contract.stream_field!r}, which its stream is named by"
            raise ContractError(msg)
        if cls.contract.happened and cls.contract.happened not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.contract.happened!r}, which is to say when it happened"
            raise ContractError(msg)
        if cls.contract.identified_by and cls.contract.identified_by not in cls.model_fields:
            msg = f"{cls.__name__} has no field {cls.contract.identified_by!r}, which is to tell it from others"
            raise ContractError(msg)

    @property
    def stream(self) -> str:
        """The stream this event belongs to: `order/1001`."""
        return f"{self.contract.stream_kind}/{getattr(self, self.contract.stream_field)}"

    @property
    def happened(self) -> datetime | None:
        """When it happened, if its contract has a field that says so."""
        return getattr(self, self.contract.happened) if self.contract.happened else None

    @classmethod
    def read(cls, data: str, *, version: int) -> Self:
        """The event in `data`, JSON text of the given version.

        Raises UnknownVersion for a version this code does not know, ContractBroken for all else that is wrong.
        """
        newest = cls.contract.version
        if version > newest or version < 1:
            msg = f"this version of {cls.__name__} is not known here; the newest known is {newest}"
            raise UnknownVersion(msg)
        try:
            if version == newest:
                return cls.model_validate_json(data, strict=True)
            return cls._read_older(data, version)
        except ValidationError as error:
            raise ContractBroken(_reason(cls, error)) from None

    @classmethod
    def _read_older(cls, data: str, version: int) -> Self:
        try:
            fields = cast("dict[str, Any]", json.loads(data))
        except (ValueError, RecursionError) as error:
            msg = f"{cls.__name__}: its data are not JSON"
            raise ContractBroken(msg) from error
        for older in range(version, cls.contract.version):
            try:
                fields = getattr(cls, f"upcast_{older}")(fields)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                msg = f"{cls.__name__}: its data of version {older} cannot be read as version {older + 1}"
                raise ContractBroken(msg) from error
        return cls.model_validate_json(json.dumps(fields), strict=True)

    @classmethod
    def translate(cls, detail: Any) -> dict[str, Any]:
        """What a source that does not know this system sends, in this system's form. Raises ContractBroken."""
        try:
            return cast("dict[str, Any]", getattr(cls, "translated")(detail))  # noqa: B009 - only some have it
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            msg = f"{cls.__name__}: the detail is not of the form in which its source sends it"
            raise ContractBroken(msg) from error

    def to_json(self) -> str:
        """The event's data as JSON text."""
        return self.model_dump_json()


def _reason(model: type[BaseModel], error: ValidationError) -> str:
    """Which fields break which rules. All of it comes from contracts and pydantic, nothing from the input."""
    problems = error.errors(include_url=False, include_input=False)
    # A list with a bad item is also told to be too short: only the item is to blame.
    inner = [
        problem
        for problem in problems
        if not any(other["loc"][: len(problem["loc"])] == problem["loc"] != other["loc"] for other in problems)
    ]
    known = _words(model)
    told = []
    for problem in inner[:5]:
        # The key of a mapping is input too.
        path = ".".join(str(part) if isinstance(part, int) or part in known else "…" for part in problem["loc"])
        told.append(f"{path or 'data'}: {_rule(problem)}")
    more = f" (and {len(inner) - len(told)} more)" if len(inner) > len(told) else ""
    return f"{model.__name__}: {'; '.join(told)}{more}"


def _rule(problem: ErrorDetails) -> str:
    """The rule that is broken. Of the kind of a part that is none of those there may be, pydantic would quote it."""
    if problem["type"] == "union_tag_invalid":
        return "{discriminator} must be one of {expected_tags}".format(**problem["ctx"])
    return problem["msg"].removeprefix("Value error, ")


def _words(annotation: object) -> frozenset[str]:
    """The names of all fields in a type, at whatever depth, and of the kinds of parts that there may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return frozenset(fields).union(*(_words(field.annotation) for field in fields.values()))
    if get_origin(annotation) is Literal:
        return frozenset(map(str, get_args(annotation)))
    if isinstance(annotation, Tag):
        return frozenset({annotation.tag})
    return frozenset[str]().union(*(_words(part) for part in get_args(annotation)))


def personal_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields of a contract, or of a part of one, that are about a person, wherever in the type the mark stands."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, Personal) for mark in field.metadata) or _is_personal(field.annotation)
    )


def _is_personal(annotation: object) -> bool:
    return isinstance(annotation, Personal) or any(_is_personal(part) for part in get_args(annotation))
