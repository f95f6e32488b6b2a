"""Fifty orders at once for twenty pieces, through the whole deployed system."""

from typing import Any

from daybook.local.faults import Chance, Fault, Faults
from tests.deployed.deployed import Deployed, an_order, stock_received, unique
from tests.deployed.test_conflicts import ORDERS, PIECES, assert_shared_out


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
    assert {row["state"] for row in rows} == {"committed"}
    assert not [row for row in rows if "tries" in row]


def test_orders_are_shared_out_alike_when_transactions_conflict_at_random(system: Deployed, faults: Faults) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(ORDERS)]
    system.receives(stock_received(sku, PIECES))
    conflicts = Fault.conflict(times=Chance(0.3))  # in whatever function, at whatever it writes

    with faults.inject(conflicts):
        system.receives(*(an_order(order, lines=[(sku, 1)]) for order in orders))

    assert faults.injected_count(conflicts) > ORDERS
    assert_shared_out(system, sku, orders)
    rows = ledger(system, orders)
    # admit, three that listen to an order, two that listen to inventory's word on it; and then four that listen to its
    # confirmation, or three to its cancellation.
    assert len(rows) == 6 * ORDERS + 4 * PIECES + 3 * (ORDERS - PIECES)
    assert {row["state"] for row in rows} == {"committed"}
    assert not [row for row in rows if "tries" in row]


def ledger(system: Deployed, orders: list[str]) -> list[dict[str, Any]]:
    """What became of all events of these orders, at every consumer."""
    streams = {f"{kind}/{order}" for kind in ("order", "reservation") for order in orders}
    return [row for row in system.items(system.connection.names.ledger) if row.get("stream") in streams]
