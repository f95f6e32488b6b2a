"""Stock is conserved to the piece: what has come in lies on the shelf, is put aside for an order, or was sent."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chaos.checker.breach import Breach, Invariant
from chaos.checker.orders import COMMITTED, Order, orders
from chaos.checker.world import World

_PUT_ASIDE = "reserved"
_SENT = "committed"
_FREE_AGAIN = "released"


def _breaches(world: World) -> Iterator[Breach]:
    reservations = {row["id"]: row for row in world.tables["reservations"]}
    yield from _articles(world)
    told = list(orders(world))
    for order in told:
        yield from _order(world, order, reservations.get(order.id, {}))
    for unknown in sorted(reservations.keys() - {order.id for order in told if order.one("OrderPlaced")}):
        yield Breach(f"something is put aside for order {unknown}, which nobody has placed")


def _articles(world: World) -> Iterator[Breach]:
    """Pieces of each article, in and out."""
    received: Counter[str] = Counter()
    for goods in world.events("StockReceived"):
        if world.state(goods.id, "receive-stock") == COMMITTED:
            received[goods.data["sku"]] += goods.data["quantity"]
    held: dict[str, Counter[str]] = {_PUT_ASIDE: Counter(), _SENT: Counter(), _FREE_AGAIN: Counter()}
    for row in world.tables["reservations"]:
        held[row["stage"]].update(row["pieces"])
    shelf = {row["id"]: row for row in world.tables["stock"]}
    for sku in sorted({*received, *shelf, *held[_PUT_ASIDE], *held[_SENT]}):
        available, reserved = (shelf.get(sku, {}).get(name, 0) for name in ("available", "reserved"))
        sent = held[_SENT][sku]
        if received[sku] != available + reserved + sent:
            yield Breach(
                f"of article {sku} {received[sku]} pieces have come in, and there are {available + reserved + sent}: "
                f"{available} available, {reserved} reserved, {sent} sent"
            )
        if reserved != held[_PUT_ASIDE][sku]:
            yield Breach(
                f"of article {sku} {reserved} pieces are reserved, and orders have {held[_PUT_ASIDE][sku]} put aside"
            )
        for name, pieces in (("available", available), ("reserved", reserved)):
            if pieces < 0:
                yield Breach(f"of article {sku} {pieces} pieces are {name}")


def _order(world: World, order: Order, row: Mapping[str, Any]) -> Iterator[Breach]:
    """What is put aside for an order, beside what the events tell of it."""
    pieces = Counter(row.get("pieces", {}))
    reserved, short = order.all("StockReserved"), order.all("OutOfStock")
    if len(reserved) + len(short) > 1:
        yield Breach(f"it was told more than once whether there are goods for order {order.id}")
    if pieces and pieces != order.wanted:
        yield Breach(f"other pieces are put aside for order {order.id} than it has ordered")
    if bool(pieces) != bool(reserved):
        said, is_so = ("StockReserved is", "nothing") if reserved else ("no StockReserved is", "something")
        yield Breach(f"{said} told of order {order.id}, and {is_so} was put aside for it")
    sent, freed = (
        any(world.state(decision.id, consumer) == COMMITTED for decision in order.all(decided))
        for decided, consumer in (("OrderConfirmed", "commit-stock"), ("OrderCancelled", "release-stock"))
    )
    placed = order.one("OrderPlaced")
    if placed and world.state(placed.id, "reserve-stock") == COMMITTED and not (reserved or short or freed):
        yield Breach(f"it was never told whether there are goods for order {order.id}")
    should_be = _SENT if sent else _FREE_AGAIN if freed else _PUT_ASIDE if reserved else None
    if row.get("stage") != should_be:
        yield Breach(
            f"the goods of order {order.id} are {row.get('stage', 'not put aside')}, "
            f"and by its events should be {should_be or 'not put aside'}"
        )


STOCK = Invariant("stock is conserved to the piece", _breaches)
