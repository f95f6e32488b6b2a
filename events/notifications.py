"""Events of e-mails. An order has at most one e-mail for each reason to write."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from daybook.contracts.contract import Event
from events.values import EmailId, OrderId

# The header with the id of the e-mail. Events of SES contain it.
EMAIL_HEADER = "X-Daybook-Email"


class EmailSent(Event, opens="email/{email_id}"):
    """SES has accepted an e-mail. It may still not arrive."""

    email_id: EmailId
    order_id: OrderId
    message_id: str = Field(max_length=255, description="The id that SES gave to the e-mail.")

    example = {
        "email_id": "1001.confirmed",
        "order_id": "1001",
        "message_id": "0100019a1b2c3d4e-5f60-4718-92a3-b4c5d6e7f809-000000",
    }


class EmailRefused(Event, opens="email/{email_id}"):
    """SES will never send the e-mail: its address or its content is not valid."""

    email_id: EmailId
    order_id: OrderId
    reason: str = Field(max_length=64, description="The error of SES: `BadRequestException`.")

    example = {"email_id": "1001.confirmed", "order_id": "1001", "reason": "BadRequestException"}


def _email_id(detail: Mapping[str, Any]) -> str:
    """The id of the e-mail that an event of SES is about."""
    headers = {header["name"].lower(): header["value"] for header in detail["mail"]["headers"]}
    return str(headers[EMAIL_HEADER.lower()])


class EmailBounced(Event, continues="email/{email_id}", sources=("aws.ses",), foreign="Email Bounced"):
    """An e-mail could not be delivered. Comes from outside: SES sends it in its own format.

    The format: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html#event-publishing-retrieving-sns-contents-bounce-object
    """

    email_id: EmailId
    kind: str = Field(max_length=32, description="SES's bounceType: `Permanent`, `Transient`, `Undetermined`.")
    detail: str = Field(max_length=64, description="SES's bounceSubType: `General`, `NoEmail`, `Suppressed` …")

    @staticmethod
    def translated(detail: Mapping[str, Any]) -> dict[str, Any]:
        """The detail of SES's event in the format of this system, without e-mail addresses."""
        bounce = detail["bounce"]
        return {
            "metadata": {"id": bounce["feedbackId"], "time": bounce["timestamp"]},
            "data": {
                "email_id": _email_id(detail),
                "kind": bounce["bounceType"],
                "detail": bounce["bounceSubType"],
            },
        }

    example = {"email_id": "1001.confirmed", "kind": "Permanent", "detail": "General"}


class EmailComplained(Event, continues="email/{email_id}", sources=("aws.ses",), foreign="Email Complaint Received"):
    """The recipient of an e-mail has marked it as spam. Comes from outside: SES sends it in its own format.

    The format: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html#event-publishing-retrieving-sns-contents-complaint-object
    """

    email_id: EmailId
    kind: str = Field(
        max_length=32,
        description="SES's complaintFeedbackType: `abuse` …; empty if the recipient's provider does not say.",
    )

    @staticmethod
    def translated(detail: Mapping[str, Any]) -> dict[str, Any]:
        """The detail of SES's event in the format of this system, without e-mail addresses."""
        complaint = detail["complaint"]
        return {
            "metadata": {"id": complaint["feedbackId"], "time": complaint["timestamp"]},
            "data": {"email_id": _email_id(detail), "kind": complaint.get("complaintFeedbackType") or ""},
        }

    example = {"email_id": "1001.confirmed", "kind": "abuse"}
