"""The state of the stand-in: payment intents, charges, refunds. It is in memory only."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Literal

from daybook.local.provider.server.payment_methods import TEST_METHODS, Kind, Method
from daybook.local.provider.server.refusal import missing

IntentStatus = Literal[
    "requires_payment_method", "requires_confirmation", "requires_action", "processing", "succeeded", "canceled"
]
ChargeStatus = Literal["pending", "succeeded", "failed"]
RefundStatus = Literal["pending", "succeeded", "failed"]


def _identifier(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


@dataclass
class PaymentMethod:
    """A card or a bank account. Stripe creates one each time a test payment method is named."""

    name: str
    behaviour: Method
    id: str = field(default_factory=lambda: _identifier("pm"))

    def as_stripe(self) -> dict[str, Any]:
        """docs.stripe.com/api/payment_methods/object."""
        return {"id": self.id, "object": "payment_method", "livemode": False, "type": self.behaviour.kind}


@dataclass
class Intent:
    """A payment intent: docs.stripe.com/payments/paymentintents/lifecycle."""

    amount: int
    currency: str
    kinds: list[Kind]
    may_redirect: bool
    metadata: dict[str, str] = field(default_factory=dict)
    automatic: dict[str, Any] | None = None
    allowed: list[str] | None = None
    described: dict[str, str] = field(default_factory=dict)
    status: IntentStatus = "requires_payment_method"
    method: PaymentMethod | None = None
    charge: Charge | None = None
    error: dict[str, Any] | None = None
    next_action: dict[str, Any] | None = None
    cancellation_reason: str | None = None
    cancelled_at: float | None = None
    at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: _identifier("pi"))

    def __post_init__(self) -> None:
        self.secret = f"{self.id}_secret_{secrets.token_hex(12)}"

    def as_stripe(self) -> dict[str, Any]:
        """docs.stripe.com/api/payment_intents/object."""
        return {
            "id": self.id,
            "object": "payment_intent",
            "allowed_payment_method_types": self.allowed,
            "amount": self.amount,
            "amount_capturable": 0,
            "amount_received": self.amount if self.status == "succeeded" else 0,
            "automatic_payment_methods": self.automatic,
            "canceled_at": int(self.cancelled_at) if self.cancelled_at else None,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": "automatic_async",
            "client_secret": self.secret,
            "confirmation_method": "automatic",
            "created": int(self.at),
            "currency": self.currency,
            "customer": None,
            "description": self.described.get("description"),
            "last_payment_error": self.error,
            "latest_charge": self.charge.id if self.charge else None,
            "livemode": False,
            "metadata": self.metadata,
            "next_action": self.next_action,
            "payment_method": self.method.id if self.method else None,
            "payment_method_options": {},
            "payment_method_types": self.kinds,
            "processing": None,
            "receipt_email": self.described.get("receipt_email"),
            "setup_future_usage": None,
            "shipping": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": self.described.get("statement_descriptor_suffix"),
            "status": self.status,
        }


@dataclass
class Charge:
    """One attempt to charge an intent: docs.stripe.com/api/charges/object."""

    intent: Intent
    method: PaymentMethod
    key: str | None
    status: ChargeStatus
    failure: str | None = None
    refunded: int = 0
    at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: _identifier("ch"))

    @property
    def left(self) -> int:
        """The amount that can still be refunded."""
        return self.intent.amount - self.refunded if self.status == "succeeded" else 0


@dataclass
class Refund:
    """A refund: docs.stripe.com/api/refunds/object."""

    charge: Charge
    amount: int
    key: str | None
    reason: str | None
    metadata: dict[str, str]
    status: RefundStatus
    failure: str | None = None
    at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: _identifier("re"))

    def as_stripe(self) -> dict[str, Any]:
        """The object as the page describes it."""
        return {
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": None,
            "charge": self.charge.id,
            "created": int(self.at),
            "currency": self.charge.intent.currency,
            "metadata": self.metadata,
            "payment_intent": self.charge.intent.id,
            "reason": self.reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": self.status,
            "transfer_reversal": None,
            # Stripe leaves these fields out of refunds that they do not concern.
            **({"failure_reason": self.failure} if self.failure else {}),
            **({"pending_reason": "processing"} if self.status == "pending" else {}),
        }


class Account:
    """All state. Hold `lock` to read or change it."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.forget()

    def forget(self) -> None:
        """Remove everything."""
        self.intents: dict[str, Intent] = {}
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.methods: dict[str, PaymentMethod] = {}

    def intent(self, identifier: str, param: str = "intent", status: int = 404) -> Intent:
        """The intent with that id. Raises `missing` if there is none."""
        if identifier not in self.intents:
            raise missing("payment_intent", identifier, param, status)
        return self.intents[identifier]

    def method(self, identifier: str) -> PaymentMethod:
        """A test payment method by its name, or one created from it earlier by its id."""
        if identifier in TEST_METHODS:
            made = PaymentMethod(identifier, TEST_METHODS[identifier])
            self.methods[made.id] = made
            return made
        if identifier not in self.methods:
            raise missing("PaymentMethod", identifier, "payment_method")
        return self.methods[identifier]

    def charged(self, charge: Charge) -> Charge:
        """Record a charge as the latest of its intent."""
        charge.intent.charge = self.charges[charge.id] = charge
        return charge
