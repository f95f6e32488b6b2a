"""Bounces and complaints: admit translates the events of SES, and stores no e-mail address."""

import json
from copy import deepcopy
from typing import Any

import pytest

from events.notifications import EmailBounced, EmailComplained, EmailSent
from tests.unit.builders import recorded, sent
from tests.unit.world import World, errors

ADDRESS = "zzyzx0815@example.com"

# https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html#event-publishing-retrieving-sns-bounce
BOUNCE: dict[str, Any] = {
    "eventType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [
            {
                "emailAddress": ADDRESS,
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            }
        ],
        "timestamp": "2026-03-01T12:00:02.669Z",
        "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
        "reportingMTA": "dsn; mta.example.com",
    },
    "mail": {
        "timestamp": "2026-03-01T12:00:00.621Z",
        "source": "Shop <shop@example.com>",
        "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/shop@example.com",
        "sendingAccountId": "123456789012",
        "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
        "destination": [ADDRESS],
        "headersTruncated": False,
        "headers": [
            {"name": "From", "value": "Shop <shop@example.com>"},
            {"name": "To", "value": ADDRESS},
            {"name": "Subject", "value": "Your order 1001 is confirmed"},
            {"name": "MIME-Version", "value": "1.0"},
            {"name": "X-Daybook-Email", "value": "1001.confirmed"},
        ],
        "commonHeaders": {"from": ["Shop <shop@example.com>"], "to": [ADDRESS]},
        "tags": {"ses:configuration-set": ["daybook-test-emails"]},
    },
}
SENT = EmailSent(email_id="1001.confirmed", order_id="1001", message_id="M-1")
BOUNCED = EmailBounced(email_id="1001.confirmed", kind="Permanent", detail="General")


def bounced(detail: object = BOUNCE, **envelope: Any) -> str:
    """The message that the rule on the default bus sends."""
    return sent(type="Email Bounced", source="aws.ses", detail=detail, **envelope)


def without(*path: str, value: object = None) -> dict[str, Any]:
    """A bounce without the field at this path, or with another value there."""
    detail = deepcopy(BOUNCE)
    *parents, field = path
    parent: Any = detail
    for name in parents:
        parent = parent[name]
    parent.pop(field)
    if value is not None:
        parent[field] = value
    return detail


# https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html#event-publishing-retrieving-sns-complaint
COMPLAINT: dict[str, Any] = {
    "eventType": "Complaint",
    "complaint": {
        "complainedRecipients": [{"emailAddress": ADDRESS}],
        "timestamp": "2026-03-02T09:00:00.123Z",
        "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000001",
        "userAgent": "Amazon SES Mailbox Simulator",
        "complaintFeedbackType": "abuse",
        "arrivalDate": "2026-03-02T09:00:00.123Z",
    },
    "mail": BOUNCE["mail"],
}


@pytest.fixture
def after_sending(world: World) -> World:
    """The world, after an e-mail was sent."""
    world.append(recorded(SENT))
    return world


def test_a_bounce_is_recorded_on_the_stream_of_its_email(after_sending: World) -> None:
    assert after_sending.admit(bounced()) == []

    assert after_sending.events("email/1001.confirmed") == [SENT, BOUNCED]
    email, bounce = after_sending.stream("email/1001.confirmed")
    assert bounce.metadata.correlation_id == email.metadata.correlation_id
    assert (bounce.metadata.causation_id, bounce.metadata.producer) == (email.metadata.id, "aws.ses")
    assert bounce.metadata.time == "2026-03-01T12:00:02.669000Z"
    assert after_sending.dead_letters() == []


def test_no_email_address_is_stored_or_logged(after_sending: World, capsys: pytest.CaptureFixture[str]) -> None:
    after_sending.admit(bounced())

    stored = str([after_sending.items(table) for table in ("store", "ledger")])
    assert "feedback" not in stored.lower()
    for text in (ADDRESS, "smtp", "Subject"):
        assert text not in stored
        assert text not in capsys.readouterr().out


def test_a_bounce_that_is_sent_twice_is_recorded_once(after_sending: World) -> None:
    assert after_sending.admit(bounced()) == []
    assert after_sending.admit(bounced(), bounced()) == []  # in other envelopes

    assert after_sending.events("email/1001.confirmed") == [SENT, BOUNCED]
    assert after_sending.dead_letters() == []


def test_a_second_bounce_of_an_email_is_recorded_too(after_sending: World) -> None:
    after_sending.admit(bounced())
    after_sending.admit(bounced(without("bounce", "feedbackId", value="another")))

    assert after_sending.events("email/1001.confirmed") == [SENT, BOUNCED, BOUNCED]


@pytest.mark.parametrize("name", ["x-daybook-email", "X-DAYBOOK-EMAIL"])
def test_the_name_of_the_header_is_not_case_sensitive(after_sending: World, name: str) -> None:
    headers = [{"name": name, "value": "1001.confirmed"}]

    after_sending.admit(bounced(without("mail", "headers", value=headers)))

    assert after_sending.events("email/1001.confirmed") == [SENT, BOUNCED]


INVALID: dict[str, object] = {
    "no bounce": without("bounce"),
    "no feedback id": without("bounce", "feedbackId"),
    "no type": without("bounce", "bounceType"),
    "no subtype": without("bounce", "bounceSubType"),
    "no time": without("bounce", "timestamp"),
    "no mail": without("mail"),
    "no headers": without("mail", "headers"),
    "an empty list of headers": without("mail", "headers", value=[]),
    "a header without a name": without("mail", "headers", value=[{"value": "1001.confirmed"}]),
    "headers that are a text": without("mail", "headers", value="X-Daybook-Email: 1001.confirmed"),
    "a header whose name is a number": without("mail", "headers", value=[{"name": 1, "value": "x"}]),
    "the format of this system": {"data": json.loads(BOUNCED.to_json())},
    "a list": [BOUNCE],
    "a text": "bounce",
    "null": None,
}


@pytest.mark.parametrize("detail", INVALID.values(), ids=INVALID)
def test_an_event_that_is_not_in_the_format_of_ses_is_rejected_with_a_reason(
    after_sending: World, capsys: pytest.CaptureFixture[str], detail: object
) -> None:
    body = bounced(detail)

    assert after_sending.admit(body) == []

    (dead,) = after_sending.dead_letters()
    assert (dead.error, dead.body) == ("ContractBroken", body)
    assert dead.attributes["event_type"] == "EmailBounced"
    assert "does not have the form that its source sends" in dead.attributes["reason"]
    assert ADDRESS not in json.dumps(dict(dead.attributes)) + capsys.readouterr().out


OTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "an invalid e-mail id": (
        "ContractBroken",
        without("mail", "headers", value=[{"name": "X-Daybook-Email", "value": "1001.confirmed\n"}]),
    ),
    "an e-mail that was not sent": (
        "StreamNotOpen",
        without("mail", "headers", value=[{"name": "X-Daybook-Email", "value": "1002.confirmed"}]),
    ),
    "a type that is a number": ("ContractBroken", without("bounce", "bounceType", value=5)),
    "a type that is too long": ("ContractBroken", without("bounce", "bounceType", value="x" * 33)),
    "an id that is a number": ("BadMetadata", without("bounce", "feedbackId", value=5)),
    "an id that is too long": ("BadMetadata", without("bounce", "feedbackId", value="x" * 257)),
    "an invalid time": ("BadTime", without("bounce", "timestamp", value="noon")),
    "a time that is a number": ("BadMetadata", without("bounce", "timestamp", value=1772366400)),
}


@pytest.mark.parametrize(("error", "detail"), OTHER.values(), ids=OTHER)
def test_a_bounce_with_an_invalid_value_is_rejected(after_sending: World, error: str, detail: dict[str, Any]) -> None:
    assert after_sending.admit(bounced(detail)) == []

    assert errors(after_sending.dead_letters()) == [error]
    assert after_sending.events("email/1001.confirmed") == [SENT]


@pytest.mark.parametrize("source", ["shop.checkout", "aws.sns", "daybook.notifications"])
def test_a_bounce_from_another_source_is_rejected(after_sending: World, source: str) -> None:
    assert after_sending.admit(sent(type="Email Bounced", source=source, detail=BOUNCE)) == []

    (dead,) = after_sending.dead_letters()
    assert dead.error in {"UnknownType", "SourceNotAllowed"}


@pytest.mark.parametrize("type_", ["Email Delivered", "Email Rejected"])
def test_other_events_of_ses_are_rejected(after_sending: World, type_: str) -> None:
    assert after_sending.admit(sent(type=type_, source="aws.ses", detail=BOUNCE)) == []

    assert errors(after_sending.dead_letters()) == ["UnknownType"]


@pytest.mark.parametrize(("kind", "recorded_kind"), [("abuse", "abuse"), (None, "")])
def test_a_complaint_is_recorded_on_the_stream_of_its_email_without_an_address(
    after_sending: World, kind: str | None, recorded_kind: str
) -> None:
    detail = COMPLAINT | {"complaint": COMPLAINT["complaint"] | {"complaintFeedbackType": kind}}

    assert after_sending.admit(sent(type="Email Complaint Received", source="aws.ses", detail=detail)) == []

    complained = EmailComplained(email_id="1001.confirmed", kind=recorded_kind)
    assert after_sending.events("email/1001.confirmed") == [SENT, complained]
    assert ADDRESS not in str([after_sending.items(table) for table in ("store", "ledger")])
    assert after_sending.dead_letters() == []
