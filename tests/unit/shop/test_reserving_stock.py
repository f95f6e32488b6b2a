"""Receiving stock, reserving it, and saving a placed order."""

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
from tests.unit.shop.builders import a_shortage, an_order, received_stock
from tests.unit.world import World


@pytest.fixture
def world(world_on_moto: World) -> World:
    """On moto: an example for tests without the in-memory DynamoDB of this project."""
    return world_on_moto


def reserved(placed: Envelope) -> list[StockReserved]:
    """The events of an order whose stock is reserved."""
    order = OrderPlaced.read(placed.data, version=1)
    pay_by = clock.moment(placed.metadata.recorded_at) + timedelta(seconds=order.pay_within)
    total, method = order.total, order.payment_method
    return [StockReserved(order_id=order.order_id, total=total, payment_method=method, pay_by=pay_by)]


def test_received_stock_is_available(world: World) -> None:
    world.receive(receive_stock.handler, received_stock(quantity=10), received_stock(quantity=5))

    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=15)


def test_an_order_reserves_all_its_pieces(world: World) -> None:
    world.put(StockItem(sku="mug", available=5), StockItem(sku="poster", available=1))

    (placed,) = world.receive(reserve_stock.handler, an_order(lines=[("mug", 2), ("poster", 1)]))

    assert world.events("reservation/1001") == reserved(placed)
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=3, reserved=2)
    assert world.row(StockItem, "poster") == StockItem(sku="poster", available=0, reserved=1)
    pieces = {"mug": 2, "poster": 1}
    assert world.row(Reservation, "1001") == Reservation(order_id="1001", stage="reserved", pieces=pieces)


def test_an_order_that_exceeds_the_stock_reserves_nothing(world: World) -> None:
    world.put(StockItem(sku="mug", available=5), StockItem(sku="poster", available=1))

    world.receive(reserve_stock.handler, an_order(lines=[("mug", 2), ("poster", 2), ("cup", 1)]))

    assert world.events("reservation/1001") == [a_shortage(skus=("poster", "cup"))]
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=5)
    assert world.row(Reservation, "1001") is None


def test_order_lines_with_the_same_article_are_summed(world: World) -> None:
    world.put(StockItem(sku="mug", available=5))

    world.receive(reserve_stock.handler, an_order("1001", [("mug", 3), ("mug", 3)]))
    world.receive(reserve_stock.handler, an_order("1002", [("mug", 3), ("mug", 2)]))

    assert world.events("reservation/1001") == [a_shortage()]
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=0, reserved=5)


# Guards: the lower limit `at_least=0` of `change`.
def test_the_last_piece_is_reserved_for_one_of_two_orders(world: World) -> None:
    world.put(StockItem(sku="mug", available=1))
    second: list[Envelope] = []
    order = an_order("1002")
    faults.meanwhile("TransactWriteItems", lambda: second.extend(world.receive(reserve_stock.handler, order)))

    world.receive(reserve_stock.handler, an_order("1001"))

    assert world.events("reservation/1001") == [a_shortage()]
    assert world.events("reservation/1002") == reserved(second[0])
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=0, reserved=1)


def test_two_concurrent_orders_for_the_same_article_do_not_conflict(world: World) -> None:
    world.put(StockItem(sku="mug", available=5))
    faults.meanwhile("TransactWriteItems", lambda: world.receive(reserve_stock.handler, an_order("1002")))
    calls = faults.calls()

    world.receive(reserve_stock.handler, an_order("1001"))

    assert calls.count("BatchGetItem") == 4  # the event and the rows of each order: neither was retried
    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=3, reserved=2)


def test_a_placed_order_is_saved(world: World) -> None:
    world.receive(place_order.handler, an_order())

    assert world.row(Order, "1001") == Order.placed(an_order())
