"""Orders as shops have them: numbers, lines of all kinds, language tags and addresses."""

import json
from typing import Any

import pytest

from daybook.contracts.contract import ContractBroken
from daybook.contracts.identity import filled_key, key_part, stream_name
from events.orders import OrderPlaced
from events.values import Customer
from functions.inventory import reserve_stock
from functions.inventory.stock import Reservation
from functions.orders import place_order
from functions.orders.order import Order
from functions.shipping import prepare_shipment
from tests.unit.shop.builders import a_confirmation, an_order, order_data, received_stock
from tests.unit.world import World

MUG = {"sku": "mug", "quantity": 2, "price": {"amount": 1250, "currency": "EUR"}}


def line(kind: str, amount: int, currency: str = "EUR", **other: Any) -> dict[str, Any]:
    return {"kind": kind, "price": {"amount": amount, "currency": currency}, **other}


def read(**data: Any) -> OrderPlaced:
    return OrderPlaced.read(json.dumps(order_data() | data), version=1)


def rejection(**data: Any) -> str:
    with pytest.raises(ContractBroken) as error:
        read(**data)
    return str(error.value)


@pytest.mark.parametrize(
    ("number", "stream"),
    [
        ("#1001", "order/%231001"),
        ("2026/15", "order/2026%2F15"),
        ("DE 1001", "order/DE%201001"),
        ("50%", "order/50%25"),
        ("%2350", "order/%252350"),
        ("A.b_c-9", "order/A.b_c-9"),
        ("SO:7", "order/SO:7"),
    ],
)
def test_an_order_number_as_shops_write_it_is_accepted_and_encoded_in_the_stream(number: str, stream: str) -> None:
    order = read(order_id=number)

    assert (order.order_id, order.stream) == (number, stream)


def test_an_order_number_with_other_characters_is_rejected_with_the_value_and_examples() -> None:
    reason = rejection(order_id="Nº 1001")

    assert "order_id: 'N\\xba 1001' is not a number as shops write it" in reason
    assert "#1001" in reason


def test_an_order_with_such_a_number_is_saved_reserved_and_sent(world: World) -> None:
    order = an_order("#1001/A", lines=[("MUG / blue", 1)])
    world.receive(reserve_stock.handler, order)
    world.receive(place_order.handler, order)
    world.receive(prepare_shipment.handler, a_confirmation(order))

    assert world.row(Order, "#1001/A") is not None
    assert world.events("shipment/%231001%2FA") != []
    assert received_stock("MUG / blue").stream == "stock/MUG%20%2F%20blue"


def test_values_with_separators_never_give_the_same_key() -> None:
    keys = {
        filled_key("refund/{order_id}/{refund_id}", {"order_id": order, "refund_id": refund})
        for order, refund in [("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("a", "b%2Fc")]
    }

    assert len(keys) == 4
    assert key_part("1001:R-1") == "1001:R-1"


@pytest.mark.parametrize("given", ["order/#1001", "order/%231001"])
def test_an_operator_names_a_stream_by_the_number_or_by_its_encoded_name(given: str) -> None:
    assert stream_name(given) == "order/%231001"
    assert stream_name("order/") == "order/"


def test_the_total_is_the_sum_of_lines_of_all_kinds() -> None:
    order = read(
        lines=[
            MUG,
            line("shipping", 490),
            line("fee", 200, name="Gift wrap"),
            line("discount", -500, name="WELCOME"),
            line("tax", 438),
            line("tax", -83, name="tax on the discount"),
            line("tax", 417, included=True),
        ]
    )

    assert order.total.amount == 2500 + 490 + 200 - 500 + 438 - 83
    assert order.quantities() == {"mug": 2}


def test_an_order_may_be_free_after_its_discount() -> None:
    assert read(lines=[MUG, line("discount", -2500)]).total.amount == 0


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [MUG, line("discount", 500)],
            "lines.1.price: the amount of a discount is at most 0, not 500: write -500",
        ),
        (
            [MUG, line("discount", -2501)],
            "lines: the total of the order is -1 minor units of EUR: lower the discounts by 1",
        ),
        ([MUG, line("shipping", -1)], "lines.1.price.amount: Input should be greater than or equal to 0"),
        ([MUG, line("fee", 100, "USD")], "lines: all lines of an order must be in one currency, not in EUR and USD"),
        ([line("shipping", 100)], "lines: an order needs 1 to 50 lines of the kind article, not 0"),
        ([MUG] * 51, "lines: an order needs 1 to 50 lines of the kind article, not 51"),
        (
            [MUG, line("coupon", -100)],
            "lines.1: kind must be one of article (the default), shipping, fee, discount, tax",
        ),
        ([MUG, {**MUG, "sku": None}], "lines.1.sku: Input should be a valid string"),
    ],
)
def test_an_invalid_line_is_rejected_with_field_rule_and_suggestion(lines: list[Any], reason: str) -> None:
    assert reason in rejection(lines=lines)


def test_only_articles_are_reserved_and_sent(world: World) -> None:
    order = an_order().model_copy(update={"lines": read(lines=[MUG, line("shipping", 490)]).lines})
    world.receive(reserve_stock.handler, order)
    world.receive(prepare_shipment.handler, a_confirmation(order))

    (requested,) = world.events("shipment/1001")
    assert [each["sku"] for each in json.loads(requested.to_json())["lines"]] == ["mug"]
    assert world.row(Reservation, "1001") is None  # there is no stock


@pytest.mark.parametrize(
    "tag",
    [
        "en-US-u-mu-celsius",
        "DE-at",
        "de_AT",
        "x-klingon",
        "i-klingon",
        "zh-cmn-Hans-CN",
        "es-419",
        "a" * 8,
        "de-" + "x1-" * 80 + "a",
    ],
)
def test_a_language_tag_of_any_form_is_accepted(tag: str) -> None:
    assert Customer(name="T", email="t@example.com", language=tag).language == tag


@pytest.mark.parametrize("tag", ["", "-de", "de-", "de--AT", "German, please", "de-ninechars"])
def test_a_text_that_is_no_language_tag_is_rejected(tag: str) -> None:
    reason = rejection(customer={"name": "T", "email": "t@example.com", "language": tag})

    assert "customer.language: not a language tag of RFC 5646: write it as de or de-AT" in reason


@pytest.mark.parametrize("email", ["t@bücher.example", "t@例え。テスト", "o'neil+shop@example.com", "t@a.b.c"])
def test_an_address_with_an_internationalised_domain_is_accepted(email: str) -> None:
    assert Customer(name="T", email=email).email == email


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("tö@example.com", "the part before the @ has characters other than ASCII"),
        ("tö@bücher.example", "the part before the @ has characters other than ASCII"),
        ("t@localhost", "not an e-mail address: write it as name@example.com"),
        ("t@a..b", "not an e-mail address: write it as name@example.com"),
        ("t@a b.example", "not an e-mail address: write it as name@example.com"),
        ("a@b@c.example", "not an e-mail address: write it as name@example.com"),
    ],
)
def test_an_address_that_ses_cannot_reach_is_rejected_without_quoting_it(email: str, reason: str) -> None:
    given = rejection(customer={"name": "T", "email": email})

    assert f"customer.email: {reason}" in given
    assert email not in given
