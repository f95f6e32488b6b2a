"""The payment provider: Stripe, by its own package. Only this service pays for importing it."""

from functools import lru_cache

import stripe
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from stripe import StripeClient

from backbone import aws
from backbone.attempts import Attempt, NothingDone
from backbone.failure import kind
from backbone.settings import settings

# How long a key is used before it is looked up again: so long an old one is still needed once it was replaced.
_KEY_LIVES = 300  # seconds

# The order's number stands in the metadata of all that is made at the provider, under this name.
ORDER = "order"
REFUND = "refund"


def provider() -> StripeClient:
    """The provider's client. It repeats no call by itself: whether to repeat is the effect's to decide."""
    key = _secrets().get(settings().option("stripe-key"), max_age=_KEY_LIVES)
    return _client(str(key).strip())


def not_now(error: stripe.StripeError, attempt: Attempt) -> Exception:
    """What an error means that says nothing about the payment. Of an attempt in doubt it leaves the doubt."""
    if attempt.in_doubt or not isinstance(
        error, stripe.AuthenticationError | stripe.PermissionError | stripe.RateLimitError
    ):
        return error
    msg = f"the payment provider answers {kind(error)}: is its key set? See `daybook doctor`"
    return NothingDone(msg)


@lru_cache(maxsize=1)
def _client(key: str) -> StripeClient:
    here = settings()
    return StripeClient(
        key,
        base_addresses={"api": here.option("stripe-api")},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=here.call_timeout),
    )


@lru_cache(maxsize=1)
def _secrets() -> SecretsProvider:
    return SecretsProvider(boto3_client=aws.client("secretsmanager"))
