"""The outcome of a refund, by its status at Stripe: https://docs.stripe.com/refunds."""

from typing import Any

from stripe import Refund

from daybook.consumers.failure import NonRetryable
from events.payments import PaymentRefunded, RefundFailed, RefundUnsettled
from functions.payments.refund_checks import PAUSES


def outcome(
    refund: Refund, details: dict[str, Any], *, paid_out: bool = False, checks: int = 0
) -> PaymentRefunded | RefundUnsettled | RefundFailed | None:
    """The event about a refund with these RefundDetails; None if it was paid out and is not checked again.

    A refund may fail weeks later, even one that has succeeded. `paid_out`: PaymentRefunded was emitted before.
    `checks`: how often the status was retrieved in this state. Raises NonRetryable for a refund that stays pending.
    """
    if refund.status in {"failed", "canceled"}:
        failure = getattr(refund, "failure_reason", None) or str(refund.status)
        return RefundFailed(**details, failure=failure[:64], paid_out=paid_out)
    if refund.status == "succeeded" and not paid_out:
        return PaymentRefunded(**details)
    if checks < len(PAUSES):
        return RefundUnsettled(**details, paid_out=paid_out, checks=checks)
    if paid_out:
        return None
    msg = (
        f"the refund still has the status {refund.status} at Stripe, after the last check: look at it in the dashboard"
    )
    raise NonRetryable(msg)
