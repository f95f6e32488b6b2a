"""Stock: every received piece is available, reserved for an order, or sent."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chaos.checker.orders import COMMITTED, Order, orders
from chaos.checker.snapshot import Snapshot
from chaos.checker.violation import Invariant, Violation

_RESERVED = "reserved"
_SENT = "committed"
_RELEASED = "released"


def _violations(snapshot: Snapshot) -> Iterator[Violation]:
    reservations = {row["id"]: row for row in snapshot.tables["reservations"]}
    yield from _articles(snapshot)
    all_orders = list(orders(snapshot))
    for order in all_orders:
        yield from _order(snapshot, order, reservations.get(order.id, {}))
    for unknown in sorted(reservations.keys() - {order.id for order in all_orders if order.one("OrderPlaced")}):
        yield Violation(f"there is a reservation for order {unknown}, which was never placed")


def _articles(snapshot: Snapshot) -> Iterator[Violation]:
    """Compare received, available, reserved and sent pieces of each article."""
    received: Counter[str] = Counter()
    for arrival in snapshot.events("StockReceived"):
        if snapshot.state(arrival.id, "receive-stock") == COMMITTED:
            received[arrival.data["sku"]] += arrival.data["quantity"]
    held: dict[str, Counter[str]] = {_RESERVED: Counter(), _SENT: Counter(), _RELEASED: Counter()}
    for row in snapshot.tables["reservations"]:
        held[row["stage"]].update(row["pieces"])
    stock = {row["id"]: row for row in snapshot.tables["stock"]}
    for sku in sorted({*received, *stock, *held[_RESERVED], *held[_SENT]}):
        available, reserved = (stock.get(sku, {}).get(name, 0) for name in ("available", "reserved"))
        sent = held[_SENT][sku]
        if received[sku] != available + reserved + sent:
            yield Violation(
                f"article {sku}: {received[sku]} pieces received, but there are {available + reserved + sent}: "
                f"{available} available, {reserved} reserved, {sent} sent"
            )
        if reserved != held[_RESERVED][sku]:
            yield Violation(
                f"article {sku}: {reserved} pieces are reserved in stock, but {held[_RESERVED][sku]} in reservations"
            )
        for name, pieces in (("available", available), ("reserved", reserved)):
            if pieces < 0:
                yield Violation(f"article {sku}: {pieces} pieces are {name}")


def _order(snapshot: Snapshot, order: Order, row: Mapping[str, Any]) -> Iterator[Violation]:
    """Compare the reservation of an order with its events."""
    pieces = Counter(row.get("pieces", {}))
    reserved, short = order.all("StockReserved"), order.all("OutOfStock")
    if len(reserved) + len(short) > 1:
        yield Violation(f"order {order.id} has more than one result of its reservation")
    if pieces and pieces != order.wanted:
        yield Violation(f"order {order.id} has reserved other pieces than it ordered")
    if pieces and not reserved:
        yield Violation(f"order {order.id} has no StockReserved, but a reservation")
    if reserved and not pieces:
        yield Violation(f"order {order.id} has StockReserved, but no reservation")
    sent, freed = (
        any(snapshot.state(decision.id, consumer) == COMMITTED for decision in order.all(decided))
        for decided, consumer in (("OrderConfirmed", "commit-stock"), ("OrderCancelled", "release-stock"))
    )
    placed = order.one("OrderPlaced")
    if placed and snapshot.state(placed.id, "reserve-stock") == COMMITTED and not (reserved or short or freed):
        yield Violation(f"order {order.id} has no result of its reservation")
    expected = _SENT if sent else _RELEASED if freed else _RESERVED if reserved else None
    if row.get("stage") != expected:
        yield Violation(
            f"the reservation of order {order.id} is {row.get('stage', 'missing')}; "
            f"expected from its events: {expected or 'none'}"
        )


STOCK = Invariant("stock is conserved to the piece", _violations)
