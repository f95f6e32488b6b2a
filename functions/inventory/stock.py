"""Stock items and reservations."""

from typing import Literal, Self

from daybook.store.state import State
from events.orders import OrderPlaced


class StockItem(State, table="stock", key="sku"):
    """The pieces of one article. Many orders reserve it at the same time, so functions *change* the row: none waits."""

    sku: str
    available: int = 0
    reserved: int = 0


class Reservation(State, table="reservations", key="order_id"):
    """The pieces that are reserved for one order, by article.

    A cancellation may arrive before its order. A reservation that was released before it was made stays released.
    """

    order_id: str
    stage: Literal["none", "reserved", "committed", "released"] = "none"
    pieces: dict[str, int] = {}

    @classmethod
    def of(cls, order: OrderPlaced) -> Self:
        """All pieces of an order."""
        return cls(order_id=order.order_id, stage="reserved", pieces=order.quantities())
