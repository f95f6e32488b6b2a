"""Every contract that the system knows keeps the rules of the house."""

import json
from copy import deepcopy
from typing import Any

import pytest
from iso4217 import Currency
from pydantic import BaseModel, ValidationError

from daybook.contracts.contract import ContractBroken, Event, personal_fields
from daybook.contracts.envelope import MAX_EVENT_BYTES
from daybook.contracts.values import LARGEST_AMOUNT, MINOR_UNIT_DIGITS, Money
from events.catalogue import CATALOGUE
from events.orders import OrderLine, OrderPlaced
from events.patients import PatientRecordUpdated
from events.values import Customer
from tests.unit.builders import an_order, order_data

every_contract = pytest.mark.parametrize("contract", CATALOGUE.values(), ids=CATALOGUE)
required = [
    (contract, name)
    for contract in CATALOGUE.values()
    for name, field in contract.model_fields.items()
    if field.is_required()
]


def read(contract: type[Event], data: object) -> Event:
    return contract.read(json.dumps(data), version=contract.contract.version)


def an_example(contract: type[Event]) -> dict[str, Any]:
    return deepcopy(dict(contract.example))


def an_order_with(path: str, value: object) -> dict[str, Any]:
    """A good order, but for the value at `path`: "lines.0.quantity"."""
    order = an_example(OrderPlaced)
    *way, last = path.split(".")
    place: Any = order
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return order


@every_contract
def test_the_example_keeps_the_contract(contract: type[Event]) -> None:
    written = json.loads(read(contract, contract.example).to_json())

    assert {name: written[name] for name in contract.example} == contract.example


@every_contract
def test_what_was_written_is_read_back_the_same(contract: type[Event]) -> None:
    event = read(contract, contract.example)

    assert contract.read(event.to_json(), version=contract.contract.version) == event


@every_contract
def test_an_event_cannot_be_changed(contract: type[Event]) -> None:
    event = read(contract, contract.example)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(event, contract.contract.stream_field, "other")


@every_contract
def test_a_field_that_is_not_known_is_ignored(contract: type[Event]) -> None:
    assert read(contract, {**contract.example, "a_later_field": {"any": "thing"}}) == read(contract, contract.example)


@pytest.mark.parametrize(("contract", "name"), required, ids=[f"{c.__name__}.{n}" for c, n in required])
def test_a_missing_field_is_refused_by_its_name(contract: type[Event], name: str) -> None:
    data = an_example(contract)
    del data[name]

    with pytest.raises(ContractBroken, match=rf"{contract.__name__}: {name}: Field required"):
        read(contract, data)


@every_contract
def test_every_field_that_is_not_a_contract_part_of_its_own_is_described(contract: type[Event]) -> None:
    plain = {
        name
        for name, field in contract.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
    }

    assert {name for name in plain if not contract.model_fields[name].description} == set()


@pytest.mark.parametrize("data", [None, 1, "text", [], [1], True], ids=repr)
def test_data_that_are_no_object_are_refused(data: object) -> None:
    with pytest.raises(ContractBroken):
        read(OrderPlaced, data)


def test_what_is_about_a_person_is_marked_and_hides_from_printing() -> None:
    customer = Customer(name="Ada Lovelace", email="ada@example.com")

    assert personal_fields(Customer) == {"name", "email"}
    assert "Ada" not in repr(an_order())
    assert "ada@" not in repr(customer)


def test_the_currencies_are_those_of_iso_4217_that_have_a_minor_unit() -> None:
    assert {currency.code: currency.exponent for currency in Currency if currency.exponent is not None} == (
        MINOR_UNIT_DIGITS
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("order_id", "1"),
        ("order_id", "x" * 64),
        ("order_id", "A.b_c-9"),
        ("customer.name", "x" * 200),
        ("customer.language", "zh-Hant-TW"),
        ("lines.0.quantity", 1),
        ("lines.0.quantity", 1_000_000),
        ("lines.0.price.amount", 0),
        ("lines", [an_example(OrderPlaced)["lines"][0]] * 50),
        ("payment_method", ""),
    ],
)
def test_a_value_at_its_limit_is_taken(path: str, value: object) -> None:
    read(OrderPlaced, an_order_with(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("order_id", ""),
        ("order_id", "x" * 65),
        ("order_id", "1001/2"),
        ("order_id", "a#b"),
        ("order_id", "a b"),
        ("order_id", "-1"),
        ("order_id", "10\n01"),
        ("order_id", 1001),
        ("order_id", None),
        ("customer.name", ""),
        ("customer.name", "x" * 201),
        ("customer.email", "ada"),
        ("customer.email", "ada@example.com\nbcc: all@example.com"),
        ("customer.email", "a" * 250 + "@b.de"),
        ("customer.language", "english"),
        ("lines", []),
        ("lines", [an_example(OrderPlaced)["lines"][0]] * 51),
        ("lines", "mug"),
        ("lines.0.sku", "mug\n"),
        ("lines.0.quantity", 0),
        ("lines.0.quantity", -1),
        ("lines.0.quantity", 1_000_001),
        ("lines.0.quantity", "3"),
        ("lines.0.quantity", 3.0),
        ("lines.0.quantity", True),
        ("lines.0.quantity", None),
        ("lines.0.price.amount", -1),
        ("lines.0.price.amount", 1.0),
        ("lines.0.price.amount", 12.5),
        ("lines.0.price.amount", "1250"),
        ("lines.0.price.amount", True),
        ("lines.0.price.amount", LARGEST_AMOUNT + 1),
        ("lines.0.price.amount", 10**400),
        ("lines.0.price.currency", "EURO"),
        ("lines.0.price.currency", "eur"),
        ("lines.0.price.currency", "XAU"),
        ("lines.0.price.currency", "XXX"),
        ("payment_method", "pm card"),
        ("payment_method", "x" * 256),
    ],
)
def test_a_value_beyond_its_limit_is_refused(path: str, value: object) -> None:
    with pytest.raises(ContractBroken, match=rf"OrderPlaced: {path.partition('.')[0]}"):
        read(OrderPlaced, an_order_with(path, value))


def test_an_order_in_two_currencies_is_refused() -> None:
    with pytest.raises(ContractBroken, match="one currency"):
        read(OrderPlaced, an_order_with("lines.1.price.currency", "CHF"))


def test_an_order_may_cost_as_much_as_an_amount_can_hold_and_no_more() -> None:
    def costing(amount: int) -> dict[str, Any]:
        price = {"amount": amount, "currency": "EUR"}
        return order_data() | {"lines": [{"sku": sku, "quantity": 1, "price": price} for sku in ("mug", "cup")]}

    most = read(OrderPlaced, costing(LARGEST_AMOUNT // 2))
    assert isinstance(most, OrderPlaced)
    assert most.total == Money(amount=LARGEST_AMOUNT - 1, currency="EUR")
    with pytest.raises(ContractBroken, match="total"):
        read(OrderPlaced, costing(LARGEST_AMOUNT // 2 + 1))


def test_an_order_counts_two_lines_of_one_article_together() -> None:
    order = an_order(lines=[("mug", 2), ("poster", 1), ("mug", 3)])

    assert order.quantities() == {"mug": 5, "poster": 1}
    assert order.total == Money(amount=6 * 1250, currency="EUR")


def test_a_line_is_as_strict_as_the_order_it_stands_in() -> None:
    with pytest.raises(ValidationError):
        OrderLine.model_validate_json(
            '{"sku": "a", "quantity": 1.0, "price": {"amount": 1, "currency": "EUR"}}', strict=True
        )


@pytest.mark.parametrize("amount", [0, 1, LARGEST_AMOUNT])
def test_an_amount_survives_every_json_reader(amount: int) -> None:
    # A reader that keeps numbers as floats, as JavaScript does.
    assert int(float(Money(amount=amount, currency="JPY").amount)) == amount


def test_the_largest_order_leaves_room_for_all_that_comes_of_it() -> None:
    line = {"sku": "s" * 64, "quantity": 1_000_000, "price": {"amount": 10**7, "currency": "EUR"}}
    customer = {
        "name": "🦉" * 200,
        "email": f"{'a' * 242}@example.com",
        "language": "de-" + "1234567-" * 3 + "12345678",
    }
    address = {"lines": ["🦉" * 200] * 4, "postal_code": "🦉" * 16, "city": "🦉" * 100, "country": "AT"}
    order = read(
        OrderPlaced, an_example(OrderPlaced) | {"customer": customer, "lines": [line] * 50, "ship_to": address}
    )

    assert len(order.to_json().encode()) < MAX_EVENT_BYTES / 2


@pytest.mark.parametrize("path", ["ship_to.lines.0", "ship_to.city", "customer.name", "customer.language"])
def test_no_text_of_an_order_is_endless(path: str) -> None:
    with pytest.raises(ContractBroken, match="at most"):
        read(OrderPlaced, an_order_with(path, "en" + "-xx" * 10_000))


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"resourceType": "a secret"}, "resource: 'resourceType' must be one of 'Patient', "),
        ({"resourceType": "Patient", "birthDate": "a secret"}, "resource.Patient.birthDate: String should match"),
        ({"resourceType": "Patient", "name": [{"a secret": 1, "family": 1}]}, "resource.Patient.name.0.family: Input"),
        ("a secret", "resource: Input should be an object"),
    ],
)
def test_the_reason_for_a_part_of_no_known_kind_says_which_there_are_and_quotes_nothing(
    resource: object, reason: str
) -> None:
    with pytest.raises(ContractBroken) as broken:
        read(PatientRecordUpdated, an_example(PatientRecordUpdated) | {"resource": resource})

    assert f"PatientRecordUpdated: {reason}" in str(broken.value)
    assert "secret" not in str(broken.value)
