"""Pay back money of an order: each refund once.

A refund moves money as soon as it is made. In doubt the payment's refunds are looked through for this one.
"""

import stripe
from stripe import Refund

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.failure import NonRetryable, RetryLater
from events.orders import RefundRequested
from events.payments import PaymentRefunded
from functions.payments.amount import NotChargeable, stripe_amount
from functions.payments.provider import ORDER, REFUND, certainly_nothing, provider

_SETTLES_WITHIN = 86_400  # seconds
# The most that the provider lists at once. More refunds than these nobody makes of one payment.
_MOST = 100


@effect(
    RefundRequested,
    idempotency_key="refund/{order_id}/{refund_id}",
    emits=(PaymentRefunded,),
    can_ask=True,
    calls=2,  # looked for, made
)
def handler(asked: RefundRequested, record: EffectRecord) -> PaymentRefunded:
    try:
        refund = _refund(asked, record)
    except NotChargeable as error:
        raise NonRetryable(str(error)) from error
    except stripe.InvalidRequestError as error:
        msg = f"the payment provider does not pay this back: {error.code or 'no code'}"
        raise NonRetryable(msg) from error
    except stripe.StripeError as error:
        if nothing_done := certainly_nothing(error):
            raise nothing_done from error
        raise
    if refund.status in {"failed", "canceled"}:
        why = getattr(refund, "failure_reason", None) or "no reason given"
        msg = f"the refund is {refund.status} at the provider: {why}"
        raise NonRetryable(msg)
    if refund.status != "succeeded":
        msg = f"the refund is {refund.status} at the provider"
        raise RetryLater(msg, retry_window=_SETTLES_WITHIN)
    return PaymentRefunded(
        order_id=asked.order_id,
        refund_id=asked.refund_id,
        amount=asked.amount,
        because=asked.because,
        customer=asked.customer,
        provider_id=refund.id,
    )


def _refund(asked: RefundRequested, record: EffectRecord) -> Refund:
    """The one refund with this id, as the provider has it."""
    refunds = provider().v1.refunds
    if record.in_doubt:
        made = refunds.list(params={"payment_intent": asked.payment_id, "limit": _MOST})
        for refund in made.data:
            if refund.metadata and refund.metadata.to_dict().get(REFUND) == asked.refund_id:
                return refund
    return refunds.create(
        params={
            "payment_intent": asked.payment_id,
            "amount": stripe_amount(asked.amount),
            "metadata": {ORDER: asked.order_id, REFUND: asked.refund_id},
        },
        options={"idempotency_key": record.idempotency_key},
    )
