"""What the e-mail service tells of letters that did not arrive, in its own form, is admitted without any address."""

import json
from copy import deepcopy
from typing import Any

import pytest

from events.notifications import EmailBounced, EmailSent
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
            {"name": "X-Daybook-Letter", "value": "1001.confirmed"},
        ],
        "commonHeaders": {"from": ["Shop <shop@example.com>"], "to": [ADDRESS]},
        "tags": {"ses:configuration-set": ["daybook-test-letters"]},
    },
}
LETTER = EmailSent(letter_id="1001.confirmed", order_id="1001", message_id="M-1")
BOUNCED = EmailBounced(letter_id="1001.confirmed", kind="Permanent", detail="General")


def bounced(detail: object = BOUNCE, **envelope: Any) -> str:
    """What the rule on the default bus forwards."""
    return sent(type="Email Bounced", source="aws.ses", detail=detail, **envelope)


def without(*path: str, value: object = None) -> dict[str, Any]:
    """A bounce that lacks what stands there, or has something else there."""
    detail = deepcopy(BOUNCE)
    *way, last = path
    place: Any = detail
    for step in way:
        place = place[step]
    place.pop(last)
    if value is not None:
        place[last] = value
    return detail


@pytest.fixture
def posted(world: World) -> World:
    """The world, with a letter that was sent."""
    world.append(recorded(LETTER))
    return world


def test_a_bounce_in_the_services_own_form_is_admitted_on_the_letters_stream(posted: World) -> None:
    assert posted.admit(bounced()) == []

    assert posted.events("letter/1001.confirmed") == [LETTER, BOUNCED]
    letter, bounce = posted.stream("letter/1001.confirmed")
    assert bounce.metadata.correlation_id == letter.metadata.correlation_id
    assert (bounce.metadata.causation_id, bounce.metadata.producer) == (letter.metadata.id, "aws.ses")
    assert bounce.metadata.time == "2026-03-01T12:00:02.669000Z"
    assert posted.dead_letters() == []


def test_no_address_is_stored_or_told(posted: World, capsys: pytest.CaptureFixture[str]) -> None:
    posted.admit(bounced())

    stored = str([posted.items(table) for table in ("store", "ledger")])
    assert "feedback" not in stored.lower()
    for text in (ADDRESS, "smtp", "Subject"):
        assert text not in stored
        assert text not in capsys.readouterr().out


def test_a_bounce_that_is_told_twice_is_one(posted: World) -> None:
    assert posted.admit(bounced()) == []
    assert posted.admit(bounced(), bounced()) == []  # in other envelopes

    assert posted.events("letter/1001.confirmed") == [LETTER, BOUNCED]
    assert posted.dead_letters() == []


def test_a_second_bounce_of_a_letter_is_another(posted: World) -> None:
    posted.admit(bounced())
    posted.admit(bounced(without("bounce", "feedbackId", value="another")))

    assert posted.events("letter/1001.confirmed") == [LETTER, BOUNCED, BOUNCED]


@pytest.mark.parametrize("name", ["x-daybook-letter", "X-DAYBOOK-LETTER"])
def test_the_name_of_the_header_may_be_in_any_letters(posted: World, name: str) -> None:
    headers = [{"name": name, "value": "1001.confirmed"}]

    posted.admit(bounced(without("mail", "headers", value=headers)))

    assert posted.events("letter/1001.confirmed") == [LETTER, BOUNCED]


BROKEN: dict[str, object] = {
    "no bounce": without("bounce"),
    "no feedback id": without("bounce", "feedbackId"),
    "no type": without("bounce", "bounceType"),
    "no subtype": without("bounce", "bounceSubType"),
    "no time": without("bounce", "timestamp"),
    "no mail": without("mail"),
    "no headers": without("mail", "headers"),
    "no headers at all": without("mail", "headers", value=[]),
    "a header without a name": without("mail", "headers", value=[{"value": "1001.confirmed"}]),
    "headers that are a text": without("mail", "headers", value="X-Daybook-Letter: 1001.confirmed"),
    "a header whose name is a number": without("mail", "headers", value=[{"name": 1, "value": "x"}]),
    "the form of this system": {"data": json.loads(BOUNCED.to_json())},
    "a list": [BOUNCE],
    "a text": "bounce",
    "null": None,
}


@pytest.mark.parametrize("detail", BROKEN.values(), ids=BROKEN)
def test_what_is_not_of_the_services_form_is_refused_with_a_reason(
    posted: World, capsys: pytest.CaptureFixture[str], detail: object
) -> None:
    body = bounced(detail)

    assert posted.admit(body) == []

    (dead,) = posted.dead_letters()
    assert (dead.error, dead.body) == ("ContractBroken", body)
    assert dead.attributes["event_type"] == "EmailBounced"
    assert "does not have the form that its source sends" in dead.attributes["reason"]
    assert ADDRESS not in json.dumps(dict(dead.attributes)) + capsys.readouterr().out


OTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "a letter that is no name": (
        "ContractBroken",
        without("mail", "headers", value=[{"name": "X-Daybook-Letter", "value": "1001/confirmed"}]),
    ),
    "a letter that nobody sent": (
        "StreamNotOpen",
        without("mail", "headers", value=[{"name": "X-Daybook-Letter", "value": "1002.confirmed"}]),
    ),
    "a type that is a number": ("ContractBroken", without("bounce", "bounceType", value=5)),
    "a type without end": ("ContractBroken", without("bounce", "bounceType", value="x" * 33)),
    "an id that is a number": ("BadMetadata", without("bounce", "feedbackId", value=5)),
    "an id without end": ("BadMetadata", without("bounce", "feedbackId", value="x" * 257)),
    "at no time": ("BadTime", without("bounce", "timestamp", value="noon")),
    "a time that is a number": ("BadMetadata", without("bounce", "timestamp", value=1772366400)),
}


@pytest.mark.parametrize(("error", "detail"), OTHER.values(), ids=OTHER)
def test_what_cannot_be_admitted_of_a_bounce_is_refused_like_any_event(
    posted: World, error: str, detail: dict[str, Any]
) -> None:
    assert posted.admit(bounced(detail)) == []

    assert errors(posted.dead_letters()) == [error]
    assert posted.events("letter/1001.confirmed") == [LETTER]


@pytest.mark.parametrize("source", ["shop.checkout", "aws.sns", "daybook.notifications"])
def test_only_the_service_itself_may_tell_of_a_bounce(posted: World, source: str) -> None:
    assert posted.admit(sent(type="Email Bounced", source=source, detail=BOUNCE)) == []

    (refused,) = posted.dead_letters()
    assert refused.error in {"UnknownType", "SourceNotAllowed"}


@pytest.mark.parametrize("type_", ["Email Delivered", "Email Complaint Received"])
def test_what_else_the_service_tells_is_refused(posted: World, type_: str) -> None:
    assert posted.admit(sent(type=type_, source="aws.ses", detail=BOUNCE)) == []

    assert errors(posted.dead_letters()) == ["UnknownType"]
