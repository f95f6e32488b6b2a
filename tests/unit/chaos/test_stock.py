"""The checker finds stock that is lost or sold twice."""

from collections.abc import Callable

import pytest

from chaos.checker.stock import STOCK
from tests.unit.chaos.snapshots import (
    SnapshotBuilder,
    a_shop,
    assert_violation_found,
    reserve,
    stock_received,
    violations,
)


def test_a_shop_where_every_piece_is_accounted_for_is_valid() -> None:
    assert violations(a_shop(), STOCK) == []


def test_stock_whose_event_is_dead_does_not_count_as_received() -> None:
    shop = a_shop()
    stock_received(shop, "mug", 5)
    shop.status(shop.the("StockReceived", quantity=5), "receive-stock", "dead")

    assert violations(shop, STOCK) == []


def test_an_order_that_is_cancelled_before_its_reservation_gets_no_stock() -> None:
    shop = a_shop()
    shop.remove(shop.the("OutOfStock"))

    assert violations(shop, STOCK) == []


def lose_a_piece(shop: SnapshotBuilder) -> None:
    shop.tables["stock"]["mug"]["available"] -= 1


def sell_a_piece_twice(shop: SnapshotBuilder) -> None:
    shop.tables["reservations"]["1004"]["pieces"] = {"mug": 2}


def reserve_for_nobody(shop: SnapshotBuilder) -> None:
    shop.tables["stock"]["mug"] |= {"available": 6, "reserved": 2}


def have_negative_stock(shop: SnapshotBuilder) -> None:
    stock_received(shop, "cup", 1)
    shop.event("StockReserved", "reservation/1002", order_id="1002")
    shop.row("stock", "cup", available=-1, reserved=2)


def reserve_other_articles(shop: SnapshotBuilder) -> None:
    stock_received(shop, "cup", 1)
    shop.row("stock", "cup", reserved=1)
    shop.tables["stock"]["mug"] |= {"available": 8, "reserved": 0}
    shop.tables["reservations"]["1004"]["pieces"] = {"cup": 1}


def forget_the_reservation(shop: SnapshotBuilder) -> None:
    shop.remove(shop.the("StockReserved", order_id="1004"))


def lose_the_reservation(shop: SnapshotBuilder) -> None:
    del shop.tables["reservations"]["1004"]


def record_two_results(shop: SnapshotBuilder) -> None:
    shop.event("OutOfStock", "reservation/1001", order_id="1001", skus=["mug"])


def record_no_result(shop: SnapshotBuilder) -> None:
    shop.event("OrderPlaced", "order/1005", "reserve-stock", order_id="1005", lines=[])


def keep_what_is_sold(shop: SnapshotBuilder) -> None:
    shop.tables["reservations"]["1001"]["stage"] = "reserved"
    shop.tables["stock"]["mug"]["reserved"] = 3


def send_what_is_not_confirmed(shop: SnapshotBuilder) -> None:
    shop.tables["reservations"]["1004"]["stage"] = "committed"
    shop.tables["stock"]["mug"]["reserved"] = 0


def keep_what_is_cancelled(shop: SnapshotBuilder) -> None:
    shop.tables["reservations"]["1003"]["stage"] = "reserved"
    shop.tables["stock"]["mug"] |= {"available": 6, "reserved": 2}


def reserve_for_an_unknown_order(shop: SnapshotBuilder) -> None:
    shop.tables["order-status"]["1009"] = {}
    reserve(shop, "1009", {"mug": 1})
    shop.tables["stock"]["mug"] |= {"available": 6, "reserved": 2}


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lose_a_piece, "article mug: 10 pieces received, but there are 9"),
        (sell_a_piece_twice, "article mug: 1 pieces are reserved in stock, but 2 in reservations"),
        (sell_a_piece_twice, "order 1004 has reserved other pieces than it ordered"),
        (reserve_for_nobody, "article mug: 2 pieces are reserved in stock, but 1 in reservations"),
        (have_negative_stock, "article cup: -1 pieces are available"),
        (reserve_other_articles, "order 1004 has reserved other pieces than it ordered"),
        (forget_the_reservation, "order 1004 has no StockReserved, but a reservation"),
        (lose_the_reservation, "order 1004 has StockReserved, but no reservation"),
        (record_two_results, "order 1001 has more than one result of its reservation"),
        (record_no_result, "order 1005 has no result of its reservation"),
        (keep_what_is_sold, "the reservation of order 1001 is reserved; expected from its events: committed"),
        (send_what_is_not_confirmed, "the reservation of order 1004 is committed; expected from its events: reserved"),
        (keep_what_is_cancelled, "the reservation of order 1003 is reserved; expected from its events: released"),
        (reserve_for_an_unknown_order, "there is a reservation for order 1009, which was never placed"),
    ],
)
def test_a_violation_is_found(break_it: Callable[[SnapshotBuilder], None], expected: str) -> None:
    assert_violation_found(a_shop(), break_it, STOCK, expected)
