"""Where is my order? One row an order, for people to read."""

from enum import IntEnum
from typing import Literal

from daybook.consumers.view import SetIfNewer
from daybook.store.state import State
from events.orders import CancelledBecause

Status = Literal["unknown", "placed", "out of stock", "reserved", "confirmed", "cancelled", "fulfilled"]


class Milestone(IntEnum):
    """The way of an order. A later milestone wins over an earlier one, in whatever order the events arrive."""

    PLACED = 10
    OUT_OF_STOCK = 20
    RESERVED = 30
    CONFIRMED = 40
    CANCELLED = 50  # an order is either cancelled or confirmed, never both
    FULFILLED = 60


class OrderStatus(State, table="order-status", key="order_id"):
    """What the customer is told."""

    order_id: str
    status: Status = "unknown"
    total: int = 0  # minor units
    currency: str = ""
    missing: tuple[str, ...] = ()
    cancelled_because: CancelledBecause | None = None
    carrier: str = ""
    tracking_number: str = ""
    refunded: int = 0  # minor units


def reached(order_id: str, milestone: Milestone, **facts: object) -> SetIfNewer:
    """The order has come so far. `facts` are further fields of the row that this milestone knows."""
    status = milestone.name.lower().replace("_", " ")
    return SetIfNewer(OrderStatus, order_id, order=int(milestone), fields={"status": status, **facts})
