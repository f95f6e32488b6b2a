"""Refund part or all of a payment: each refund once.

A refund moves money when it is created. If the outcome is unknown, the function first searches the payment's refunds.
A refund that Stripe refuses for a reason of its own is an outcome; an error of this system is a dead letter.
"""

from typing import Any

import stripe
from stripe import Refund

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.failure import NonRetryable
from events.orders import RefundRequested
from events.payments import PaymentRefunded, RefundDetails, RefundFailed, RefundUnsettled
from functions.payments.amount import NotChargeable, stripe_amount
from functions.payments.provider import ORDER, REFUND, check_owner, key_at_provider, metadata, not_performed, provider
from functions.payments.refund import outcome

# One page of Stripe's list (https://docs.stripe.com/api/refunds/list). A payment never has more refunds than this.
_MOST = 100

# Why Stripe refuses a refund for good (https://docs.stripe.com/error-codes). Two reasons have no code: the amount is
# above what is left of the payment, or the payment has not succeeded.
_REFUSALS = frozenset(
    {
        "amount_too_small",
        "charge_already_refunded",
        "charge_disputed",
        "charge_not_refundable",
        "refund_disputed_payment",
        "resource_missing",
    }
)
_WITHOUT_CODE = {"amount": "amount_above_rest", "payment_intent": "payment_not_refundable"}


@effect(
    RefundRequested,
    idempotency_key="refund/{order_id}/{refund_id}",
    emits=(PaymentRefunded, RefundUnsettled, RefundFailed),
    can_query=True,
    calls=2,  # list, create
)
def handler(request: RefundRequested, record: EffectRecord) -> PaymentRefunded | RefundUnsettled | RefundFailed | None:
    try:
        refund = _refund(request, record)
    except NotChargeable:
        return record.without_call(_failed(request, "amount_not_refundable"))
    except stripe.InvalidRequestError as error:
        if failure := _refusal(error):
            return _failed(request, failure)
        msg = f"Stripe rejected the request as invalid: {error.code or 'no code'}"
        raise NonRetryable(msg) from error
    except stripe.IdempotencyError as error:
        raise NonRetryable("another request has used the idempotency key of this refund at Stripe") from error
    except stripe.StripeError as error:
        if rejected := not_performed(error):
            raise rejected from error
        raise
    return outcome(refund, _details(request, refund.id))


def _refund(request: RefundRequested, record: EffectRecord) -> Refund:
    """The refund with this id, as Stripe knows it; it is created if there is none."""
    refunds = provider().v1.refunds
    amount, marks = stripe_amount(request.amount), metadata(**{ORDER: request.order_id, REFUND: request.refund_id})
    if record.outcome_unknown:
        existing = refunds.list(params={"payment_intent": request.payment_id, "limit": _MOST})
        for refund in existing.data:
            if refund.metadata and refund.metadata.to_dict().get(REFUND) == request.refund_id:
                check_owner(refund, {ORDER: request.order_id}, amount)
                return refund
    refund = refunds.create(
        params={"payment_intent": request.payment_id, "amount": amount, "metadata": marks},
        options={"idempotency_key": key_at_provider(record.idempotency_key)},
    )
    check_owner(refund, marks, amount)
    return refund


def _refusal(error: stripe.InvalidRequestError) -> str | None:
    """Why Stripe refuses the refund for good; None if the request itself is wrong."""
    if error.code:
        return error.code if error.code in _REFUSALS else None
    return _WITHOUT_CODE.get(error.param or "")


def _failed(request: RefundRequested, failure: str) -> RefundFailed:
    return RefundFailed(**_details(request, ""), failure=failure, paid_out=False)


def _details(request: RefundRequested, provider_id: str) -> dict[str, Any]:
    """The RefundDetails of a requested refund."""
    names = RefundDetails.model_fields.keys() - {"provider_id"}
    return {"provider_id": provider_id, **{name: getattr(request, name) for name in names}}
