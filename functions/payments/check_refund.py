"""Ask the provider about a refund that may still fail."""

import stripe

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.failure import NonRetryable
from events.payments import PaymentRefunded, RefundCheckDue, RefundFailed, RefundUnsettled
from functions.payments.provider import not_performed, provider
from functions.payments.refund import outcome


@effect(
    RefundCheckDue,
    idempotency_key="check-refund/{order_id}/{refund_id}/{paid_out}/{checks}",
    emits=(PaymentRefunded, RefundUnsettled, RefundFailed),
    can_query=True,
    calls=1,  # retrieve
)
def handler(due: RefundCheckDue, record: EffectRecord) -> PaymentRefunded | RefundUnsettled | RefundFailed | None:
    del record
    try:
        refund = provider().v1.refunds.retrieve(due.provider_id)
    except stripe.InvalidRequestError as error:
        msg = f"Stripe does not know the refund {due.provider_id}: {error.code or 'no code'}"
        raise NonRetryable(msg) from error
    except stripe.StripeError as error:
        if rejected := not_performed(error):
            raise rejected from error
        raise
    return outcome(refund, due.details, paid_out=due.paid_out, checks=due.checks)
