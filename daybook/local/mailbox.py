"""The mailbox: all e-mails that the cloud has sent. On this machine they go nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daybook.local.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail as its receiver gets it."""

    id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    at: datetime


def mailbox(cloud: Cloud) -> list[Mail]:
    """All e-mails, in the order in which they were sent."""
    sent = [
        Mail(
            id=said["MessageId"],
            sender=said["Source"],
            to=tuple(said["To"]),
            subject=said["Subject"],
            text=said["BodyText"],
            html=said["BodyHtml"] or "",
            at=datetime.fromtimestamp(said["Timestamp"], UTC),
        )
        for of_account in cloud.page("ses/messages")["messages"].values()
        for said in of_account
    ]
    return sorted(sent, key=lambda mail: mail.at)
