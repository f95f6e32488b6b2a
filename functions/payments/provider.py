"""The client of the payment provider, Stripe."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import stripe
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from stripe import StripeClient

from daybook.consumers.effect_records import NotPerformed
from daybook.consumers.failure import NonRetryable, kind
from daybook.runtime import aws
from daybook.runtime.settings import settings

# After a key is replaced, functions may use the old one for this time.
_KEY_LIFETIME = 300  # seconds

# The names in the metadata of payments and refunds at Stripe: the order id and the refund id.
ORDER = "order"
REFUND = "refund"

_LONGEST_KEY = 255  # characters: https://docs.stripe.com/api/idempotent_requests


def key_at_provider(idempotency_key: str) -> str:
    """The idempotency key at Stripe. It names the stage and its deployment, because several may use one account, each
    with an order 1001.
    """
    owner = "/".join(_owner().values())
    key = f"{owner}/{idempotency_key}"
    return key if len(key) <= _LONGEST_KEY else f"{owner}/{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


def metadata(**ids: str) -> dict[str, str]:
    """The metadata of a payment or a refund: its ids in this system, the stage, and the deployment."""
    return {**ids, **_owner()}


def _owner() -> dict[str, str]:
    return {"stage": settings().names.stage, "deployment": settings().option("deployment")}


def check_owner(found: stripe.PaymentIntent | stripe.Refund, expected: Mapping[str, str], amount: int) -> None:
    """Check that what Stripe returns under a key is what was asked for. Raises NonRetryable."""
    given = found.metadata.to_dict() if found.metadata else {}
    if (differing := {name for name in expected if given.get(name) != expected[name]}) or found.amount != amount:
        what = ", ".join(sorted(differing)) or "amount"
        msg = f"{found.id} at Stripe has another {what} than this event: look at it in Stripe's dashboard"
        raise NonRetryable(msg)


def provider() -> StripeClient:
    """Stripe's client. It does not retry: the effect decides whether to call again.

    Raises NotPerformed if the key cannot be read or is not valid.
    """
    try:
        key = secrets().get(settings().option("stripe-key"), max_age=_KEY_LIFETIME)
    except GetParameterError as error:
        # The error of AWS is only in the context.
        msg = f"Stripe's key cannot be read: {kind(error.__context__ or error)}. See `daybook doctor`"
        raise NotPerformed(msg) from error
    key = str(key).strip()
    if not (key.isascii() and key.isprintable()):  # an HTTP header cannot contain it
        raise NotPerformed("Stripe's key is not valid. See `daybook doctor`")
    return client(key)


def not_performed(error: stripe.StripeError) -> NotPerformed | None:
    """The error to raise if Stripe rejected the call before it did anything; None if the outcome is unknown."""
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        msg = f"Stripe refused the key: {kind(error)}. See `daybook doctor`"
        return NotPerformed(msg)
    if isinstance(error, stripe.RateLimitError):
        return NotPerformed("Stripe limits the rate of calls")
    return None


@lru_cache(maxsize=1)
def client(key: str) -> StripeClient:
    """Stripe's client with this key."""
    return StripeClient(
        key,
        base_addresses={"api": settings().option("stripe-api")},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=settings().call_timeout),
    )


@lru_cache(maxsize=1)
def secrets() -> SecretsProvider:
    """Secrets Manager, which has the key."""
    return SecretsProvider(boto3_client=aws.client("secretsmanager"))
