"""Where is my order? One row an order, for people to read, and the functions that keep it."""

from collections.abc import Mapping
from typing import Final, Literal

from daybook.consumers.view import Add, SetIfNewer, view
from daybook.store.state import State
from events.inventory import OutOfStock, StockReserved
from events.orders import CancelledBecause, OrderCancelled, OrderConfirmed, OrderFulfilled, OrderPlaced
from events.payments import PaymentRefunded

Status = Literal["unknown", "placed", "out of stock", "reserved", "confirmed", "cancelled", "fulfilled"]

# The way of an order. A later status wins over an earlier one, in whatever order the events arrive.
_ORDER: Final[Mapping[Status, int]] = {
    "placed": 10,
    "out of stock": 20,
    "reserved": 30,
    "confirmed": 40,
    "cancelled": 50,  # an order is either cancelled or confirmed, never both
    "fulfilled": 60,
}


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


@view(OrderPlaced)
def order_status_placed(order: OrderPlaced) -> SetIfNewer:
    total = order.total
    return _reached(OrderStatus(order_id=order.order_id, status="placed", total=total.amount, currency=total.currency))


@view(OutOfStock)
def order_status_out_of_stock(stock: OutOfStock) -> SetIfNewer:
    return _reached(OrderStatus(order_id=stock.order_id, status="out of stock", missing=stock.skus))


@view(StockReserved)
def order_status_reserved(stock: StockReserved) -> SetIfNewer:
    return _reached(OrderStatus(order_id=stock.order_id, status="reserved"))


@view(OrderConfirmed)
def order_status_confirmed(order: OrderConfirmed) -> SetIfNewer:
    return _reached(OrderStatus(order_id=order.order_id, status="confirmed"))


@view(OrderCancelled)
def order_status_cancelled(order: OrderCancelled) -> SetIfNewer:
    return _reached(OrderStatus(order_id=order.order_id, status="cancelled", cancelled_because=order.because))


@view(OrderFulfilled)
def order_status_fulfilled(order: OrderFulfilled) -> SetIfNewer:
    return _reached(
        OrderStatus(
            order_id=order.order_id,
            status="fulfilled",
            carrier=order.carrier,
            tracking_number=order.tracking_number,
        )
    )


@view(PaymentRefunded)
def order_status_refunded(refund: PaymentRefunded) -> Add:
    return Add(OrderStatus, refund.order_id, {"refunded": refund.amount.amount})


def _reached(row: OrderStatus) -> SetIfNewer:
    """The order has come so far. Only what the row was given is set."""
    return SetIfNewer(OrderStatus, row.order_id, order=_ORDER[row.status], fields=row.given)
