"""The setup of e-mails: the sender must be verified, and SES must allow e-mails to all addresses."""

from datetime import UTC, datetime, timedelta

from daybook.operate.connection import LOCAL, Connection
from daybook.operate.functions import environment
from daybook.operate.setup import Finding, found
from daybook.operate.terminal import command_line
from daybook.runtime.settings import option_variable

_NEARLY = 0.8  # of the e-mails that the account may send a day
# SES puts an account under review above these rates
# (https://docs.aws.amazon.com/ses/latest/dg/faqs-enforcement.html).
_MOST = {"Bounce": 0.05, "Complaint": 0.001}


def on_this_machine(connection: Connection, _: str) -> None:
    """Verify the sender."""
    if sender := _sender(connection):
        connection.client("sesv2").create_email_identity(EmailIdentity=sender)


def verified(connection: Connection) -> Finding:
    """Whether the sender of e-mails is verified."""
    sender = _sender(connection)
    if not sender:
        return Finding("sender of e-mails", well=False, found="notifications is not deployed", do="deploy it")
    ses = connection.client("sesv2")
    for identity in (sender, sender.rpartition("@")[2]):
        known = found(lambda identity=identity: ses.get_email_identity(EmailIdentity=identity))  # type: ignore[misc]
        if known and known["VerifiedForSendingStatus"]:
            return Finding("sender of e-mails", well=True, found=f"{identity} is verified: e-mails come from {sender}")
    verify = command_line("aws", "sesv2", "create-email-identity", "--email-identity", sender)
    return Finding(
        "sender of e-mails",
        well=False,
        found=f"neither {sender} nor its domain is verified: SES sends no e-mail",
        do=f"{verify}, and open the link in the e-mail "
        "from SES; or set another address as mail_from in the context of cdk.json, and deploy notifications",
    )


def sandbox(connection: Connection) -> Finding:
    """Whether SES lets the account send e-mails to all addresses."""
    account = connection.client("sesv2").get_account()
    if not account.get("ProductionAccessEnabled"):
        return Finding(
            "e-mail account",
            well=False,
            found="SES is in its sandbox: it sends to verified addresses only, 200 e-mails a day",
            do="ask AWS for production access: the SES console, Account dashboard, Request production access",
        )
    status = account.get("EnforcementStatus", "HEALTHY")
    if status != "HEALTHY" or not account.get("SendingEnabled"):
        return Finding(
            "e-mail account",
            well=False,
            found=f"SES has paused sending, or may pause it soon ({status})",
            do="read why in the SES console, Reputation metrics",
        )
    quota = account.get("SendQuota", {})
    most, sent = quota.get("Max24HourSend", 0), quota.get("SentLast24Hours", 0)
    rates = f"{most:.0f} e-mails a day, {quota.get('MaxSendRate', 0):.0f} a second; {sent:.0f} in the last 24 hours"
    return Finding(
        "e-mail account",
        well=sent < _NEARLY * most,
        found=f"SES sends to all addresses, {rates}",
        do="ask AWS for a higher quota: the SES console, Account dashboard, Request a limit increase",
    )


def reputation(connection: Connection) -> Finding:
    """Whether few e-mails bounce, and few recipients complain. Otherwise SES reviews the account, and may pause it."""
    if connection.stage == LOCAL:
        return Finding("reputation", well=True, found="no real e-mail is sent on a local run")
    rates = {kind: _newest_rate(connection, kind) for kind in _MOST}
    if None in rates.values():
        return Finding("reputation", well=True, found="SES has no rates of bounces and complaints yet")
    found = ", ".join(f"{kind} {rate:.2%} (at most {_MOST[kind]:.1%})" for kind, rate in rates.items())
    return Finding(
        "reputation",
        well=all(rate < _MOST[kind] for kind, rate in rates.items() if rate is not None),
        found=found,
        do="look which e-mails bounce, and who complains: the SES console, Reputation metrics; write to such addresses "
        "no more",
    )


CHECKS = (verified, sandbox, reputation)


def _newest_rate(connection: Connection, kind: str) -> float | None:
    """The newest rate of the last days, between 0 and 1; None if there is none. It counts the last e-mails sent."""
    now = datetime.now(UTC)
    points = connection.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SES",
        MetricName=f"Reputation.{kind}Rate",
        StartTime=now - timedelta(days=3),
        EndTime=now,
        Period=3_600,
        Statistics=["Maximum"],
    )["Datapoints"]
    newest = max(points, key=lambda point: point["Timestamp"], default=None)
    return float(newest["Maximum"]) if newest else None


def _sender(connection: Connection) -> str:
    """The sender in the environment of a function that sends; empty if it is not deployed."""
    return (environment(connection, "mail-confirmed") or {}).get(option_variable("sender"), "")
