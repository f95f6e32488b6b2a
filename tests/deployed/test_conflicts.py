"""Many concurrent orders for few articles: no article is sold twice, and a conflict is not a failure."""

from itertools import chain

from events.inventory import OutOfStock, StockReserved
from functions.inventory.reserve_stock import handler as reserve_stock
from tests.deployed.deployed import Deployed, an_order, paused, stock_received
from tests.deployed.in_process import handle, process_of
from tests.local.processes import unique, until

ORDERS, PIECES = 50, 20


def test_of_fifty_concurrent_units_of_work_twenty_reserve_the_twenty_pieces_and_none_fails(system: Deployed) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(ORDERS)]
    system.receives(stock_received(sku, PIECES))

    with paused(system, "reserve-stock"):
        placed = system.sends(*(an_order(order, lines=[(sku, 1)]) for order in orders))
        until(lambda: all(system.connection.store.head(f"order/{order}") for order in orders), what="all are recorded")
        with process_of(system, "reserve-stock"):
            handle(reserve_stock, [next(system.connection.store.stream(f"order/{order}")) for order in orders])
    system.finishes(*placed)

    assert_each_piece_is_reserved_once(system, sku, orders)


def assert_each_piece_is_reserved_once(system: Deployed, sku: str, orders: list[str]) -> None:
    """Each piece is reserved for one order, and all other orders are out of stock."""
    found = chain.from_iterable(system.connection.store.stream(f"reservation/{order}") for order in orders)
    outcomes = [envelope.metadata.type for envelope in found]
    assert outcomes.count(StockReserved.__name__) == PIECES
    assert outcomes.count(OutOfStock.__name__) == ORDERS - PIECES
    assert len(outcomes) == ORDERS
    assert system.pieces(sku) == (0, PIECES)
