"""The checker finds money that is charged twice, kept or lost."""

from collections.abc import Callable

import pytest

from chaos.checker.money import MONEY
from chaos.checker.snapshot import Movement
from tests.unit.chaos.snapshots import (
    SnapshotBuilder,
    a_shop,
    assert_violation_found,
    cancel,
    make_refund,
    pay,
    place,
    reserve,
    send_email,
    violations,
)


def test_a_shop_with_an_event_for_each_payment_is_valid() -> None:
    assert violations(a_shop(), MONEY) == []


def test_an_order_of_0_needs_no_payment() -> None:
    shop = a_shop()
    place(shop, "1005", {})
    shop.tables["orders"]["1005"]["purchase"]["lines"].append(
        {"sku": "leaflet", "quantity": 1, "price": {"amount": 0, "currency": "EUR"}}
    )
    reserve(shop, "1005", {"leaflet": 1})
    pay(shop, "1005", 0, "OrderConfirmed")
    shop.paid.pop()

    assert violations(shop, MONEY) == []


def test_an_order_may_have_two_refunds_of_the_same_amount() -> None:
    shop = a_shop()
    for refund in ("R-1", "R-2"):
        make_refund(shop, "1001", refund, 500, "service_desk")

    assert violations(shop, MONEY) == []


# The invariant PROCESSED reports it.
def test_a_charge_whose_event_is_dead_is_no_further_violation() -> None:
    shop = a_shop()
    shop.paid.append(Movement(order="1004", amount=1250, currency="EUR"))
    shop.status(shop.the("StockReserved", order_id="1004"), "charge-order", "dead", error="ProcessDied")

    assert violations(shop, MONEY) == []


def test_a_refund_whose_event_is_dead_is_no_further_violation() -> None:
    shop = a_shop()
    shop.status(shop.the("RefundRequested"), "refund-order", "dead")
    shop.remove(shop.the("PaymentRefunded"))
    assert violations(shop, MONEY) == []

    shop.refunds_made.clear()
    assert violations(shop, MONEY) == []


def test_a_payment_whose_event_is_dead_at_the_order_is_no_further_violation() -> None:
    shop = a_shop()
    shop.status(shop.the("PaymentSucceeded", order_id="1003"), "confirm-order", "dead")
    for event_type in ("RefundRequested", "PaymentRefunded"):
        shop.remove(shop.the(event_type))
    shop.refunds_made.clear()
    shop.tables["orders"]["1003"] |= {"paid": 0, "refunds": {}}

    assert violations(shop, MONEY) == []


def charge_twice(shop: SnapshotBuilder) -> None:
    shop.paid.append(shop.paid[0])


def charge_what_failed(shop: SnapshotBuilder) -> None:
    shop.event("PaymentFailed", "payment/1004", order_id="1004", reason="declined")
    shop.paid.append(Movement(order="1004", amount=1250, currency="EUR"))


def charge_an_unknown_order(shop: SnapshotBuilder) -> None:
    shop.paid.append(Movement(order="1009", amount=1250, currency="EUR"))


def lose_the_payment(shop: SnapshotBuilder) -> None:
    del shop.paid[0]


def charge_a_cent_too_much(shop: SnapshotBuilder) -> None:
    shop.paid[0] = Movement(order="1001", amount=2501, currency="EUR")


def charge_in_dollars(shop: SnapshotBuilder) -> None:
    shop.paid[0] = Movement(order="1001", amount=2500, currency="USD")


def record_two_results(shop: SnapshotBuilder) -> None:
    shop.event("PaymentFailed", "payment/1001", order_id="1001", reason="declined")


def charge_without_reserved_stock(shop: SnapshotBuilder) -> None:
    shop.remove(shop.the("StockReserved", order_id="1001"))


def confirm_unpaid(shop: SnapshotBuilder) -> None:
    shop.event("OrderConfirmed", "order/1004", order_id="1004")
    shop.tables["orders"]["1004"]["stage"] = "confirmed"


def decide_twice(shop: SnapshotBuilder) -> None:
    cancel(shop, "1001", "payment_failed")
    shop.tables["orders"]["1001"]["stage"] = "fulfilled"


def keep_the_money(shop: SnapshotBuilder) -> None:
    for event_type in ("RefundRequested", "PaymentRefunded"):
        shop.remove(shop.the(event_type))
    shop.refunds_made.clear()
    shop.tables["orders"]["1003"]["refunds"] = {}


def record_a_refund_that_was_not_made(shop: SnapshotBuilder) -> None:
    shop.refunds_made.clear()


def refund_without_an_event(shop: SnapshotBuilder) -> None:
    shop.refunds_made.append(Movement(order="1001", amount=100, currency="EUR"))


def refund_twice(shop: SnapshotBuilder) -> None:
    shop.refunds_made.append(shop.refunds_made[0])


def refund_without_a_request(shop: SnapshotBuilder) -> None:
    shop.remove(shop.the("RefundRequested"))
    shop.tables["orders"]["1003"]["refunds"] = {}


def record_a_refund_twice(shop: SnapshotBuilder) -> None:
    make_refund(shop, "1001", "R-1", 500, "service_desk")
    make_refund(shop, "1001", "R-1", 500, "service_desk")


def lose_the_row(shop: SnapshotBuilder) -> None:
    del shop.tables["orders"]["1004"]


def add_an_unknown_row(shop: SnapshotBuilder) -> None:
    shop.row("orders", "1009", stage="placed")
    send_email(shop, "1009", "confirmed", "Your order 1009 is confirmed")


def leave_an_old_row(shop: SnapshotBuilder) -> None:
    shop.tables["orders"]["1001"] |= {"stage": "placed", "paid": 0}


def change_the_price(shop: SnapshotBuilder) -> None:
    shop.tables["orders"]["1004"]["purchase"] = {"lines": []}


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (charge_twice, "order 1001 was charged 2 times"),
        (charge_what_failed, "order 1004: nothing paid according to the events, 1250 minor units of EUR according to"),
        (charge_an_unknown_order, "there is a payment or a row for order 1009, which was never placed"),
        (lose_the_payment, "order 1001: 2500 minor units of EUR paid according to the events, nothing according to"),
        (charge_a_cent_too_much, "order 1001 costs 2500 minor units of EUR, but 2501 minor units of EUR was paid"),
        (charge_in_dollars, "order 1001 costs 2500 minor units of EUR, but 2500 minor units of USD was paid"),
        (record_two_results, "there is more than one result of the payment of order 1001"),
        (charge_without_reserved_stock, "order 1001 was paid, but no stock was reserved"),
        (confirm_unpaid, "order 1004 is confirmed, but was not paid"),
        (decide_twice, "order 1001 was confirmed or cancelled more than once"),
        (decide_twice, "order 1001 is cancelled, but 2500 minor units of EUR was not refunded"),
        (keep_the_money, "order 1003 is cancelled, but 1250 minor units of EUR was not refunded"),
        (
            record_a_refund_that_was_not_made,
            "order 1003: the events say that 1250 minor units of EUR was refunded, but not",
        ),
        (
            refund_without_an_event,
            "order 1001: the provider has refunded 100 minor units of EUR, but there is no event",
        ),
        (refund_twice, "order 1003: 1250 minor units of EUR more was refunded than was paid"),
        (
            refund_without_a_request,
            "refund cancelled of order 1003, 1250 minor units of EUR, was made, but not requested",
        ),
        (record_a_refund_twice, "refund R-1 of order 1001 has more than one event"),
        (lose_the_row, "order 1004 has no row"),
        (add_an_unknown_row, "there is a payment or a row for order 1009, which was never placed"),
        (leave_an_old_row, "the row of order 1001 has stage placed; expected from its events: fulfilled"),
        (leave_an_old_row, "the row of order 1001 has paid 0; expected from its events: 2500"),
        (change_the_price, "the row of order 1004 has total (0, ''); expected from its events: (1250, 'EUR')"),
    ],
)
def test_a_violation_is_found(break_it: Callable[[SnapshotBuilder], None], expected: str) -> None:
    assert_violation_found(a_shop(), break_it, MONEY, expected)
