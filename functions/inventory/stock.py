"""The shelf, and what is put aside."""

from typing import Literal, Self

from daybook.store.state import State
from events.orders import OrderPlaced


class StockItem(State, table="stock", key="sku"):
    """One article. Pieces are either available or reserved; many orders want it at once, so the row is *changed*."""

    sku: str
    available: int = 0
    reserved: int = 0


class Reservation(State, table="reservations", key="order_id"):
    """What is put aside for one order: pieces by article.

    An order's cancellation may be heard before the order itself: what was released before it was reserved, stays so.
    """

    order_id: str
    stage: Literal["none", "reserved", "committed", "released"] = "none"
    pieces: dict[str, int] = {}

    @classmethod
    def of(cls, order: OrderPlaced) -> Self:
        """All that the order wants."""
        return cls(order_id=order.order_id, stage="reserved", pieces=order.quantities())
