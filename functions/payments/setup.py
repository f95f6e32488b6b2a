"""The setup of payments: a person must store the key of Stripe's API in its secret."""

from contextlib import suppress

from daybook.operate.connection import Connection
from daybook.operate.functions import environment
from daybook.operate.setup import Finding, found
from daybook.operate.terminal import command_line
from daybook.runtime.settings import option_variable

_KEY_FORMS = ("sk_test_", "rk_test_", "sk_live_", "rk_live_")  # https://docs.stripe.com/keys
_TIMEOUT = 10  # seconds


def on_this_machine(connection: Connection, provider_key: str) -> None:
    """Store the key of the payment stand-in."""
    secrets = connection.client("secretsmanager")
    with suppress(secrets.exceptions.ResourceNotFoundException):  # the application has no payments
        secrets.put_secret_value(SecretId=_secret(connection), SecretString=provider_key)


def stripe_key(connection: Connection) -> Finding:
    """Whether the secret has a key that Stripe accepts."""
    name, do = _secret(connection), _how_to_store(connection)
    secret = found(lambda: connection.client("secretsmanager").get_secret_value(SecretId=name))
    if secret is None:
        return Finding("Stripe key", well=False, found=f"there is no secret {name}", do="deploy payments")
    key = str(secret.get("SecretString", "")).strip()
    if not key.startswith(_KEY_FORMS):
        return Finding("Stripe key", well=False, found=f"the secret {name} has no key of Stripe's", do=do)
    mode = "test mode: no real money" if "_test_" in key else "live mode: real money"
    api = (environment(connection, "charge-order") or {}).get(option_variable("stripe-api"))
    problem = _problem(key, api)
    return Finding("Stripe key", not problem, problem or f"Stripe accepts the key ({mode})", do)


CHECKS = (stripe_key,)


def _secret(connection: Connection) -> str:
    return connection.names.of("stripe-key")


def _problem(key: str, api: str | None) -> str:
    """Why Stripe does not accept the key; empty if it does. A restricted key may have no access to the balance."""
    import stripe  # noqa: PLC0415 - takes 0.2 s, which only this command needs

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
        return "Stripe refuses the key"
    except stripe.StripeError as error:
        return f"the call to Stripe failed: {type(error).__name__}"
    return ""


def _how_to_store(connection: Connection) -> str:
    words = ("--secret-id", _secret(connection), "--secret-string", "file://key.txt")
    return (
        f"store it: {command_line('aws', 'secretsmanager', 'put-secret-value', *words)} "
        "(a secret or restricted key of https://dashboard.stripe.com/apikeys)"
    )
