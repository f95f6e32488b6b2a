"""What a person must still do in an account, and whether it is done: no deployment can do it for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from backbone.settings import option_variable
from ops.connection import LOCAL, Connection
from ops.errors import is_not_there
from ops.functions import environment

# Of the functions that need what a person must do, one each. What they were told stands in their environment.
_SENDS, _CHARGES = "mail-confirmed", "charge-order"
_KEY_FORMS = ("sk_test_", "rk_test_", "sk_live_", "rk_live_")  # https://docs.stripe.com/keys
_TIMEOUT = 10  # seconds


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person must see to: whether it is well, what was found, and what to do if it is not."""

    what: str
    well: bool
    found: str
    do: str = ""


def examine(connection: Connection) -> Iterator[Finding]:
    """All that a person must see to, one by one, as it is found. Raises botocore's errors."""
    for part in (_deployed, _sender, _sandbox, _stripe_key, _alarms, _pager):
        yield part(connection)


def _deployed(connection: Connection) -> Finding:
    missing = [name for name in (_SENDS, _CHARGES) if environment(connection, name) is None]
    stage = connection.stage
    return Finding(
        "stage",
        not missing,
        f"{stage} is deployed" if not missing else f"of {stage}, {' and '.join(missing)} are not there",
        f"deploy it: npx cdk deploy --all -c stage={stage}",
    )


def _sender(connection: Connection) -> Finding:
    sender = (environment(connection, _SENDS) or {}).get(option_variable("sender"), "")
    if not sender:
        return Finding("sender of e-mails", well=False, found="notifications is not deployed", do="deploy it")
    ses = connection.client("sesv2")
    for identity in (sender, sender.rpartition("@")[2]):
        known = _found(lambda identity=identity: ses.get_email_identity(EmailIdentity=identity))  # type: ignore[misc]
        if known and known["VerifiedForSendingStatus"]:
            return Finding("sender of e-mails", well=True, found=f"{identity} is verified: letters come from {sender}")
    return Finding(
        "sender of e-mails",
        well=False,
        found=f"neither {sender} nor its domain is verified: SES sends nothing",
        do=f"aws sesv2 create-email-identity --email-identity {sender}, and follow the link that SES mails to it; or "
        "put another address into the context of cdk.json as mail_from, and deploy notifications",
    )


def _sandbox(connection: Connection) -> Finding:
    account = connection.client("sesv2").get_account()
    if not account.get("ProductionAccessEnabled"):
        return Finding(
            "e-mail account",
            well=False,
            found="SES is in its sandbox: it writes to verified addresses alone, 200 a day",
            do="ask AWS for production access: the SES console, Account dashboard, Request production access",
        )
    status = account.get("EnforcementStatus", "HEALTHY")
    well = bool(account.get("SendingEnabled")) and status == "HEALTHY"
    quota = account.get("SendQuota", {})
    return Finding(
        "e-mail account",
        well,
        f"SES may write to everybody, {quota.get('Max24HourSend', 0):.0f} a day"
        if well
        else f"SES has paused sending, or is about to ({status})",
        "see what SES has against the account: the SES console, Reputation metrics",
    )


def _stripe_key(connection: Connection) -> Finding:
    name, do = connection.names.stripe_key, _put_key(connection)
    secret = _found(lambda: connection.client("secretsmanager").get_secret_value(SecretId=name))
    if secret is None:
        return Finding("Stripe key", well=False, found=f"there is no secret {name}", do="deploy payments")
    key = str(secret.get("SecretString", "")).strip()
    if not key.startswith(_KEY_FORMS):
        return Finding("Stripe key", well=False, found=f"the secret {name} holds no key of Stripe's", do=do)
    mode = "test mode: no money moves" if "_test_" in key else "live: money moves"
    api = (environment(connection, _CHARGES) or {}).get(option_variable("stripe-api"))
    refused = _refused(key, api)
    return Finding("Stripe key", not refused, f"Stripe {refused or 'takes'} the key ({mode})", do)


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
        f"put it there: aws secretsmanager put-secret-value --secret-id {connection.names.stripe_key} "
        "--secret-string file://key.txt (a secret or restricted key of https://dashboard.stripe.com/apikeys)"
    )


def _alarms(connection: Connection) -> Finding:
    if connection.stage == LOCAL:
        return Finding("alarms", well=True, found="nobody is told of alarms on this machine")
    name = connection.names.alarms
    how = f"put alarm_email into the context of cdk.json and deploy the backbone, or subscribe to {name}"
    return _subscribers(connection, name, "alarms", "told when something is wrong", how)


def _pager(connection: Connection) -> Finding:
    name = connection.names.pager
    how = f"put pager_email into the context of cdk.json and deploy equipment, or subscribe to {name}"
    return _subscribers(connection, name, "pager", "paged about bedside devices", how)


def _subscribers(connection: Connection, name: str, what: str, are: str, how: str) -> Finding:
    """Whether a topic has subscribers, who all have confirmed. What is published to nobody is no error to SNS."""
    topic = f"arn:aws:sns:{connection.region}:{connection.account}:{name}"
    pages = connection.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    receivers = _found(lambda: [each for page in pages for each in page["Subscriptions"]])
    if receivers is None:
        return Finding(what, well=False, found=f"there is no topic {name}", do="deploy the stack that has it")
    waiting = [each["Endpoint"] for each in receivers if not each["SubscriptionArn"].startswith("arn:")]
    if waiting:
        told = f"not confirmed: {', '.join(waiting)}"
        return Finding(what, well=False, found=told, do="follow the link in the mail that SNS has sent there")
    if not receivers:
        return Finding(what, well=False, found=f"nobody is {are}", do=how)
    return Finding(what, well=True, found=f"{len(receivers)} are {are}")


def _found(ask: Callable[[], Any]) -> Any:
    """The answer; None if AWS says that there is no such thing."""
    try:
        return ask()
    except ClientError as error:
        if is_not_there(error):
            return None
        raise
