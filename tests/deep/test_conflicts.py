"""Fifty simultaneous orders for twenty pieces in the deployed system."""

from typing import Any

from daybook.local.faults import Chance, Fault, Faults
from tests.deployed.deployed import Deployed, an_order, stock_received
from tests.deployed.test_conflicts import ORDERS, PIECES, assert_each_piece_is_reserved_once
from tests.local.processes import unique


def test_fifty_orders_at_once_for_twenty_pieces_reserve_twenty(system: Deployed) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(50)]
    system.receives(stock_received(sku, 20))

    system.receives(*(an_order(order, lines=[(sku, 1)]) for order in orders))

    outcomes = [system.outcome(order) for order in orders]
    assert outcomes.count(["StockReserved"]) == 20
    assert outcomes.count(["OutOfStock"]) == 30
    assert system.pieces(sku) == (0, 20)
    streams = {f"order/{order}" for order in orders}
    rows = [row for row in system.items(system.connection.names.ledger) if row.get("stream") in streams]
    assert [row for row in rows if row["state"] != "committed"] == []
    assert not [row for row in rows if "failed_attempts" in row]


def test_stock_is_allocated_correctly_when_transactions_conflict_at_random(system: Deployed, faults: Faults) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(ORDERS)]
    system.receives(stock_received(sku, PIECES))
    conflicts = Fault.conflict(times=Chance(0.3))  # in any function, for any write

    with faults.inject(conflicts):
        system.receives(*(an_order(order, lines=[(sku, 1)]) for order in orders))

    assert faults.injected_count(conflicts) > ORDERS
    assert_each_piece_is_reserved_once(system, sku, orders)
    rows = ledger(system, orders)
    # For each order: admit, three consumers of OrderPlaced, and two of the reservation's result. Then four consumers of
    # OrderConfirmed or three of OrderCancelled.
    assert len(rows) == 6 * ORDERS + 4 * PIECES + 3 * (ORDERS - PIECES)
    assert [row for row in rows if row["state"] != "committed"] == []
    assert not [row for row in rows if "failed_attempts" in row]


def ledger(system: Deployed, orders: list[str]) -> list[dict[str, Any]]:
    """The processing statuses of these orders' events at all consumers."""
    streams = {f"{kind}/{order}" for kind in ("order", "reservation") for order in orders}
    return [row for row in system.items(system.connection.names.ledger) if row.get("stream") in streams]
