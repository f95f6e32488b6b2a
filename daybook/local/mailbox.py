"""The e-mails that functions sent. The local cloud stores them and sends none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daybook.local.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail."""

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
            id=mail["MessageId"],
            sender=mail["Source"],
            to=tuple(mail["To"]),
            subject=mail["Subject"],
            text=mail["BodyText"],
            html=mail["BodyHtml"] or "",
            at=datetime.fromtimestamp(mail["Timestamp"], UTC),
        )
        for mails in cloud.page("ses/messages")["messages"].values()
        for mail in mails
    ]
    return sorted(sent, key=lambda mail: mail.at)
