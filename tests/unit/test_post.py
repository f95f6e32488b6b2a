"""The way of a letter to the e-mail service: sent once at most, and what the service says is understood.

The service's answers are those of its documentation:
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
"""

import json
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from backbone.attempts import Attempts
from backbone.contract import Event
from backbone.failure import Rejected
from backbone.ledger import COMMITTED
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
from tests.unit.test_tries import later
from tests.unit.world import NAMES, SENDER, Handler, World, errors

MARK = "Zzyzx0815"
TAKEN = (200, {"MessageId": "M-1", "ResponseMetadata": {"HTTPStatusCode": 200}})
URL = "https://email.example"

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

# What the service may say, or do, when nobody knows whether it sends the letter.
BREAKS: dict[str, Exception] = {
    "nothing for too long": ReadTimeoutError(endpoint_url=URL),
    "a connection that ends": ConnectionClosedError(endpoint_url=URL),
}
FAILS = {
    "a failure": faults.error("InternalFailure", 500),
    "a bad gateway": faults.error("BadGateway", 502),
    "a gateway that waits no longer": faults.error("GatewayTimeout", 504),
}
BUSY = {
    "too many requests": faults.error("TooManyRequestsException", 429),
    "unavailable": faults.error("ServiceUnavailable", 503),
    "over the limit": faults.error("LimitExceededException", 400),
    "sending is paused": faults.error("SendingPausedException", 400),
    "the account is suspended": faults.error("AccountSuspendedException", 400),
    "no such configuration set": faults.error("NotFoundException", 404),
    "the domain is not verified": faults.error("MailFromDomainNotVerifiedException", 400),
    "not allowed": faults.error("AccessDeniedException", 403),
}
UNREACHABLE: dict[str, Exception] = {
    "nobody there": EndpointConnectionError(endpoint_url=URL),
    "nobody opens": ConnectTimeoutError(endpoint_url=URL),
}


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
    assert dead.error == "Rejected"
    assert "only once sender, or receiver, is verified" in dead.attributes["reason"]

    assert world.deliver(mail_confirmed.handler, message.body) == []
    assert [type(event) for event in told(world)] == [EmailSent]


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_what_the_service_does_not_take_now_is_sent_later(world: World, busy: faults.Answer) -> None:
    faults.answer("SendEmail", *[busy] * 5, TAKEN)
    envelope = recorded(a_confirmation(ORDER))
    message = Message(from_the_bus(envelope))
    for _ in range(5):
        assert world.deliver(mail_confirmed.handler, message) == [message]
        message = later(message)

    assert world.deliver(mail_confirmed.handler, message) == []

    assert [type(event) for event in told(world)] == [EmailSent]
    assert [(entry.state, list(entry.tries)) for entry in world.entries(envelope)] == [(COMMITTED, [])]


@pytest.mark.parametrize("error", UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_service_that_cannot_be_reached_has_done_nothing(world: World, error: Exception) -> None:
    sent = faults.break_off("SendEmail", error)
    message = a_message()

    assert world.deliver(mail_confirmed.handler, message) == [message]
    assert world.deliver(mail_confirmed.handler, later(message)) == [later(message)]

    assert len(sent) == 2
    assert world.dead_letters() == []


# Guards: the client that never repeats.
@pytest.mark.parametrize("error", BREAKS.values(), ids=BREAKS)
def test_a_call_that_breaks_off_is_made_once_and_a_person_must_look(world: World, error: Exception) -> None:
    sent = faults.break_off("SendEmail", error)
    message = a_message()

    assert world.deliver(mail_confirmed.handler, message) == []
    assert world.deliver(mail_confirmed.handler, message.body) == []

    assert len(sent) == 1
    assert set(errors(world.dead_letters())) == {"OutcomeUnknown"}


@pytest.mark.parametrize("failure", FAILS.values(), ids=FAILS)
def test_a_service_that_fails_may_have_sent_the_letter(world: World, failure: faults.Answer) -> None:
    sent = faults.requests("SendEmail")
    faults.always_answer("SendEmail", failure)
    message = a_message()

    assert world.deliver(mail_confirmed.handler, message) == []
    assert world.deliver(mail_confirmed.handler, message.body) == []

    assert len(sent) == 1
    assert set(errors(world.dead_letters())) == {"OutcomeUnknown"}


def test_an_error_that_does_not_say_what_it_is_may_have_sent_the_letter(world: World) -> None:
    faults.answer("SendEmail", (500, {"Error": {"Code": "Strange"}}))

    assert world.deliver(mail_confirmed.handler, a_message()) == []

    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


# A kept connection may have died while the process was frozen, and then nobody would know.
def test_every_letter_has_a_connection_of_its_own(world: World) -> None:
    sent = faults.break_off("SendEmail", ReadTimeoutError(endpoint_url=URL))

    world.deliver(mail_confirmed.handler, a_message())

    assert [request.headers["Connection"] for request in sent] == ["close"]


MISHAPS: dict[str, Any] = {
    "refused": faults.error("BadRequestException"),
    "rejected": UNVERIFIED,
    "busy": BUSY["too many requests"],
    "failing": FAILS["a failure"],
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


@pytest.mark.parametrize("error", [SSLError(endpoint_url=URL, error=OSError()), NoCredentialsError()], ids=repr)
def test_an_error_that_is_not_understood_leaves_the_outcome_unknown(world: World, error: Exception) -> None:
    faults.break_off("SendEmail", error)

    assert world.deliver(mail_confirmed.handler, a_message()) == []

    assert errors(world.dead_letters()) == ["OutcomeUnknown"]


def test_what_is_rejected_says_what_can_be_done(world: World) -> None:
    faults.answer("SendEmail", UNVERIFIED)

    letter = Letter("ada@example.com", "Hello", "Hello", "<p>Hello</p>")
    attempts = Attempts(world.client, NAMES.ledger, "mail-confirmed")
    attempt = attempts.begin("letter/1001/confirmed", cause="e-1", seconds=10)
    with pytest.raises(Rejected, match="daybook doctor"):
        post.post(letter, attempt, letter_id="1001.confirmed", order_id="1001")
    assert world.recorded() == []
