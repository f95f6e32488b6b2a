"""The setup of e-mails: the sender must be verified, and SES must allow e-mails to all addresses."""

from daybook.operate.connection import Connection
from daybook.operate.functions import environment
from daybook.operate.setup import Finding, found
from daybook.operate.terminal import command_line
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
    well = bool(account.get("SendingEnabled")) and status == "HEALTHY"
    quota = account.get("SendQuota", {})
    return Finding(
        "e-mail account",
        well,
        f"SES sends to all addresses, {quota.get('Max24HourSend', 0):.0f} e-mails a day"
        if well
        else f"SES has paused sending, or may pause it soon ({status})",
        "read why in the SES console, Reputation metrics",
    )


CHECKS = (verified, sandbox)


def _sender(connection: Connection) -> str:
    """The sender in the environment of a function that sends; empty if it is not deployed."""
    return (environment(connection, "mail-confirmed") or {}).get(option_variable("sender"), "")
