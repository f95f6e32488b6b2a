"""Calls with Stripe's real client, with default parameters, for tests of the stand-in."""

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
    """Stripe's client, by default without retries."""
    return stripe.StripeClient(
        key or provider.key,
        base_addresses={"api": provider.endpoint},
        http_client=stripe.RequestsClient(timeout=timeout),
        max_network_retries=retries,
    )


def _options(key: str | None) -> Any:
    return {"idempotency_key": key} if key else {}


def an_intent(
    provider: Provider, *, order: str = "1001", key: str | None = None, **parameters: Any
) -> stripe.PaymentIntent:
    """Create a payment intent of 42 euros with a valid card, not confirmed yet."""
    parameters = {"amount": 4200, "currency": "eur", "metadata": {"order": order}, **parameters}
    if "allowed_payment_method_types" not in parameters:
        parameters.setdefault("automatic_payment_methods", NO_REDIRECTS)
    parameters.setdefault("payment_method", "pm_card_visa")
    given = {name: value for name, value in parameters.items() if value is not None}
    return a_client(provider).v1.payment_intents.create(cast("Any", given), _options(key))


def confirm(provider: Provider, intent: str, *, key: str | None = None, **parameters: Any) -> stripe.PaymentIntent:
    """Confirm the intent."""
    return a_client(provider).v1.payment_intents.confirm(intent, cast("Any", parameters), _options(key))


def cancel(provider: Provider, intent: str, *, key: str | None = None, **parameters: Any) -> stripe.PaymentIntent:
    """Cancel the intent."""
    return a_client(provider).v1.payment_intents.cancel(intent, cast("Any", parameters), _options(key))


def retrieve(provider: Provider, intent: str) -> stripe.PaymentIntent:
    """The intent as it is now."""
    return a_client(provider).v1.payment_intents.retrieve(intent)


def paid(provider: Provider, **parameters: Any) -> stripe.PaymentIntent:
    """Create an intent and confirm it at once."""
    return an_intent(provider, confirm=True, **parameters)


def processing(provider: Provider, method: str = "pm_usBankAccount_success", **parameters: Any) -> stripe.PaymentIntent:
    """An intent in US dollars with a pending bank debit."""
    return paid(provider, payment_method=method, currency="usd", **parameters)


def refund(provider: Provider, intent: str, *, key: str | None = None, **parameters: Any) -> stripe.Refund:
    """Refund the intent's payment."""
    return a_client(provider).v1.refunds.create(cast("Any", {"payment_intent": intent, **parameters}), _options(key))


@dataclass
class Rejection:
    """An error of Stripe's client: the HTTP status, the headers, and the error in the body."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


@contextmanager
def refused(kind: type[stripe.StripeError] = stripe.InvalidRequestError) -> Iterator[Rejection]:
    """Expect this error of Stripe's client in the block. The error can be examined afterwards."""
    refusal = Rejection()
    with pytest.raises(kind) as caught:
        yield refusal
    error = caught.value
    body: Any = error.json_body
    refusal.status, refusal.headers, refusal.error = error.http_status, dict(error.headers or {}), body["error"]
