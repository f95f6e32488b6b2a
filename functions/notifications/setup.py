"""What a person must do for e-mails: verify their sender, and ask SES to write to everybody."""

from daybook.operate.connection import Connection
from daybook.operate.functions import environment
from daybook.operate.setup import Finding, found
from daybook.runtime.settings import option_variable


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
            return Finding("sender of e-mails", well=True, found=f"{identity} is verified: letters come from {sender}")
    return Finding(
        "sender of e-mails",
        well=False,
        found=f"neither {sender} nor its domain is verified: SES sends nothing",
        do=f"aws sesv2 create-email-identity --email-identity {sender}, and follow the link that SES mails to it; or "
        "put another address into the context of cdk.json as mail_from, and deploy notifications",
    )


def sandbox(connection: Connection) -> Finding:
    """Whether SES lets the account write to everybody."""
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


CHECKS = (verified, sandbox)


def _sender(connection: Connection) -> str:
    """What the stack has told a function that sends."""
    return (environment(connection, "mail-confirmed") or {}).get(option_variable("sender"), "")
