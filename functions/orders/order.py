"""The one row that decides about an order."""

from typing import Literal, Self

from backbone.state import State
from events.orders import OrderPlaced


class Order(State, table="orders", key="order_id"):
    """Where an order stands. What must be decided once about it is decided on this row."""

    order_id: str
    stage: Literal["unknown", "placed"] = "unknown"

    @classmethod
    def placed(cls, order: OrderPlaced) -> Self:
        """As it stands right after it was placed."""
        return cls(order_id=order.order_id, stage="placed")
