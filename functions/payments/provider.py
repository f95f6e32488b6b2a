"""The payment provider: Stripe, by its own package. Only this service pays for importing it."""

from functools import lru_cache

import stripe
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from stripe import StripeClient

from daybook.consumers.effect_records import NotPerformed
from daybook.consumers.failure import kind
from daybook.runtime import aws
from daybook.runtime.settings import settings

# How long a key is used before it is looked up again: so long an old one is still needed once it was replaced.
_KEY_LIVES = 300  # seconds

# The order's number stands in the metadata of all that is made at the provider, under this name.
ORDER = "order"
REFUND = "refund"


def provider() -> StripeClient:
    """The provider's client. It repeats no call by itself: whether to repeat is the effect's to decide."""
    try:
        key = secrets().get(settings().option("stripe-key"), max_age=_KEY_LIVES)
    except GetParameterError as error:
        # Powertools keeps what AWS said in the context alone.
        msg = (
            f"the key to the payment provider cannot be read: {kind(error.__context__ or error)}. See `daybook doctor`"
        )
        raise NotPerformed(msg) from error
    key = str(key).strip()
    if not (key.isascii() and key.isprintable()):  # it could not even be sent
        msg = "the key to the payment provider is no key. See `daybook doctor`"
        raise NotPerformed(msg)
    return client(key)


def certainly_nothing(error: stripe.StripeError) -> NotPerformed | None:
    """That nothing was done, if that is what the error says: nobody is let in. None if nobody knows."""
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        msg = f"the payment provider answers {kind(error)}: is its key set? See `daybook doctor`"
        return NotPerformed(msg)
    if isinstance(error, stripe.RateLimitError):
        msg = "the payment provider is busy"
        return NotPerformed(msg)
    return None


@lru_cache(maxsize=1)
def client(key: str) -> StripeClient:
    """The client that uses this key."""
    here = settings()
    return StripeClient(
        key,
        base_addresses={"api": here.option("stripe-api")},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=here.call_timeout),
    )


@lru_cache(maxsize=1)
def secrets() -> SecretsProvider:
    """Where the key is kept."""
    return SecretsProvider(boto3_client=aws.client("secretsmanager"))
