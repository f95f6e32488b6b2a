"""Calls of Stripe's real client, with defaults, for tests of the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import stripe

from daybook.local.provider import Provider

NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}


def a_client(
    provider: Provider, *, key: str | None = None, retries: int = 0, timeout: float = 10
) -> stripe.StripeClient:
    """Stripe's client, sending a call once unless told otherwise."""
    return stripe.StripeClient(
        key or provider.key,
        base_addresses={"api": provider.endpoint},
        http_client=stripe.RequestsClient(timeout=timeout),
        max_network_retries=retries,
    )


def _options(key: str | None) -> Any:
    return {"idempotency_key": key} if key else {}


def an_intent(provider: Provider, *, order: str = "1001", key: str | None = None, **asked: Any) -> stripe.PaymentIntent:
    """Create a payment intent over 42 euros, to be paid by a card that works, but not confirmed yet."""
    asked = {"amount": 4200, "currency": "eur", "metadata": {"order": order}, **asked}
    if "allowed_payment_method_types" not in asked:
        asked.setdefault("automatic_payment_methods", NO_REDIRECTS)
    asked.setdefault("payment_method", "pm_card_visa")
    given = {name: value for name, value in asked.items() if value is not None}
    return a_client(provider).v1.payment_intents.create(cast("Any", given), _options(key))


def confirm(provider: Provider, intent: str, *, key: str | None = None, **asked: Any) -> stripe.PaymentIntent:
    """Confirm the intent."""
    return a_client(provider).v1.payment_intents.confirm(intent, cast("Any", asked), _options(key))


def cancel(provider: Provider, intent: str, *, key: str | None = None, **asked: Any) -> stripe.PaymentIntent:
    """Cancel the intent."""
    return a_client(provider).v1.payment_intents.cancel(intent, cast("Any", asked), _options(key))


def retrieve(provider: Provider, intent: str) -> stripe.PaymentIntent:
    """The intent as it is now."""
    return a_client(provider).v1.payment_intents.retrieve(intent)


def paid(provider: Provider, **asked: Any) -> stripe.PaymentIntent:
    """Create an intent and confirm it at once."""
    return an_intent(provider, confirm=True, **asked)


def processing(provider: Provider, method: str = "pm_usBankAccount_success", **asked: Any) -> stripe.PaymentIntent:
    """An intent in US dollars that a bank account pays, some day."""
    return paid(provider, payment_method=method, currency="usd", **asked)


def refund(provider: Provider, intent: str, *, key: str | None = None, **asked: Any) -> stripe.Refund:
    """Refund the intent's payment."""
    return a_client(provider).v1.refunds.create(cast("Any", {"payment_intent": intent, **asked}), _options(key))


@dataclass
class Refusal:
    """What Stripe's client made of an error: the HTTP status, the headers, the error in the answer."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


@contextmanager
def refused(kind: type[stripe.StripeError] = stripe.InvalidRequestError) -> Iterator[Refusal]:
    """A block that Stripe's client must leave with this error, which can be looked at afterwards."""
    refusal = Refusal()
    with pytest.raises(kind) as caught:
        yield refusal
    error = caught.value
    body: Any = error.json_body
    refusal.status, refusal.headers, refusal.error = error.http_status, dict(error.headers or {}), body["error"]
