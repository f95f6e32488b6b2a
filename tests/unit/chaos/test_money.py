"""The checker sees it when a minor unit is charged twice, kept, or lost."""

from collections.abc import Callable

import pytest

from chaos.checker.money import MONEY
from chaos.checker.world import Movement
from tests.unit.chaos.worlds import (
    Making,
    a_shop,
    assert_found_out,
    breaches,
    cancel,
    pay,
    pay_back,
    place,
    put_aside,
    write,
)


def test_a_shop_whose_money_is_all_told_of_breaks_nothing() -> None:
    assert breaches(a_shop(), MONEY) == []


def test_an_order_that_costs_nothing_is_paid_without_money() -> None:
    shop = a_shop()
    place(shop, "1005", {})
    shop.tables["orders"]["1005"]["purchase"]["lines"].append(
        {"sku": "leaflet", "quantity": 1, "price": {"amount": 0, "currency": "EUR"}}
    )
    put_aside(shop, "1005", {"leaflet": 1})
    pay(shop, "1005", 0, "OrderConfirmed")
    shop.paid.pop()

    assert breaches(shop, MONEY) == []


def test_two_refunds_of_the_same_amount_are_two() -> None:
    shop = a_shop()
    for refund in ("R-1", "R-2"):
        pay_back(shop, "1001", refund, 500, "service_desk")

    assert breaches(shop, MONEY) == []


# What is shown where accounts are looked at.
def test_a_charge_whose_event_is_dead_is_no_breach_of_its_own() -> None:
    shop = a_shop()
    shop.paid.append(Movement(order="1004", amount=1250, currency="EUR"))
    shop.account(shop.the("StockReserved", order_id="1004"), "charge-order", "dead", error="ProcessDied")

    assert breaches(shop, MONEY) == []


def test_a_refund_whose_event_is_dead_is_no_breach_of_its_own() -> None:
    shop = a_shop()
    shop.account(shop.the("RefundRequested"), "refund-order", "dead")
    shop.forget(shop.the("PaymentRefunded"))
    assert breaches(shop, MONEY) == []

    shop.paid_back.clear()
    assert breaches(shop, MONEY) == []


def test_a_payment_that_the_order_has_not_heard_of_is_no_breach_of_its_own() -> None:
    shop = a_shop()
    shop.account(shop.the("PaymentSucceeded", order_id="1003"), "confirm-order", "dead")
    for event_type in ("RefundRequested", "PaymentRefunded"):
        shop.forget(shop.the(event_type))
    shop.paid_back.clear()
    shop.tables["orders"]["1003"] |= {"paid": 0, "refunds": {}}

    assert breaches(shop, MONEY) == []


def charge_twice(shop: Making) -> None:
    shop.paid.append(shop.paid[0])


def charge_what_failed(shop: Making) -> None:
    shop.event("PaymentFailed", "payment/1004", order_id="1004", reason="declined")
    shop.paid.append(Movement(order="1004", amount=1250, currency="EUR"))


def charge_a_stranger(shop: Making) -> None:
    shop.paid.append(Movement(order="1009", amount=1250, currency="EUR"))


def lose_the_payment(shop: Making) -> None:
    del shop.paid[0]


def charge_a_cent_too_much(shop: Making) -> None:
    shop.paid[0] = Movement(order="1001", amount=2501, currency="EUR")


def charge_in_dollars(shop: Making) -> None:
    shop.paid[0] = Movement(order="1001", amount=2500, currency="USD")


def tell_two_ends(shop: Making) -> None:
    shop.event("PaymentFailed", "payment/1001", order_id="1001", reason="declined")


def charge_before_there_are_goods(shop: Making) -> None:
    shop.forget(shop.the("StockReserved", order_id="1001"))


def confirm_unpaid(shop: Making) -> None:
    shop.event("OrderConfirmed", "order/1004", order_id="1004")
    shop.tables["orders"]["1004"]["stage"] = "confirmed"


def decide_twice(shop: Making) -> None:
    cancel(shop, "1001", "payment_failed")
    shop.tables["orders"]["1001"]["stage"] = "fulfilled"


def keep_the_money(shop: Making) -> None:
    for event_type in ("RefundRequested", "PaymentRefunded"):
        shop.forget(shop.the(event_type))
    shop.paid_back.clear()
    shop.tables["orders"]["1003"]["refunds"] = {}


def tell_of_a_refund_alone(shop: Making) -> None:
    shop.paid_back.clear()


def pay_back_in_secret(shop: Making) -> None:
    shop.paid_back.append(Movement(order="1001", amount=100, currency="EUR"))


def pay_back_twice(shop: Making) -> None:
    shop.paid_back.append(shop.paid_back[0])


def pay_back_unasked(shop: Making) -> None:
    shop.forget(shop.the("RefundRequested"))
    shop.tables["orders"]["1003"]["refunds"] = {}


def tell_twice_of_a_refund(shop: Making) -> None:
    pay_back(shop, "1001", "R-1", 500, "service_desk")
    pay_back(shop, "1001", "R-1", 500, "service_desk")


def lose_the_row(shop: Making) -> None:
    del shop.tables["orders"]["1004"]


def make_a_row_up(shop: Making) -> None:
    shop.row("orders", "1009", stage="placed")
    write(shop, "1009", "confirmed", "Your order 1009 is confirmed")


def let_the_row_lag(shop: Making) -> None:
    shop.tables["orders"]["1001"] |= {"stage": "placed", "paid": 0}


def change_the_price(shop: Making) -> None:
    shop.tables["orders"]["1004"]["purchase"] = {"lines": []}


@pytest.mark.parametrize(
    ("breaking", "says"),
    [
        (charge_twice, "order 1001 was charged 2 times"),
        (charge_what_failed, "of order 1004 nothing was paid by the events, and 1250 minor units of EUR by the"),
        (charge_a_stranger, "there is money, or a row, of order 1009, which nobody has placed"),
        (lose_the_payment, "of order 1001 2500 minor units of EUR was paid by the events, and nothing by the provider"),
        (charge_a_cent_too_much, "order 1001 costs 2500 minor units of EUR, and 2501 minor units of EUR was paid"),
        (charge_in_dollars, "order 1001 costs 2500 minor units of EUR, and 2500 minor units of USD was paid"),
        (tell_two_ends, "it was told more than once how the payment of order 1001 has ended"),
        (charge_before_there_are_goods, "order 1001 was paid, and nothing was put aside for it"),
        (confirm_unpaid, "order 1004 is confirmed, and was not paid"),
        (decide_twice, "order 1001 was decided about more than once"),
        (decide_twice, "order 1001 is cancelled, and 2500 minor units of EUR of it was not paid back"),
        (keep_the_money, "order 1003 is cancelled, and 1250 minor units of EUR of it was not paid back"),
        (tell_of_a_refund_alone, "of order 1003 1250 minor units of EUR is told to be paid back, and the provider has"),
        (pay_back_in_secret, "of order 1001 100 minor units of EUR was paid back by the provider, and no event tells"),
        (pay_back_twice, "1250 minor units of EUR more was paid back of order 1003 than was paid"),
        (pay_back_unasked, "refund cancelled of order 1003, 1250 minor units of EUR, was paid back, and nobody asked"),
        (tell_twice_of_a_refund, "refund R-1 of order 1001 is told of more than once"),
        (lose_the_row, "order 1004 has no row"),
        (make_a_row_up, "there is money, or a row, of order 1009, which nobody has placed"),
        (let_the_row_lag, "the row of order 1001 has stage placed, and by its events it is fulfilled"),
        (let_the_row_lag, "the row of order 1001 has paid 0, and by its events it is 2500"),
        (change_the_price, "the row of order 1004 has total (0, ''), and by its events it is (1250, 'EUR')"),
    ],
)
def test_a_shop_that_breaks_the_promise_is_found_out(breaking: Callable[[Making], None], says: str) -> None:
    assert_found_out(a_shop(), breaking, MONEY, says)
