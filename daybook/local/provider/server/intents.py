"""The lifecycle of a payment intent: docs.stripe.com/payments/paymentintents/lifecycle."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from daybook.local.provider.server.account import Charge, Intent, PaymentMethod
from daybook.local.provider.server.payment_methods import AUTHENTICATION_REQUIRED, Decline, Outcome, kinds_for
from daybook.local.provider.server.refusal import INVALID, Rejection, invalid, unexpected_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daybook.local.provider.server.account import Account

_CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_DESCRIPTIONS: Final = ("description", "receipt_email", "statement_descriptor_suffix")
_NEEDS_RETURN_URL: Final = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these "
    "payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want "
    "to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and "
    "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)
_NEEDS_METHOD: Final = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
    "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method "
    "or ConfirmationToken."
)

_AUTHENTICATION_FAILED: Final = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this PaymentIntent again."
)


def create(account: Account, params: Mapping[str, Any], key: str | None) -> Intent:
    """Create an intent, and charge it if `confirm` is set: docs.stripe.com/api/payment_intents/create."""
    method = account.method(params["payment_method"]) if "payment_method" in params else None
    allowed = params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods", {"enabled": True, "allow_redirects": "always"})
    intent = Intent(
        amount=params["amount"],
        currency=params["currency"],
        kinds=[kind for kind in kinds_for(params["currency"]) if allowed is None or kind in allowed],
        may_redirect=allowed is None and automatic["allow_redirects"] == "always",
        metadata=params.get("metadata", {}),
        automatic=automatic if allowed is None else None,
        allowed=allowed,
        described={name: params[name] for name in _DESCRIPTIONS if name in params},
    )
    if method:
        _accept(intent, method)
    account.intents[intent.id] = intent
    return _attempt(account, intent, params, key) if params.get("confirm") else intent


def confirm(account: Account, intent: Intent, params: Mapping[str, Any], key: str | None) -> Intent:
    """Charge the intent: docs.stripe.com/api/payment_intents/confirm. A declined card raises Rejection with 402."""
    if intent.status == "succeeded":
        raise unexpected_state(
            intent.as_stripe(),
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
        )
    if intent.status not in _CONFIRMABLE:
        raise unexpected_state(
            intent.as_stripe(),
            f"You cannot confirm this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent "
            f"with one of the following statuses may be confirmed: {', '.join(_CONFIRMABLE)}.",
        )
    if "payment_method" in params:
        _accept(intent, account.method(params["payment_method"]))
    intent.described |= {name: params[name] for name in _DESCRIPTIONS if name in params}
    return _attempt(account, intent, params, key)


def cancel(intent: Intent, params: Mapping[str, Any]) -> Intent:
    """Cancel the intent: docs.stripe.com/api/payment_intents/cancel. It allows `processing` only "in rare cases"."""
    debited = bool(intent.method and intent.method.behaviour.outcome is Outcome.SETTLING)
    if intent.status in ("succeeded", "canceled") or (intent.status == "processing" and debited):
        raise unexpected_state(
            intent.as_stripe(),
            f"You cannot cancel this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent "
            "with one of the following statuses may be canceled: requires_payment_method, requires_capture, "
            "requires_confirmation, requires_action, processing.",
        )
    if intent.charge and intent.charge.status == "pending":
        intent.charge.status = "failed"
    intent.status, intent.next_action = "canceled", None
    intent.cancelled_at, intent.cancellation_reason = time.time(), params.get("cancellation_reason")
    return intent


def settle(account: Account, intent: Intent, failure: str | None) -> Intent:
    """The bank or the authenticating customer completes the payment: it succeeds, or fails with this code.

    The code of a failed bank debit is from docs.stripe.com/error-codes. Its type (invalid_request_error) and its
    message are assumed.
    """
    charge, message = intent.charge, "The customer's bank account could not be debited."
    if intent.status == "requires_action" and intent.method:
        charge, message = account.charged(Charge(intent, intent.method, None, "pending")), _AUTHENTICATION_FAILED
    if charge and failure:
        _failed(intent, charge, Decline(failure, message), kind=INVALID)
    elif charge:
        _paid(intent, charge)
    return intent


def _accept(intent: Intent, method: PaymentMethod) -> None:
    kind = method.behaviour.kind
    if kind not in intent.kinds:
        raise invalid(
            "payment_intent_incompatible_payment_method",
            f"The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent. Please attach a PaymentMethod "
            f"of one of the following types: {', '.join(intent.kinds)}.",
            "payment_method",
        )
    intent.method = method
    if intent.status == "requires_payment_method":
        intent.status = "requires_confirmation"


def _attempt(account: Account, intent: Intent, params: Mapping[str, Any], key: str | None) -> Intent:
    method = intent.method
    if method is None:
        raise unexpected_state(intent.as_stripe(), _NEEDS_METHOD)
    if intent.may_redirect and not params.get("return_url") and not params.get("off_session"):
        raise invalid(None, _NEEDS_RETURN_URL, payment_intent=intent.as_stripe())
    intent.next_action = intent.error = None
    match method.behaviour.outcome:
        case Outcome.PAID:
            _paid(intent, account.charged(Charge(intent, method, key, "pending")))
        case Outcome.PROCESSING | Outcome.SETTLING:
            account.charged(Charge(intent, method, key, "pending"))
            intent.status = "processing"
        case Outcome.NEEDS_AUTHENTICATION if not (params.get("off_session") or params.get("error_on_requires_action")):
            intent.status = "requires_action"
            intent.next_action = _next_action(params.get("return_url"))
        case _:
            charge = account.charged(Charge(intent, method, key, "pending"))
            raise _declined(intent, charge, method.behaviour.decline or AUTHENTICATION_REQUIRED)
    return intent


def _next_action(return_url: str | None) -> dict[str, Any]:
    """docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action."""
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    there = {"return_url": return_url, "url": "https://hooks.stripe.com/3d_secure_2/hosted"}
    return {"type": "redirect_to_url", "redirect_to_url": there}


def _paid(intent: Intent, charge: Charge) -> None:
    charge.status = intent.status = "succeeded"
    intent.next_action = intent.error = None


def _declined(intent: Intent, charge: Charge, decline: Decline) -> Rejection:
    refusal = _failed(intent, charge, decline, kind="card_error")
    refusal.error = {**refusal.error, "payment_intent": intent.as_stripe()}
    return refusal


def _failed(intent: Intent, charge: Charge, decline: Decline, *, kind: str) -> Rejection:
    """The intent requires another payment method again: docs.stripe.com/declines/card."""
    refusal = Rejection(
        HTTPStatus.PAYMENT_REQUIRED,
        kind,
        decline.message,
        decline.code,
        decline.param,
        charge=charge.id,
        decline_code=decline.decline_code,
        payment_method=charge.method.as_stripe(),
    )
    charge.status, charge.failure = "failed", decline.decline_code or decline.code
    intent.status, intent.method, intent.next_action = "requires_payment_method", None, None
    intent.error = refusal.error
    return refusal
