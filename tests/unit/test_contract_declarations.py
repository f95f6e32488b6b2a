"""An invalid contract raises an error when its class is created. An older version is read as the newest one."""

import json
import re
from types import ModuleType
from typing import Any

import pytest

from daybook.contracts.catalogue import Catalogue
from daybook.contracts.contract import ContractBroken, ContractError, Event, Place, UnknownVersion
from daybook.store.state import State
from tests.application.catalogue import CATALOGUE
from tests.unit.contracts import BookReturned, MeterRead


class PriceSet(Event, joins="price/{isbn}", sources=("shop.office",), version=3):
    """A price. Earlier versions named it `cost` and had no currency."""

    isbn: str
    amount: int
    currency: str

    @staticmethod
    def upcast_1(data: dict[str, Any]) -> dict[str, Any]:
        return {"isbn": data["isbn"], "amount": data["cost"]}

    @staticmethod
    def upcast_2(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}


NEWEST = PriceSet(isbn="emma", amount=1250, currency="EUR")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "exactly one of"),
        ({"opens": "a/{key}", "continues": "a/{key}"}, "exactly one of"),
        ({"opens": "a/{key}", "joins": "a/{key}"}, "exactly one of"),
        ({"opens": "a"}, "must have the form"),
        ({"opens": "a/key"}, "must have the form"),
        ({"opens": "A/{key}"}, "must have the form"),
        ({"opens": "a/{key}/more"}, "must have the form"),
        ({"opens": "a/{other}"}, "no field 'other'"),
        ({"opens": "a/{key}", "sources": ("daybook.loans",)}, "are internal"),
        ({"opens": "a/{key}", "version": 2}, "add upcast_1"),
        ({"joins": "a/{key}", "identified_by": "name"}, "no field 'name', which identified_by= names"),
        ({"joins": "a/{key}", "occurred_at": "at"}, "no field 'at', which occurred_at= names"),
        ({"joins": "a/{key}", "foreign": "Key Turned"}, "it also needs sources= and a static method translated"),
        ({"joins": "a/{key}", "foreign": "Key Turned", "sources": ("keys",)}, "a static method translated"),
    ],
)
def test_an_invalid_contract_raises_an_error_at_its_declaration(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractError, match=re.escape(complaint)):
        type("Made", (Event,), {"__annotations__": {"key": str}}, **arguments)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"foreign": "Key Turned"}, "it also needs sources="),
        ({"sources": ("keys",)}, "it also needs foreign=, the detail-type of its sources"),
    ],
)
def test_an_upcaster_that_is_never_called_is_an_error(arguments: dict[str, Any], complaint: str) -> None:
    namespace = {"__annotations__": {"key": str}, "translated": staticmethod(dict)}
    with pytest.raises(ContractError, match=complaint):
        type("Made", (Event,), namespace, joins="a/{key}", **arguments)


def test_two_contracts_for_one_foreign_event_are_an_error() -> None:
    class KeyTurned(Event, joins="key/{key}", sources=("keys", "locks"), foreign="Key Turned"):
        key: str

        @staticmethod
        def translated(detail: Any) -> dict[str, Any]:
            return {"data": detail}

    class LockTurned(KeyTurned, joins="lock/{key}", sources=("locks",), foreign="Key Turned"):
        pass

    both = {("keys", "Key Turned"): KeyTurned, ("locks", "Key Turned"): KeyTurned}
    assert Catalogue(module_of(KeyTurned)).foreign == both
    with pytest.raises(
        ContractError, match="LockTurned and KeyTurned have the same detail-type 'Key Turned' and source locks"
    ):
        Catalogue(module_of(KeyTurned, LockTurned))


def test_a_contract_knows_its_stream_its_owner_and_its_sources() -> None:
    contract = BookReturned.contract

    assert BookReturned(loan_id="1001").stream == "loan/1001"
    assert (contract.type, contract.version, contract.place) == ("BookReturned", 1, Place.CONTINUES)
    assert contract.published_source == "daybook.contracts"
    assert contract.sources == ("library.returns",)


def test_two_contracts_with_one_name_are_an_error() -> None:
    with pytest.raises(ContractError, match="two contracts have the name MeterRead"):
        Catalogue(a_module("one", MeterRead), a_module("two", MeterRead))


def test_two_services_that_own_one_kind_of_stream_are_an_error() -> None:
    with pytest.raises(ContractError, match="streams meter/… belong to contracts, not two"):
        Catalogue(
            a_module("contracts", MeterRead),
            a_module("two", type("Other", (MeterRead,), {}, joins="meter/{meter_id}")),
        )


def module_of(*events: type[Event]) -> ModuleType:
    """A module that declares exactly these contracts."""
    module = ModuleType(events[0].__module__)
    for event in events:
        setattr(module, event.__name__, event)
    return module


def a_module(name: str, event: type[Event]) -> ModuleType:
    """A module that declares this contract."""
    module = ModuleType(name)
    copy = type(event.__name__, (event,), {"__module__": name}, joins="meter/{meter_id}")
    setattr(module, event.__name__, copy)
    return module


def test_no_kind_of_stream_has_two_owners() -> None:
    owners = {(event.contract.stream_kind, event.contract.service) for event in CATALOGUE.values()}

    assert len({kind for kind, _ in owners}) == len(owners)


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (1, {"isbn": "emma", "cost": 1250}),
        (2, {"isbn": "emma", "amount": 1250}),
        (3, {"isbn": "emma", "amount": 1250, "currency": "EUR"}),
    ],
)
def test_every_version_is_read_as_the_newest(version: int, data: dict[str, Any]) -> None:
    assert PriceSet.read(json.dumps(data), version=version) == NEWEST


@pytest.mark.parametrize("version", [0, -1, 4, 10**30])
def test_an_unknown_version_has_another_error_than_invalid_data(version: int) -> None:
    with pytest.raises(UnknownVersion, match="that this code knows is 3"):
        PriceSet.read("{}", version=version)


@pytest.mark.parametrize("data", [{"isbn": "emma"}, {"isbn": "emma", "cost": "much"}, [], "text", None], ids=repr)
def test_old_data_that_cannot_be_upcast_break_the_contract(data: object) -> None:
    with pytest.raises(ContractBroken, match="PriceSet"):
        PriceSet.read(json.dumps(data), version=1)


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("text", ["", "{", '{"isbn": NaN}', "[" * 100_000], ids=["nothing", "half", "NaN", "deep"])
def test_text_that_is_not_json_breaks_the_contract_in_every_version(version: int, text: str) -> None:
    with pytest.raises(ContractBroken):
        PriceSet.read(text, version=version)


def test_a_row_needs_its_key_and_has_defaults_for_all_other_fields() -> None:
    with pytest.raises(ContractError, match="no field 'id_of_it'"):
        type("Row", (State,), {"__annotations__": {"name": str}}, table="rows", key="id_of_it")
    with pytest.raises(ContractError, match=r"\['other'\] need defaults"):
        type("Row", (State,), {"__annotations__": {"name": str, "other": str}}, table="rows", key="name")


@pytest.mark.parametrize("taken", ["id", "version"])
def test_a_row_cannot_have_a_field_with_a_reserved_name(taken: str) -> None:
    # The row's key or its version would overwrite the field.
    with pytest.raises(ContractError, match=taken):
        type("Row", (State,), {"__annotations__": {"name": str, taken: str}, taken: ""}, table="rows", key="name")
