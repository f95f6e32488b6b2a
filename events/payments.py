"""Events of payments."""

from typing import Any

from pydantic import Field

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import Money
from events.orders import OrderPlaced, RefundReason
from events.values import Customer, OrderId, PaymentId, RefundId


class PaymentSucceeded(Event, opens="payment/{order_id}"):
    """An order is paid."""

    order_id: OrderId
    payment_id: PaymentId
    amount: Money

    example = {
        "order_id": "1001",
        "payment_id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "amount": {"amount": 4400, "currency": "EUR"},
    }


class PaymentFailed(Event, opens="payment/{order_id}"):
    """The payment of an order has failed for good."""

    order_id: OrderId
    reason: str = Field(
        max_length=64, description="A code of Stripe's, `insufficient_funds`, or of this system, `not_paid_in_time`."
    )

    example = {"order_id": "1001", "reason": "insufficient_funds"}


class RefundDetails(Part):
    """What all events about one refund contain."""

    order_id: OrderId
    refund_id: RefundId
    amount: Money
    reason: RefundReason
    customer: Customer
    provider_id: str = Field(
        max_length=255, description="The id of the refund at the payment provider; empty if there is none."
    )

    @property
    def details(self) -> dict[str, Any]:
        """The fields of this class, for the next event about the refund."""
        return {name: getattr(self, name) for name in RefundDetails.model_fields}


_DETAILS = {
    "order_id": "1001",
    "refund_id": "R-1",
    "amount": {"amount": 1250, "currency": "EUR"},
    "reason": "service_desk",
    "customer": OrderPlaced.example["customer"],
    "provider_id": "re_1Nispe2eZvKYlo2Cd31jOCgZ",
}


class PaymentRefunded(RefundDetails, Event, continues="payment/{order_id}"):
    """An amount was refunded. The customer's bank may still return it: see RefundFailed."""

    example = _DETAILS


class RefundUnsettled(RefundDetails, Event, continues="payment/{order_id}"):
    """A refund may still fail: it is pending at the provider, or the customer's bank may return it."""

    paid_out: bool = Field(description="Whether PaymentRefunded was emitted before.")
    checks: int = Field(ge=0, description="How often the provider was asked in this state.")

    example = {**_DETAILS, "paid_out": True, "checks": 1}


class RefundCheckDue(RefundDetails, Event, continues="payment/{order_id}", timer=True):
    """It is time to ask the provider about a refund that may still fail."""

    paid_out: bool = Field(description="Whether PaymentRefunded was emitted before.")
    checks: int = Field(ge=1, description="The number of this check: 1 is the first in this state.")

    example = {**_DETAILS, "paid_out": True, "checks": 1}


class RefundFailed(RefundDetails, Event, continues="payment/{order_id}"):
    """The customer did not get a refund: the provider refused it, or the bank returned it. Its amount can be refunded
    again, under a new id.
    """

    failure: str = Field(
        max_length=64,
        description="A code of Stripe's, `expired_or_canceled_card`, or of this system, `amount_not_refundable`.",
    )
    paid_out: bool = Field(description="Whether PaymentRefunded was emitted before: the bank returned the amount.")

    example = {**_DETAILS, "failure": "expired_or_canceled_card", "paid_out": True}
