"""Events of the shop, with defaults for all fields that a test does not set."""

from collections.abc import Iterable
from typing import Any

from daybook.contracts.values import Money
from events.inventory import OutOfStock, StockReceived, StockReserved
from events.orders import (
    CancellationReason,
    OrderCancelled,
    OrderConfirmed,
    OrderFulfilled,
    OrderPlaced,
    PaymentWindowEnded,
    RefundClaimed,
    RefundRequested,
)
from events.payments import PaymentFailed, PaymentRefunded, PaymentSucceeded, RefundFailed
from events.shipping import ShipmentDispatched
from events.values import Customer

CHECKOUT = "shop.checkout"


def money(amount: int, currency: str = "EUR") -> Money:
    """Minor units: 1250 is 12.50 EUR."""
    return Money(amount=amount, currency=currency)


def a_customer(language: str = "en", name: str = "Ada Lovelace") -> Customer:
    return Customer(name=name, email="ada@example.com", language=language)


def order_data(
    order_id: str = "1001", lines: Iterable[tuple[str, int]] = (("mug", 1),), **other: Any
) -> dict[str, Any]:
    """The data that the checkout sends. `lines` are articles and quantities, each at 12.50 EUR."""
    price = {"amount": 1250, "currency": "EUR"}
    return {
        "order_id": order_id,
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": [{"sku": sku, "quantity": quantity, "price": price} for sku, quantity in lines],
        **other,
    }


def an_order(order_id: str = "1001", lines: Iterable[tuple[str, int]] = (("mug", 1),), **other: Any) -> OrderPlaced:
    return OrderPlaced.model_validate(order_data(order_id, lines, **other))


def received_stock(sku: str = "mug", quantity: int = 10) -> StockReceived:
    return StockReceived(sku=sku, quantity=quantity, delivery_id="D-1")


def a_reservation(order_id: str = "1001") -> StockReserved:
    return StockReserved(order_id=order_id, total=money(1250))


def a_shortage(order_id: str = "1001", skus: tuple[str, ...] = ("mug",)) -> OutOfStock:
    return OutOfStock(order_id=order_id, skus=skus)


def a_payment(order_id: str = "1001", amount: int = 1250) -> PaymentSucceeded:
    return PaymentSucceeded(order_id=order_id, payment_id="pi_1", amount=money(amount))


def a_failed_payment(order_id: str = "1001", reason: str = "insufficient_funds") -> PaymentFailed:
    return PaymentFailed(order_id=order_id, reason=reason)


def an_ended_payment_window(order_id: str = "1001") -> PaymentWindowEnded:
    return PaymentWindowEnded(order_id=order_id)


def a_confirmation(order: OrderPlaced | None = None) -> OrderConfirmed:
    order = order or an_order()
    return OrderConfirmed(order_id=order.order_id, purchase=order.purchase, ship_to=order.ship_to)


def a_cancellation(
    order: OrderPlaced | None = None, reason: CancellationReason = "out_of_stock", missing: tuple[str, ...] = ()
) -> OrderCancelled:
    order = order or an_order()
    return OrderCancelled(order_id=order.order_id, purchase=order.purchase, reason=reason, missing=missing)


def a_dispatched_shipment(order_id: str = "1001") -> ShipmentDispatched:
    return ShipmentDispatched(order_id=order_id, carrier="Royal Mail", tracking_number="RM1")


def a_fulfilment(order: OrderPlaced | None = None) -> OrderFulfilled:
    order = order or an_order()
    shipment = {"carrier": "Royal Mail", "tracking_number": "RM1"}
    return OrderFulfilled(order_id=order.order_id, purchase=order.purchase, **shipment)


def a_refund_claim(amount: int = 500, refund_id: str = "R-1", currency: str = "EUR") -> RefundClaimed:
    return RefundClaimed(order_id="1001", refund_id=refund_id, amount=money(amount, currency))


def a_refund_request(amount: int = 1250, refund_id: str = "R-1", **other: Any) -> RefundRequested:
    defaults: dict[str, Any] = {"payment_id": "pi_1", "reason": "service_desk", "customer": a_customer()}
    return RefundRequested(order_id="1001", refund_id=refund_id, amount=money(amount), **(defaults | other))


def a_refund(amount: int = 500, **other: Any) -> PaymentRefunded:
    defaults: dict[str, Any] = {"refund_id": "R-1", "reason": "service_desk", "customer": a_customer()}
    return PaymentRefunded(order_id="1001", amount=money(amount), provider_id="re_1", **(defaults | other))


def a_failed_refund(amount: int = 500, **other: Any) -> RefundFailed:
    defaults: dict[str, Any] = {
        "refund_id": "R-1",
        "reason": "service_desk",
        "customer": a_customer(),
        "paid_out": True,
    }
    details = {"provider_id": "re_1", "failure": "expired_or_canceled_card", **defaults, **other}
    return RefundFailed(order_id="1001", amount=money(amount), **details)
