"""Where is my order? A view with one row for each order."""

from collections.abc import Mapping
from typing import Final, Literal

from daybook.consumers.view import Add, SetIfNewer, view
from daybook.store.state import State
from events.inventory import OutOfStock, StockReserved
from events.orders import CancellationReason, OrderCancelled, OrderConfirmed, OrderFulfilled, OrderPlaced
from events.payments import PaymentRefunded, RefundFailed

Status = Literal["unknown", "placed", "out of stock", "reserved", "confirmed", "cancelled", "fulfilled"]

# The steps of an order. A later status replaces an earlier one, in any order of arrival.
_ORDER: Final[Mapping[Status, int]] = {
    "placed": 10,
    "out of stock": 20,
    "reserved": 30,
    "confirmed": 40,
    "cancelled": 50,  # an order is either cancelled or confirmed, never both
    "fulfilled": 60,
}


class OrderStatus(State, table="order-status", key="order_id"):
    """What the customer sees of an order."""

    order_id: str
    status: Status = "unknown"
    total: int = 0  # minor units
    currency: str = ""
    missing: tuple[str, ...] = ()
    cancellation_reason: CancellationReason | None = None
    carrier: str = ""
    tracking_number: str = ""
    refunded: int = 0  # minor units
    refund_failed: int = 0  # minor units: refunds that the customer did not get


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
    return _reached(OrderStatus(order_id=order.order_id, status="cancelled", cancellation_reason=order.reason))


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


@view(RefundFailed)
def order_status_refund_failed(refund: RefundFailed) -> Add:
    amount = refund.amount.amount
    return Add(OrderStatus, refund.order_id, {"refund_failed": amount, "refunded": -amount if refund.paid_out else 0})


def _reached(row: OrderStatus) -> SetIfNewer:
    """Set the fields that were given, unless the order has a later status."""
    return SetIfNewer(OrderStatus, row.order_id, order=_ORDER[row.status], fields=row.given)
