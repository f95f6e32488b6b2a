"""What happens to letters. A letter is one e-mail about one order, for one reason."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from daybook.contracts.contract import Event
from events.values import LetterId, OrderId

# The header by which the e-mail service's own events name the letter.
LETTER_HEADER = "X-Daybook-Letter"


class EmailSent(Event, opens="letter/{letter_id}"):
    """The e-mail service has taken a letter. Whether it arrives is another matter."""

    letter_id: LetterId
    order_id: OrderId
    message_id: str = Field(max_length=255, description="The e-mail service's id of the message.")

    example = {
        "letter_id": "1001.confirmed",
        "order_id": "1001",
        "message_id": "0100019a1b2c3d4e-5f60-4718-92a3-b4c5d6e7f809-000000",
    }


class EmailRefused(Event, opens="letter/{letter_id}"):
    """The e-mail service does not take the letter, since it cannot be sent to its address."""

    letter_id: LetterId
    order_id: OrderId
    reason: str = Field(max_length=64, description="The service's word for it: `BadRequestException`.")

    example = {"letter_id": "1001.confirmed", "order_id": "1001", "reason": "BadRequestException"}


class EmailBounced(Event, continues="letter/{letter_id}", sources=("aws.ses",), foreign="Email Bounced"):
    """A letter could not be delivered. Comes from outside: SES tells it in its own form.

    The form: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html#event-publishing-retrieving-sns-contents-bounce-object
    """

    letter_id: LetterId
    kind: str = Field(max_length=32, description="SES's bounceType: `Permanent`, `Transient`, `Undetermined`.")
    detail: str = Field(max_length=64, description="SES's bounceSubType: `General`, `NoEmail`, `Suppressed` …")

    @staticmethod
    def translated(detail: Mapping[str, Any]) -> dict[str, Any]:
        """SES's own detail, as a producer of this system would send it. Addresses are left behind."""
        headers = {header["name"].lower(): header["value"] for header in detail["mail"]["headers"]}
        bounce = detail["bounce"]
        return {
            "metadata": {"id": bounce["feedbackId"], "time": bounce["timestamp"]},
            "data": {
                "letter_id": headers[LETTER_HEADER.lower()],
                "kind": bounce["bounceType"],
                "detail": bounce["bounceSubType"],
            },
        }

    example = {"letter_id": "1001.confirmed", "kind": "Permanent", "detail": "General"}
