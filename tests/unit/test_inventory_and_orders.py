"""The shop's functions, as far as they go: stock is conserved, an order is opened once."""

from datetime import timedelta

import pytest

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from events.inventory import StockReserved
from events.orders import OrderPlaced
from functions.inventory import receive_stock, reserve_stock
from functions.inventory.stock import Reservation, StockItem
from functions.orders import place_order
from functions.orders.order import Order
from tests.unit import faults
from tests.unit.builders import a_shortage, an_order, goods
from tests.unit.world import World


@pytest.fixture
def world(world_on_moto: World) -> World:
    """On moto, as anybody would test a function that knows of no world but AWS's."""
    return world_on_moto


def reserved(placed: Envelope) -> list[StockReserved]:
    """What is said of an order whose goods are put aside: by when it must be paid, too."""
    order = OrderPlaced.read(placed.data, version=1)
    pay_by = clock.moment(placed.metadata.recorded_at) + timedelta(seconds=order.pay_within)
    total, method = order.total, order.payment_method
    return [StockReserved(order_id=order.order_id, total=total, payment_method=method, pay_by=pay_by)]


def test_goods_that_arrive_are_available(world: World) -> None:
    world.receive(receive_stock.handler, goods(quantity=10), goods(quantity=5))

    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=15)


def test_an_order_reserves_all_that_it_wants(world: World) -> None:
    world.put(StockItem(sku="mug", available=5), StockItem(sku="poster", available=1))

    (placed,) = world.receive(reserve_stock.handler, an_order(lines=[("mug", 2), ("poster", 1)]))

    assert world.events("reservation/1001") == reserved(placed)
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=3, reserved=2)
    assert world.row(StockItem, "poster") == StockItem(sku="poster", available=0, reserved=1)
    pieces = {"mug": 2, "poster": 1}
    assert world.row(Reservation, "1001") == Reservation(order_id="1001", stage="reserved", pieces=pieces)


def test_an_order_for_more_than_the_shelf_holds_reserves_nothing(world: World) -> None:
    world.put(StockItem(sku="mug", available=5), StockItem(sku="poster", available=1))

    world.receive(reserve_stock.handler, an_order(lines=[("mug", 2), ("poster", 2), ("cup", 1)]))

    assert world.events("reservation/1001") == [a_shortage(skus=("poster", "cup"))]
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=5)
    assert world.row(Reservation, "1001") is None


def test_one_article_on_two_lines_is_one_wish(world: World) -> None:
    world.put(StockItem(sku="mug", available=5))

    world.receive(reserve_stock.handler, an_order("1001", [("mug", 3), ("mug", 3)]))
    world.receive(reserve_stock.handler, an_order("1002", [("mug", 3), ("mug", 2)]))

    assert world.events("reservation/1001") == [a_shortage()]
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=0, reserved=5)


# Guards: what change asks the shelf to keep.
def test_the_last_piece_goes_to_one_of_two_orders(world: World) -> None:
    world.put(StockItem(sku="mug", available=1))
    second: list[Envelope] = []
    order = an_order("1002")
    faults.meanwhile("TransactWriteItems", lambda: second.extend(world.receive(reserve_stock.handler, order)))

    world.receive(reserve_stock.handler, an_order("1001"))

    assert world.events("reservation/1001") == [a_shortage()]
    assert world.events("reservation/1002") == reserved(second[0])
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=0, reserved=1)


def test_two_orders_for_one_article_need_not_wait_for_each_other(world: World) -> None:
    world.put(StockItem(sku="mug", available=5))
    faults.meanwhile("TransactWriteItems", lambda: world.receive(reserve_stock.handler, an_order("1002")))
    calls = faults.calls()

    world.receive(reserve_stock.handler, an_order("1001"))

    assert calls.count("BatchGetItem") == 2  # one for each order: neither was run again
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=3, reserved=2)


def test_a_placed_order_is_opened(world: World) -> None:
    world.receive(place_order.handler, an_order())

    assert world.row(Order, "1001") == Order.placed(an_order())
