"""The way of a letter to the e-mail service: sent once at most, and what the service says is understood.

The service's answers are those of its documentation:
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from daybook.consumers.effect_records import EffectRecords
from daybook.consumers.failure import NonRetryable
from daybook.contracts.contract import Event
from events.notifications import EmailRefused, EmailSent
from functions.notifications import mail_cancelled, mail_confirmed, mail_fulfilled, mail_refunded, post
from functions.notifications.letter import Letter
from tests.unit import faults
from tests.unit.builders import (
    Message,
    a_cancellation,
    a_confirmation,
    a_fulfilment,
    a_refund_made,
    an_order,
    from_the_bus,
    recorded,
)
from tests.unit.world import NAMES, SENDER, Handler, World

MARK = "Zzyzx0815"
TAKEN = (200, {"MessageId": "M-1", "ResponseMetadata": {"HTTPStatusCode": 200}})

ORDER = an_order(customer={"name": f"Ada {MARK}", "email": f"{MARK}@example.com"})
CUSTOMER = ORDER.customer

FUNCTIONS: dict[str, tuple[Handler, Event, str]] = {
    "confirmed": (mail_confirmed.handler, a_confirmation(ORDER), "1001.confirmed"),
    "cancelled": (mail_cancelled.handler, a_cancellation(ORDER, "payment_failed"), "1001.cancelled"),
    "fulfilled": (mail_fulfilled.handler, a_fulfilment(ORDER), "1001.fulfilled"),
    "refunded": (mail_refunded.handler, a_refund_made(customer=CUSTOMER), "1001.refunded:R-1"),
}
every_function = pytest.mark.parametrize(("handler", "event", "letter_id"), FUNCTIONS.values(), ids=FUNCTIONS)

UNVERIFIED = faults.error(
    "MessageRejected",
    said="Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: "
    f"{MARK}@example.com",
)


def a_message() -> Message:
    return Message(from_the_bus(recorded(a_confirmation(ORDER))))


def told(world: World) -> list[Event]:
    return world.events("letter/1001.confirmed")


@every_function
def test_a_letter_is_sent_once_and_told_of(world: World, handler: Handler, event: Event, letter_id: str) -> None:
    faults.answer("SendEmail", TAKEN)
    sent = faults.requests("SendEmail")
    message = Message(from_the_bus(recorded(event)))

    assert world.deliver(handler, message) == []
    assert world.deliver(handler, message) == []

    assert world.events(f"letter/{letter_id}") == [EmailSent(letter_id=letter_id, order_id="1001", message_id="M-1")]
    (request,) = sent
    assert request["FromEmailAddress"] == SENDER
    assert request["Destination"] == {"ToAddresses": [CUSTOMER.email]}
    assert request["ConfigurationSetName"] == NAMES.of("letters")
    content = request["Content"]["Simple"]
    assert content["Headers"] == [{"Name": "X-Daybook-Letter", "Value": letter_id}]
    assert "1001" in content["Subject"]["Data"]
    assert CUSTOMER.name in content["Body"]["Text"]["Data"]
    assert CUSTOMER.name in content["Body"]["Html"]["Data"]


def test_two_letters_never_have_one_name(world: World) -> None:
    faults.answer("SendEmail", TAKEN, TAKEN)
    one = a_refund_made(refund_id="a.refunded.b", customer=CUSTOMER)
    another = a_refund_made(refund_id="b", customer=CUSTOMER).model_copy(update={"order_id": "1001.refunded.a"})

    world.receive(mail_refunded.handler, one, another)

    assert [len(world.events(event.metadata.stream)) for event in world.recorded()] == [1, 1]


@pytest.mark.parametrize("code", ["BadRequestException", "MessageRejected"])
def test_a_letter_that_the_service_never_sends_is_refused_and_told_of(world: World, code: str) -> None:
    faults.answer("SendEmail", faults.error(code))

    assert world.deliver(mail_confirmed.handler, a_message()) == []

    assert told(world) == [EmailRefused(letter_id="1001.confirmed", order_id="1001", reason=code)]
    assert world.dead_letters() == []


def test_a_letter_that_waits_for_somebody_to_be_verified_is_dead_and_can_be_sent_later(world: World) -> None:
    faults.answer("SendEmail", UNVERIFIED, TAKEN)
    message = a_message()

    assert world.deliver(mail_confirmed.handler, message) == []
    (dead,) = world.dead_letters()
    assert dead.error == "NonRetryable"
    assert "only once sender, or receiver, is verified" in dead.attributes["reason"]

    assert world.deliver(mail_confirmed.handler, message.body) == []
    assert [type(event) for event in told(world)] == [EmailSent]


# A kept connection may have died while the process was frozen, and then nobody would know.
def test_every_letter_has_a_connection_of_its_own(world: World) -> None:
    sent = faults.break_off("SendEmail", ReadTimeoutError(endpoint_url="https://email.example"))

    world.deliver(mail_confirmed.handler, a_message())

    assert [request.headers["Connection"] for request in sent] == ["close"]


MISHAPS: dict[str, Any] = {
    "refused": faults.error("BadRequestException"),
    "rejected": UNVERIFIED,
    "busy": faults.error("TooManyRequestsException", 429),
    "failing": faults.error("InternalFailure", 500),
    "taken": TAKEN,
}


@pytest.mark.parametrize("answer", MISHAPS.values(), ids=MISHAPS)
def test_nothing_about_the_customer_is_in_logs_reasons_or_the_ledger(
    world: World, capsys: pytest.CaptureFixture[str], answer: faults.Answer
) -> None:
    status, content = answer
    if "Error" in content:
        said = f"{content['Error']['Message']} (not to {CUSTOMER.email})"
        content = {**content, "Error": {**content["Error"], "Message": said}}
    faults.answer("SendEmail", (status, content))

    world.deliver(mail_confirmed.handler, a_message())

    output = capsys.readouterr()
    assert MARK not in output.out + output.err
    assert MARK not in str(world.items("ledger"))
    assert MARK not in json.dumps([dict(letter.attributes) for letter in world.dead_letters()])
    assert MARK not in "".join(event.to_json() for event in told(world))


def test_what_is_rejected_says_what_can_be_done(world: World) -> None:
    faults.answer("SendEmail", UNVERIFIED)

    letter = Letter("ada@example.com", "Hello", "Hello", "<p>Hello</p>")
    attempts = EffectRecords(world.client, NAMES.ledger, "mail-confirmed")
    attempt = attempts.begin("letter/1001/confirmed", cause="e-1", seconds=10)
    with pytest.raises(NonRetryable, match="daybook doctor"):
        post.post(letter, attempt, letter_id="1001.confirmed", order_id="1001")
    assert world.recorded() == []
