"""Every contract of this application and of the test application follows the rules for contracts."""

import json
from copy import deepcopy
from typing import Any

import pytest
from iso4217 import Currency
from pydantic import ValidationError

from daybook.contracts.contract import ContractBroken, Event, personal_fields
from daybook.contracts.values import MAX_AMOUNT, MINOR_UNIT_DIGITS, Money
from events.catalogue import CATALOGUE
from tests.application.builders import a_loan
from tests.application.catalogue import CATALOGUE as LIBRARY
from tests.application.contracts.loans import LoanRequested, Reader

CONTRACTS = {**CATALOGUE, **LIBRARY}
every_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
required = [
    (contract, name)
    for contract in CONTRACTS.values()
    for name, field in contract.model_fields.items()
    if field.is_required()
]


def read(contract: type[Event], data: object) -> Event:
    return contract.read(json.dumps(data), version=contract.contract.version)


def an_example(contract: type[Event]) -> dict[str, Any]:
    return deepcopy(dict(contract.example))


@every_contract
def test_the_example_is_valid(contract: type[Event]) -> None:
    written = json.loads(read(contract, contract.example).to_json())

    assert {name: written[name] for name in contract.example} == contract.example


@every_contract
def test_an_event_that_is_written_and_read_equals_the_original(contract: type[Event]) -> None:
    event = read(contract, contract.example)

    assert contract.read(event.to_json(), version=contract.contract.version) == event


@every_contract
def test_an_event_cannot_be_changed(contract: type[Event]) -> None:
    event = read(contract, contract.example)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(event, contract.contract.stream_field, "other")


@every_contract
def test_an_unknown_field_is_ignored(contract: type[Event]) -> None:
    assert read(contract, {**contract.example, "a_later_field": {"any": "thing"}}) == read(contract, contract.example)


@pytest.mark.parametrize(("contract", "name"), required, ids=[f"{c.__name__}.{n}" for c, n in required])
def test_a_missing_field_is_an_error_that_names_it(contract: type[Event], name: str) -> None:
    data = an_example(contract)
    del data[name]

    with pytest.raises(ContractBroken, match=rf"{contract.__name__}: {name}: Field required"):
        read(contract, data)


@pytest.mark.parametrize("data", [None, 1, "text", [], [1], True], ids=repr)
def test_data_that_are_not_an_object_are_an_error(data: object) -> None:
    with pytest.raises(ContractBroken):
        read(LoanRequested, data)


def test_personal_fields_are_marked_and_are_not_printed() -> None:
    reader = Reader(name="Ada Lovelace", email="ada@example.com")

    assert personal_fields(Reader) == {"name", "email"}
    assert "Ada" not in repr(a_loan())
    assert "ada@" not in repr(reader)


def test_the_currencies_are_those_of_iso_4217_with_a_minor_unit() -> None:
    assert {currency.code: currency.exponent for currency in Currency if currency.exponent is not None} == (
        MINOR_UNIT_DIGITS
    )


@pytest.mark.parametrize("amount", [0, 1, MAX_AMOUNT])
def test_an_amount_is_exact_for_every_json_parser(amount: int) -> None:
    # A parser that keeps numbers as floats, as in JavaScript.
    assert int(float(Money(amount=amount, currency="JPY").amount)) == amount
