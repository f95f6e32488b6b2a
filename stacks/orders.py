"""The stack of orders."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.inventory import OutOfStock, StockReserved
from events.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderFulfilled,
    OrderPlaced,
    PaymentWindowEnded,
    RefundClaimed,
)
from events.payments import PaymentFailed, PaymentRefunded, PaymentSucceeded, RefundFailed
from events.shipping import ShipmentDispatched


class Orders(Service):
    """One row decides about each order. A view shows its status."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "orders", stage=stage)
        orders, status = self.table("orders"), self.table("order-status")
        self.reaction("place_order", OrderPlaced, saves=[orders])
        self.reaction("confirm_order", PaymentSucceeded, reads=[orders], saves=[orders])
        self.reaction("cancel_unstocked", OutOfStock, reads=[orders], saves=[orders])
        self.reaction("cancel_unpaid", PaymentFailed, reads=[orders], saves=[orders])
        self.reaction("cancel_expired", PaymentWindowEnded, reads=[orders], saves=[orders])
        self.reaction("complete_order", ShipmentDispatched, reads=[orders], saves=[orders])
        self.reaction("grant_refund", RefundClaimed, reads=[orders], saves=[orders])
        self.reaction("settle_refund", PaymentRefunded, reads=[orders], saves=[orders])
        self.reaction("release_refund", RefundFailed, reads=[orders], saves=[orders])
        self.view("order_status_placed", OrderPlaced, rows=status)
        self.view("order_status_reserved", StockReserved, rows=status)
        self.view("order_status_out_of_stock", OutOfStock, rows=status)
        self.view("order_status_confirmed", OrderConfirmed, rows=status)
        self.view("order_status_cancelled", OrderCancelled, rows=status)
        self.view("order_status_fulfilled", OrderFulfilled, rows=status)
        self.view("order_status_refunded", PaymentRefunded, rows=status)
        self.view("order_status_refund_failed", RefundFailed, rows=status)
