"""What happens to the money of orders."""

from pydantic import Field

from daybook.contracts.contract import Event
from daybook.contracts.values import Money
from events.orders import OrderPlaced, RefundedBecause
from events.values import Customer, OrderId, PaymentId, RefundId


class PaymentSucceeded(Event, opens="payment/{order_id}"):
    """An order's money is ours."""

    order_id: OrderId
    payment_id: PaymentId
    amount: Money

    example = {
        "order_id": "1001",
        "payment_id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "amount": {"amount": 4400, "currency": "EUR"},
    }


class PaymentFailed(Event, opens="payment/{order_id}"):
    """An order's money was not paid, and will not be."""

    order_id: OrderId
    reason: str = Field(
        max_length=64, description="The provider's word for it, `insufficient_funds`; or ours, `not_paid_in_time`."
    )

    example = {"order_id": "1001", "reason": "insufficient_funds"}


class PaymentRefunded(Event, continues="payment/{order_id}"):
    """Money of an order was paid back."""

    order_id: OrderId
    refund_id: RefundId
    amount: Money
    because: RefundedBecause
    customer: Customer
    provider_id: str = Field(max_length=255, description="The payment provider's id of the refund.")

    example = {
        "order_id": "1001",
        "refund_id": "R-1",
        "amount": {"amount": 1250, "currency": "EUR"},
        "because": "service_desk",
        "customer": OrderPlaced.example["customer"],
        "provider_id": "re_1Nispe2eZvKYlo2Cd31jOCgZ",
    }
