"""The limits of an order's contract."""

import json
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from daybook.contracts.contract import ContractBroken, Event
from daybook.contracts.envelope import MAX_EVENT_BYTES
from daybook.contracts.values import MAX_AMOUNT, Money
from events.orders import ArticleLine, OrderCancelled, OrderPlaced
from tests.unit.shop.builders import a_confirmation, a_fulfilment, an_order, order_data


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
        ("order_id", " 1001"),
        ("order_id", "1001 "),
        ("order_id", "@1001"),
        ("order_id", "Nº1001"),
        ("order_id", "10\n01"),
        ("order_id", 1001),
        ("order_id", None),
        ("customer.name", ""),
        ("customer.name", "Ada \u202eecalevoL"),
        ("customer.name", "Ada\x00"),
        ("customer.name", "Ada\nLovelace"),
        ("customer.email", "ada\x00@example.com"),
        ("customer.email", "ada@exam\u200bple.com"),
        ("customer.email", "ada@\u202emoc.elpmaxe.com"),
        ("customer.email", "ada@\u2066example.com"),
        ("lines.0.name", "Mug \u2067x"),
        ("customer.name", "x" * 201),
        ("customer.email", "ada"),
        ("customer.email", "ada@example.com\nbcc: all@example.com"),
        ("customer.email", "a" * 250 + "@b.de"),
        ("customer.language", "the English one"),
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
        ("lines.0.price.amount", MAX_AMOUNT + 1),
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

    most = read(OrderPlaced, costing(MAX_AMOUNT // 2))
    assert isinstance(most, OrderPlaced)
    assert most.total == Money(amount=MAX_AMOUNT - 1, currency="EUR")
    with pytest.raises(ContractBroken, match="total"):
        read(OrderPlaced, costing(MAX_AMOUNT // 2 + 1))


def test_an_order_counts_two_lines_of_one_article_together() -> None:
    order = an_order(lines=[("mug", 2), ("poster", 1), ("mug", 3)])

    assert order.quantities() == {"mug": 5, "poster": 1}
    assert order.total == Money(amount=6 * 1250, currency="EUR")


def test_a_line_is_as_strict_as_the_order_it_stands_in() -> None:
    with pytest.raises(ValidationError):
        ArticleLine.model_validate_json(
            '{"sku": "a", "quantity": 1.0, "price": {"amount": 1, "currency": "EUR"}}', strict=True
        )


def test_the_largest_order_leaves_room_for_all_that_comes_of_it() -> None:
    sku, price = '"' * 64, {"amount": 10**7, "currency": "EUR"}
    article = {"sku": sku, "name": "🦉" * 160, "quantity": 10**6, "price": price}
    fee = {"kind": "shipping", "name": "🦉" * 160, "price": price}
    customer = {
        "name": "🦉" * 200,
        "email": f"{'a' * 242}@example.com",
        "language": "de-" + "1234567-" * 31 + "1234",
    }
    address = {"lines": ["🦉" * 200] * 4, "postal_code": "🦉" * 16, "city": "🦉" * 100, "country": "AT"}
    lines = [article] * 50 + [fee] * 10
    data = an_example(OrderPlaced) | {"customer": customer, "lines": lines, "ship_to": address}
    order = OrderPlaced.read(json.dumps(data), version=1)
    cancelled = OrderCancelled(order_id="#" * 64, purchase=order.purchase, reason="out_of_stock", missing=[sku] * 50)

    for event in (order, a_confirmation(order), a_fulfilment(order), cancelled):
        assert len(event.to_json().encode()) < MAX_EVENT_BYTES * 0.95


@pytest.mark.parametrize("path", ["ship_to.lines.0", "ship_to.city", "customer.name", "customer.language"])
def test_no_text_of_an_order_is_endless(path: str) -> None:
    with pytest.raises(ContractBroken, match="at most"):
        read(OrderPlaced, an_order_with(path, "en" + "-xx" * 10_000))
