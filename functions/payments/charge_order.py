"""Charge the customer once for an order whose stock is reserved.

First a payment is created without confirmation, which moves no money. Its id is noted in the effect record. Then it is
confirmed. If the outcome is unknown, the function looks at the payment with this id, which can succeed only once.
"""

from datetime import UTC, datetime
from http import HTTPStatus

import stripe
from stripe import PaymentIntent

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.failure import NonRetryable, RetryLater
from events.inventory import StockReserved
from events.payments import PaymentFailed, PaymentSucceeded
from functions.payments.amount import NotChargeable, stripe_amount
from functions.payments.provider import ORDER, check_owner, key_at_provider, metadata, not_performed, provider

# If a bank takes longer, a person must ask it.
_SETTLES_WITHIN = 86_400  # seconds

# Stripe's codes for a payment that can never succeed, because of the order's data
# (https://docs.stripe.com/error-codes). Other invalid requests are errors in this system.
_IMPOSSIBLE = frozenset(
    {
        "amount_too_large",
        "amount_too_small",
        "currency_not_supported",
        "invalid_charge_amount",
        "payment_intent_incompatible_payment_method",
        "resource_missing",
    }
)


@effect(
    StockReserved,
    idempotency_key="charge/{order_id}",
    emits=(PaymentSucceeded, PaymentFailed),
    can_query=True,
    calls=4,  # create, confirm, cancel, retrieve
)
def handler(stock: StockReserved, record: EffectRecord) -> PaymentSucceeded | PaymentFailed:
    if not stock.total.amount:
        return record.without_call(PaymentSucceeded(order_id=stock.order_id, payment_id="", amount=stock.total))
    if reason := _known_failure(stock, record):
        return record.without_call(_failed(stock, reason))
    try:
        return _outcome(stock, _confirmed(stock, _intent(stock, record)))
    except NotChargeable:
        return record.without_call(_failed(stock, "amount_not_chargeable"))
    except stripe.CardError as error:
        return _failed(stock, _reason(error.error))
    except stripe.InvalidRequestError as error:
        if (reason := _impossible(error)) and "intent" not in record.notes:
            return _failed(stock, reason)
        msg = f"Stripe rejected the request as invalid: {error.code or 'no code'}"
        raise NonRetryable(msg) from error
    except stripe.IdempotencyError as error:
        raise NonRetryable("another request has used the idempotency key of this payment at Stripe") from error
    except stripe.StripeError as error:
        if rejected := not_performed(error):
            raise rejected from error
        raise


def _known_failure(stock: StockReserved, record: EffectRecord) -> str | None:
    """Why the payment has failed, if no call is needed to know. A payment without a note was never confirmed."""
    if not stock.payment_method:
        return "no_payment_method"
    return "not_paid_in_time" if _is_late(stock) and "intent" not in record.notes else None


def _intent(stock: StockReserved, record: EffectRecord) -> PaymentIntent:
    """The payment for this order, as Stripe knows it; it is created if there is none."""
    intents = provider().v1.payment_intents
    if known := record.notes.get("intent"):
        return intents.retrieve(known)
    failed_keys = int(record.notes.get("failed_keys", "0"))
    amount, marks = stripe_amount(stock.total), metadata(**{ORDER: stock.order_id})
    try:
        intent = intents.create(
            params={
                "amount": amount,
                "currency": stock.total.currency.lower(),
                "payment_method": stock.payment_method,
                # The customer is not present, so Stripe cannot send them to a page of the bank.
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": marks,
            },
            options={
                "idempotency_key": key_at_provider(record.idempotency_key + (f"/{failed_keys}" if failed_keys else ""))
            },
        )
    except stripe.APIError as error:
        # Stripe repeats this answer for this key for a day (https://docs.stripe.com/error-low-level#server-errors).
        # Another key cannot charge twice: only the payment that is noted is ever confirmed.
        if error.http_status == HTTPStatus.INTERNAL_SERVER_ERROR:
            record.note(failed_keys=str(failed_keys + 1))
        raise
    check_owner(intent, marks, amount)
    record.note(intent=intent.id)
    return intent


def _confirmed(stock: StockReserved, intent: PaymentIntent) -> PaymentIntent:
    """The payment after its confirmation. If the time to pay is over, it is cancelled instead, if that is possible."""
    intents = provider().v1.payment_intents
    try:
        if intent.status == "requires_confirmation" and not _is_late(stock):
            intent = intents.confirm(intent.id)
        waiting = {"requires_confirmation", "processing"} if _is_late(stock) else set[str]()
        if intent.status in {"requires_action", *waiting}:
            intent = intents.cancel(intent.id, params={"cancellation_reason": "abandoned"})
    except stripe.InvalidRequestError as error:
        # The bank, or an earlier call without an answer, changed the status first.
        if error.code != "payment_intent_unexpected_state":
            raise
        return intents.retrieve(intent.id)
    return intent


def _outcome(stock: StockReserved, intent: PaymentIntent) -> PaymentSucceeded | PaymentFailed:
    match intent.status:
        case "succeeded":
            return PaymentSucceeded(order_id=stock.order_id, payment_id=intent.id, amount=stock.total)
        case "requires_payment_method":
            return _failed(stock, _reason(intent.last_payment_error))
        case "canceled":
            return _failed(stock, "not_paid_in_time" if _is_late(stock) else "authentication_required")
    msg = f"the payment has the status {intent.status} at Stripe"
    raise RetryLater(msg, retry_window=_SETTLES_WITHIN)


def _impossible(error: stripe.InvalidRequestError) -> str | None:
    """Why the payment can never succeed, if so. Stripe has no error code for an unknown currency."""
    if error.param == "currency":
        return "currency_not_supported"
    return error.code if error.code in _IMPOSSIBLE else None


def _is_late(stock: StockReserved) -> bool:
    return stock.pay_by is not None and datetime.now(UTC) >= stock.pay_by


def _reason(error: object) -> str:
    """The bank's reason, if it gave one, else Stripe's. The error has no attribute for a missing reason."""
    return getattr(error, "decline_code", None) or getattr(error, "code", None) or "declined"


def _failed(stock: StockReserved, reason: str) -> PaymentFailed:
    return PaymentFailed(order_id=stock.order_id, reason=reason[:64])
