"""The checker sees it when a piece of stock is lost, or sold twice."""

from collections.abc import Callable

import pytest

from chaos.checker.stock import STOCK
from tests.unit.chaos.worlds import Making, a_shop, assert_found_out, breaches, goods, put_aside


def test_a_shop_where_all_pieces_are_somewhere_breaks_nothing() -> None:
    assert breaches(a_shop(), STOCK) == []


def test_goods_that_nobody_has_put_on_the_shelf_yet_have_not_come_in() -> None:
    shop = a_shop()
    goods(shop, "mug", 5)
    shop.account(shop.the("StockReceived", quantity=5), "receive-stock", "dead")

    assert breaches(shop, STOCK) == []


def test_an_order_that_is_cancelled_before_its_goods_are_looked_for_gets_none() -> None:
    shop = a_shop()
    shop.forget(shop.the("OutOfStock"))

    assert breaches(shop, STOCK) == []


def lose_a_piece(shop: Making) -> None:
    shop.tables["stock"]["mug"]["available"] -= 1


def sell_a_piece_twice(shop: Making) -> None:
    shop.tables["reservations"]["1004"]["pieces"] = {"mug": 2}


def reserve_for_nobody(shop: Making) -> None:
    shop.tables["stock"]["mug"] |= {"available": 6, "reserved": 2}


def have_fewer_than_nothing(shop: Making) -> None:
    goods(shop, "cup", 1)
    shop.event("StockReserved", "reservation/1002", order_id="1002")
    shop.row("stock", "cup", available=-1, reserved=2)


def put_aside_other_goods(shop: Making) -> None:
    goods(shop, "cup", 1)
    shop.row("stock", "cup", reserved=1)
    shop.tables["stock"]["mug"] |= {"available": 8, "reserved": 0}
    shop.tables["reservations"]["1004"]["pieces"] = {"cup": 1}


def forget_the_reservation(shop: Making) -> None:
    shop.forget(shop.the("StockReserved", order_id="1004"))


def lose_the_reservation(shop: Making) -> None:
    del shop.tables["reservations"]["1004"]


def tell_twice(shop: Making) -> None:
    shop.event("OutOfStock", "reservation/1001", order_id="1001", skus=["mug"])


def say_nothing(shop: Making) -> None:
    shop.event("OrderPlaced", "order/1005", "reserve-stock", order_id="1005", lines=[])


def keep_what_is_sold(shop: Making) -> None:
    shop.tables["reservations"]["1001"]["stage"] = "reserved"
    shop.tables["stock"]["mug"]["reserved"] = 3


def send_what_is_not_confirmed(shop: Making) -> None:
    shop.tables["reservations"]["1004"]["stage"] = "committed"
    shop.tables["stock"]["mug"]["reserved"] = 0


def keep_what_is_cancelled(shop: Making) -> None:
    shop.tables["reservations"]["1003"]["stage"] = "reserved"
    shop.tables["stock"]["mug"] |= {"available": 6, "reserved": 2}


def put_aside_for_nobody(shop: Making) -> None:
    shop.tables["order-status"]["1009"] = {}
    put_aside(shop, "1009", {"mug": 1})
    shop.tables["stock"]["mug"] |= {"available": 6, "reserved": 2}


@pytest.mark.parametrize(
    ("breaking", "says"),
    [
        (lose_a_piece, "of article mug 10 pieces have come in, and there are 9"),
        (sell_a_piece_twice, "of article mug 1 pieces are reserved, and orders have 2 put aside"),
        (sell_a_piece_twice, "other pieces are put aside for order 1004 than it has ordered"),
        (reserve_for_nobody, "of article mug 2 pieces are reserved, and orders have 1 put aside"),
        (have_fewer_than_nothing, "of article cup -1 pieces are available"),
        (put_aside_other_goods, "other pieces are put aside for order 1004 than it has ordered"),
        (forget_the_reservation, "no StockReserved is told of order 1004, and something was put aside for it"),
        (lose_the_reservation, "StockReserved is told of order 1004, and nothing was put aside for it"),
        (tell_twice, "it was told more than once whether there are goods for order 1001"),
        (say_nothing, "it was never told whether there are goods for order 1005"),
        (keep_what_is_sold, "the goods of order 1001 are reserved, and by its events should be committed"),
        (send_what_is_not_confirmed, "the goods of order 1004 are committed, and by its events should be reserved"),
        (keep_what_is_cancelled, "the goods of order 1003 are reserved, and by its events should be released"),
        (put_aside_for_nobody, "something is put aside for order 1009, which nobody has placed"),
    ],
)
def test_a_shop_that_breaks_the_promise_is_found_out(breaking: Callable[[Making], None], says: str) -> None:
    assert_found_out(a_shop(), breaking, STOCK, says)
