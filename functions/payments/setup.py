"""What a person must do for payments: put the key to Stripe's API where functions look for it."""

from contextlib import suppress

from daybook.operate.connection import Connection
from daybook.operate.functions import environment
from daybook.operate.setup import Finding, found
from daybook.runtime.settings import option_variable

_KEY_FORMS = ("sk_test_", "rk_test_", "sk_live_", "rk_live_")  # https://docs.stripe.com/keys
_TIMEOUT = 10  # seconds


def on_this_machine(connection: Connection, provider_key: str) -> None:
    """Put the key to the payment stand-in there."""
    secrets = connection.client("secretsmanager")
    with suppress(secrets.exceptions.ResourceNotFoundException):  # another app has no payments
        secrets.put_secret_value(SecretId=_secret(connection), SecretString=provider_key)


def stripe_key(connection: Connection) -> Finding:
    """Whether the key is there, and Stripe takes it."""
    name, do = _secret(connection), _put_key(connection)
    secret = found(lambda: connection.client("secretsmanager").get_secret_value(SecretId=name))
    if secret is None:
        return Finding("Stripe key", well=False, found=f"there is no secret {name}", do="deploy payments")
    key = str(secret.get("SecretString", "")).strip()
    if not key.startswith(_KEY_FORMS):
        return Finding("Stripe key", well=False, found=f"the secret {name} holds no key of Stripe's", do=do)
    mode = "test mode: no money moves" if "_test_" in key else "live: money moves"
    api = (environment(connection, "charge-order") or {}).get(option_variable("stripe-api"))
    refused = _refused(key, api)
    return Finding("Stripe key", not refused, f"Stripe {refused or 'takes'} the key ({mode})", do)


CHECKS = (stripe_key,)


def _secret(connection: Connection) -> str:
    return connection.names.of("stripe-key")


def _refused(key: str, api: str | None) -> str:
    """What Stripe has against the key: nothing, as a rule. A restricted key may well not see the balance."""
    import stripe  # noqa: PLC0415 - a fifth of a second, for this command alone

    client = stripe.StripeClient(
        key,
        base_addresses={"api": api or "https://api.stripe.com"},
        max_network_retries=1,
        http_client=stripe.RequestsClient(timeout=_TIMEOUT),
    )
    try:
        client.v1.balance.retrieve()
    except stripe.PermissionError:
        return ""
    except stripe.AuthenticationError:
        return "refuses"
    except stripe.StripeError as error:
        return f"could not be asked ({type(error).__name__}) about"
    return ""


def _put_key(connection: Connection) -> str:
    return (
        f"put it there: aws secretsmanager put-secret-value --secret-id {_secret(connection)} "
        "--secret-string file://key.txt (a secret or restricted key of https://dashboard.stripe.com/apikeys)"
    )
