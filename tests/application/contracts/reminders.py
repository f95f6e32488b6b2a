"""What happens to reminders."""

from typing import Any

from pydantic import Field

from daybook.contracts.contract import Event
from daybook.contracts.values import Identifier


class ReminderSent(Event, opens="reminder/{reminder_id}"):
    """A reader was sent a reminder."""

    reminder_id: Identifier
    loan_id: Identifier
    message_id: str = Field(max_length=255)

    example = {"reminder_id": "1001.first", "loan_id": "1001", "message_id": "M-1"}


class ReminderBounced(Event, continues="reminder/{reminder_id}", sources=("mail.example",), foreign="Message Bounced"):
    """A reminder did not arrive. The mail service, which sends this, does not know the library."""

    reminder_id: Identifier
    reason: str = Field(max_length=64)

    example = {"reminder_id": "1001.first", "reason": "no such mailbox"}

    @staticmethod
    def translated(detail: Any) -> dict[str, Any]:
        """The event in this system's form."""
        return {"metadata": {"id": detail["id"]}, "data": {"reminder_id": detail["tag"], "reason": detail["reason"]}}
