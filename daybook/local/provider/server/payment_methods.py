"""Stripe's test payment methods.

Cards: docs.stripe.com/testing. Bank accounts: docs.stripe.com/payments/ach-direct-debit/accept-a-payment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

Kind = Literal["card", "us_bank_account"]


class Outcome(Enum):
    """The result of an attempt to pay."""

    PAID = auto()
    DECLINED = auto()
    NEEDS_AUTHENTICATION = auto()
    PROCESSING = auto()  # until a test settles it; can be cancelled
    SETTLING = auto()  # until a test settles it; cannot be cancelled


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card is declined: docs.stripe.com/declines/codes. `param` is the invalid field, if any."""

    code: str
    message: str
    decline_code: str | None = None
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """The behaviour of a test payment method."""

    kind: Kind = "card"
    outcome: Outcome = Outcome.PAID
    decline: Decline | None = None
    pending_refunds: bool = False  # refunds are pending until a test settles them

    def takes(self, currency: str) -> bool:
        """Whether it supports this currency. Bank debits support US dollars only."""
        return self.kind in kinds_for(currency)


AUTHENTICATION_REQUIRED: Final = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)


def kinds_for(currency: str) -> tuple[Kind, ...]:
    """The kinds of payment method that support this currency."""
    return ("card", "us_bank_account") if currency == "usd" else ("card",)


def _declined(decline_code: str, message: str = "Your card was declined.") -> Method:
    return Method(outcome=Outcome.DECLINED, decline=Decline("card_declined", message, decline_code))


def _failed(code: str, message: str, param: str | None = None) -> Method:
    return Method(outcome=Outcome.DECLINED, decline=Decline(code, message, param=param))


_AUTHENTICATES: Final = Method(outcome=Outcome.NEEDS_AUTHENTICATION)

TEST_METHODS: Final = {
    "pm_card_visa": Method(),
    "pm_card_mastercard": Method(),
    # Refunds of the first succeed and fail later; refunds of the second are pending at first: docs.stripe.com/testing
    "pm_card_refundFail": Method(),
    "pm_card_pendingRefund": Method(pending_refunds=True),
    "pm_card_visa_chargeDeclined": _declined("generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined(
        "insufficient_funds", "Your card has insufficient funds."
    ),
    "pm_card_visa_chargeDeclinedLostCard": _declined("lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("stolen_card"),
    "pm_card_chargeDeclinedFraudulent": _declined("fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": _failed("expired_card", "Your card has expired.", "exp_month"),
    "pm_card_chargeDeclinedIncorrectCvc": _failed("incorrect_cvc", "Your card's security code is incorrect.", "cvc"),
    "pm_card_chargeDeclinedProcessingError": _failed(
        "processing_error", "An error occurred while processing your card. Try again in a little bit."
    ),
    "pm_card_authenticationRequired": _AUTHENTICATES,
    "pm_card_threeDSecure2Required": _AUTHENTICATES,
    "pm_usBankAccount_success": Method("us_bank_account", Outcome.SETTLING),
    "pm_usBankAccount_processing": Method("us_bank_account", Outcome.PROCESSING),
}
