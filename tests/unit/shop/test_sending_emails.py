"""Sending e-mails: each is sent at most once, and each error of SES is handled.

The errors are from the documentation of SES:
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
from functions.notifications import (
    mail_cancelled,
    mail_confirmed,
    mail_fulfilled,
    mail_refund_failed,
    mail_refunded,
    send,
)
from functions.notifications.email import Email
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.shop.builders import a_cancellation, a_confirmation, a_failed_refund, a_fulfilment, a_refund, an_order
from tests.unit.world import NAMES, SENDER, Handler, World

MARK = "Zzyzx0815"
ACCEPTED = (200, {"MessageId": "M-1", "ResponseMetadata": {"HTTPStatusCode": 200}})

ORDER = an_order(customer={"name": f"Ada {MARK}", "email": f"{MARK}@example.com"})
CUSTOMER = ORDER.customer

FUNCTIONS: dict[str, tuple[Handler, Event, str]] = {
    "confirmed": (mail_confirmed.handler, a_confirmation(ORDER), "1001.confirmed"),
    "cancelled": (mail_cancelled.handler, a_cancellation(ORDER, "payment_failed"), "1001.cancelled"),
    "fulfilled": (mail_fulfilled.handler, a_fulfilment(ORDER), "1001.fulfilled"),
    "refunded": (mail_refunded.handler, a_refund(customer=CUSTOMER), "1001.refunded:R-1"),
    "refund failed": (mail_refund_failed.handler, a_failed_refund(customer=CUSTOMER), "1001.refund_failed:R-1"),
}
every_function = pytest.mark.parametrize(("handler", "event", "email_id"), FUNCTIONS.values(), ids=FUNCTIONS)

UNVERIFIED = faults.error(
    "MessageRejected",
    message="Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: "
    f"{MARK}@example.com",
)


def a_message() -> Message:
    return Message(from_the_bus(recorded(a_confirmation(ORDER))))


def events(world: World) -> list[Event]:
    return world.events("email/1001.confirmed")


@every_function
def test_an_email_is_sent_once(world: World, handler: Handler, event: Event, email_id: str) -> None:
    faults.answer("SendEmail", ACCEPTED)
    sent = faults.requests("SendEmail")
    message = Message(from_the_bus(recorded(event)))

    assert world.deliver(handler, message) == []
    assert world.deliver(handler, message) == []

    assert world.events(f"email/{email_id}") == [EmailSent(email_id=email_id, order_id="1001", message_id="M-1")]
    (request,) = sent
    assert request["FromEmailAddress"] == SENDER
    assert request["Destination"] == {"ToAddresses": [CUSTOMER.email]}
    assert request["ConfigurationSetName"] == NAMES.of("emails")
    content = request["Content"]["Simple"]
    assert content["Headers"] == [{"Name": "X-Daybook-Email", "Value": email_id}]
    assert "1001" in content["Subject"]["Data"]
    assert CUSTOMER.name in content["Body"]["Text"]["Data"]
    assert CUSTOMER.name in content["Body"]["Html"]["Data"]


def test_each_email_has_its_own_id(world: World) -> None:
    faults.answer("SendEmail", ACCEPTED, ACCEPTED)
    one = a_refund(refund_id="a.refunded.b", customer=CUSTOMER)
    another = a_refund(refund_id="b", customer=CUSTOMER).model_copy(update={"order_id": "1001.refunded.a"})

    world.receive(mail_refunded.handler, one, another)

    assert [len(world.events(event.metadata.stream)) for event in world.recorded()] == [1, 1]


@pytest.mark.parametrize("code", ["BadRequestException", "MessageRejected"])
def test_an_email_that_ses_will_never_send_is_recorded_as_refused(world: World, code: str) -> None:
    faults.answer("SendEmail", faults.error(code))

    assert world.deliver(mail_confirmed.handler, a_message()) == []

    assert events(world) == [EmailRefused(email_id="1001.confirmed", order_id="1001", reason=code)]
    assert world.dead_letters() == []


def test_an_email_with_an_address_that_is_not_verified_is_dead_and_can_be_sent_later(world: World) -> None:
    faults.answer("SendEmail", UNVERIFIED, ACCEPTED)
    message = a_message()

    assert world.deliver(mail_confirmed.handler, message) == []
    (dead,) = world.dead_letters()
    assert dead.error == "NonRetryable"
    assert "only after its sender, or its recipient, is verified" in dead.attributes["reason"]

    assert world.deliver(mail_confirmed.handler, message.body) == []
    assert [type(event) for event in events(world)] == [EmailSent]


# A connection may close while the process is frozen. A call over it would have an unknown outcome.
def test_each_email_uses_a_new_connection(world: World) -> None:
    sent = faults.break_off("SendEmail", ReadTimeoutError(endpoint_url="https://email.example"))

    world.deliver(mail_confirmed.handler, a_message())

    assert [request.headers["Connection"] for request in sent] == ["close"]


ANSWERS: dict[str, Any] = {
    "refused": faults.error("BadRequestException"),
    "rejected": UNVERIFIED,
    "busy": faults.error("TooManyRequestsException", 429),
    "failing": faults.error("InternalFailure", 500),
    "accepted": ACCEPTED,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_no_personal_data_is_in_logs_reasons_or_the_ledger(
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
    assert MARK not in json.dumps([dict(dead_letter.attributes) for dead_letter in world.dead_letters()])
    assert MARK not in "".join(event.to_json() for event in events(world))


def test_the_error_of_an_address_that_is_not_verified_names_the_command_that_helps(world: World) -> None:
    faults.answer("SendEmail", UNVERIFIED)

    email = Email("ada@example.com", "Hello", "Hello", "<p>Hello</p>")
    records = EffectRecords(world.client, world.ledger, "mail-confirmed")
    record = records.begin("email/1001/confirmed", cause="e-1", seconds=10)
    with pytest.raises(NonRetryable, match="daybook doctor"):
        send.send(email, record, kind="confirmed", order_id="1001")
    assert world.recorded() == []


@pytest.mark.parametrize(
    ("address", "sent_to"),
    [
        ("t@bücher.example", "t@xn--bcher-kva.example"),
        ("t@BÜCHER.example", "t@xn--bcher-kva.example"),
        ("t@bu\u0308cher.example", "t@xn--bcher-kva.example"),
        ("t@straße.example", "t@xn--strae-oqa.example"),
        ("t@例え。テスト", "t@xn--r8jz45g.xn--zckzah"),
        ("T@Example.COM", "T@Example.COM"),
        ("t@xn--bcher-kva.example", "t@xn--bcher-kva.example"),
    ],
)
def test_an_internationalised_domain_is_sent_to_in_ascii(world: World, address: str, sent_to: str) -> None:
    faults.answer("SendEmail", ACCEPTED)
    sent = faults.requests("SendEmail")
    order = an_order(customer={"name": "T", "email": address})

    world.deliver(mail_confirmed.handler, from_the_bus(recorded(a_confirmation(order))))

    assert [request["Destination"] for request in sent] == [{"ToAddresses": [sent_to]}]


@pytest.mark.parametrize("domain", ["☃.example", "-ü.example", "ü" * 64 + ".example"])
def test_an_email_to_an_invalid_internationalised_domain_is_refused_without_a_call(world: World, domain: str) -> None:
    sent = faults.requests("SendEmail")
    order = an_order(customer={"name": "T", "email": f"t@{domain}"})

    world.deliver(mail_confirmed.handler, from_the_bus(recorded(a_confirmation(order))))

    assert events(world) == [EmailRefused(email_id="1001.confirmed", order_id="1001", reason="InvalidDomain")]
    assert sent == []


@pytest.mark.parametrize(
    ("order_id", "email_id"),
    [("#1001", "#1001.confirmed"), ("2026/15", "2026/15.confirmed"), ("DE:1 50%", "DE%3A1 50%25.confirmed")],
)
def test_the_id_of_an_email_contains_the_number_of_the_order(world: World, order_id: str, email_id: str) -> None:
    faults.answer("SendEmail", ACCEPTED)

    world.deliver(mail_confirmed.handler, from_the_bus(recorded(a_confirmation(an_order(order_id)))))

    expected = EmailSent(email_id=email_id, order_id=order_id, message_id="M-1")
    assert world.events(expected.stream) == [expected]


def test_two_emails_with_similar_numbers_have_different_ids(world: World) -> None:
    faults.answer("SendEmail", ACCEPTED)
    refund = a_refund(refund_id="R-1.confirmed")
    order = an_order("1001.refunded:R-1")

    world.deliver(mail_refunded.handler, from_the_bus(recorded(refund)))
    faults.answer("SendEmail", ACCEPTED)
    world.deliver(mail_confirmed.handler, from_the_bus(recorded(a_confirmation(order))))

    sent = [EmailSent.read(envelope.data, version=1).email_id for envelope in world.recorded()]
    assert sorted(sent) == ["1001.refunded%3AR-1.confirmed", "1001.refunded:R-1.confirmed"]


def test_a_refund_that_the_customer_does_not_expect_is_not_mailed_when_it_fails(world: World) -> None:
    sent = faults.requests("SendEmail")

    world.deliver(mail_refund_failed.handler, from_the_bus(recorded(a_failed_refund(paid_out=False))))

    assert (sent, world.recorded(), world.dead_letters()) == ([], [], [])
