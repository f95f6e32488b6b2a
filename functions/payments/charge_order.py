"""Charge the customer for an order whose goods are put aside: once, whatever happens on the way.

The payment is made at the provider without being confirmed, which moves no money; its id is noted; then it is
confirmed. In doubt it is that very payment which is looked at, and one payment can succeed only once.
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
from functions.payments.provider import ORDER, certainly_nothing, provider

# A bank that takes longer than that must be asked by a person.
_SETTLES_WITHIN = 86_400  # seconds

# What the provider says of a payment that can never be made as it was asked for, the customer's doing or the shop's
# (https://docs.stripe.com/error-codes). Anything else it does not understand is this system's fault.
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
    can_ask=True,
    calls=4,  # made, confirmed, called off, looked at
)
def handler(stock: StockReserved, record: EffectRecord) -> PaymentSucceeded | PaymentFailed:
    if not stock.total.amount:
        return record.without_asking(PaymentSucceeded(order_id=stock.order_id, payment_id="", amount=stock.total))
    if futile := _futile(stock, record):
        return record.without_asking(_failed(stock, futile))
    try:
        return _outcome(stock, _confirmed(stock, _intent(stock, record)))
    except NotChargeable:
        return record.without_asking(_failed(stock, "amount_not_chargeable"))
    except stripe.CardError as error:
        return _failed(stock, _reason(error.error))
    except stripe.InvalidRequestError as error:
        if (why := _impossible(error)) and "intent" not in record.notes:
            return _failed(stock, why)
        msg = f"the payment provider does not understand the request: {error.code or 'no code'}"
        raise NonRetryable(msg) from error
    except stripe.StripeError as error:
        if nothing_done := certainly_nothing(error):
            raise nothing_done from error
        raise


def _futile(stock: StockReserved, record: EffectRecord) -> str | None:
    """Why the provider need not be asked, if that is so. A payment that was never noted was never confirmed."""
    if not stock.payment_method:
        return "no_payment_method"
    return "not_paid_in_time" if _is_late(stock) and "intent" not in record.notes else None


def _intent(stock: StockReserved, record: EffectRecord) -> PaymentIntent:
    """The one payment for this order, as the provider has it."""
    intents = provider().v1.payment_intents
    if known := record.notes.get("intent"):
        return intents.retrieve(known)
    spoilt = int(record.notes.get("spoilt", "0"))
    try:
        intent = intents.create(
            params={
                "amount": stripe_amount(stock.total),
                "currency": stock.total.currency.lower(),
                "payment_method": stock.payment_method,
                # The customer is not there to be sent to a bank's page.
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": {ORDER: stock.order_id},
            },
            options={"idempotency_key": f"{record.idempotency_key}/{spoilt}" if spoilt else record.idempotency_key},
        )
    except stripe.APIError as error:
        # For a day the provider answers this key with the same (https://docs.stripe.com/error-low-level#server-errors).
        # Another key is no danger: what is not confirmed moves no money, and only what is noted is confirmed.
        if error.http_status == HTTPStatus.INTERNAL_SERVER_ERROR:
            record.note(spoilt=str(spoilt + 1))
        raise
    record.note(intent=intent.id)
    return intent


def _confirmed(stock: StockReserved, intent: PaymentIntent) -> PaymentIntent:
    """The payment after all that can be done for it: confirmed, or, once it is too late, called off if it can be."""
    intents = provider().v1.payment_intents
    try:
        if intent.status == "requires_confirmation" and not _is_late(stock):
            intent = intents.confirm(intent.id)
        waiting = {"requires_confirmation", "processing"} if _is_late(stock) else set[str]()
        if intent.status in {"requires_action", *waiting}:
            intent = intents.cancel(intent.id, params={"cancellation_reason": "abandoned"})
    except stripe.InvalidRequestError as error:
        # The bank was faster, or a call before this one whose answer nobody has waited for.
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
    msg = f"the payment is {intent.status} at the provider"
    raise RetryLater(msg, retry_window=_SETTLES_WITHIN)


def _impossible(error: stripe.InvalidRequestError) -> str | None:
    """Why the payment can never be made, if it is that. A currency that it does not know gets no code from Stripe."""
    if error.param == "currency":
        return "currency_not_supported"
    return error.code if error.code in _IMPOSSIBLE else None


def _is_late(stock: StockReserved) -> bool:
    return stock.pay_by is not None and datetime.now(UTC) >= stock.pay_by


def _reason(error: object) -> str:
    """The bank's reason, if it gives one, else the provider's. What Stripe does not say is no attribute either."""
    return getattr(error, "decline_code", None) or getattr(error, "code", None) or "declined"


def _failed(stock: StockReserved, reason: str) -> PaymentFailed:
    return PaymentFailed(order_id=stock.order_id, reason=reason[:64])
