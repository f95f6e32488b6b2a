"""E-mail and pages: one AWS call each, which nobody can ask about afterwards. It is made once at most.

The services' answers are those of their documentation:
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors and
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from daybook.contracts.contract import Event
from daybook.store.ledger import COMMITTED
from events.equipment import EquipmentAlarmRaised, StaffPaged
from events.notifications import EmailSent
from functions.equipment import page_staff
from functions.notifications import mail_confirmed
from tests.unit import faults
from tests.unit.builders import Message, a_confirmation, from_the_bus, recorded
from tests.unit.hospital.bedside import problem
from tests.unit.test_delivery_attempts import later
from tests.unit.world import Handler, World, errors

TAKEN = (200, {"MessageId": "M-1", "ResponseMetadata": {"HTTPStatusCode": 200}})
URL = "https://aws.example"


@dataclass(frozen=True)
class Effect:
    """A handler, the event that it handles, the call that it makes, and what it emits then."""

    handler: Handler
    event: Event
    operation: str
    emits: type[Event]
    busy: Mapping[str, faults.Answer]

    def receives(self, world: World, message: Message | str) -> list[Message]:
        return world.deliver(self.handler, message)


EFFECTS = {
    "mail": Effect(
        mail_confirmed.handler,
        a_confirmation(),
        "SendEmail",
        EmailSent,
        {
            "too many requests": faults.error("TooManyRequestsException", 429),
            "unavailable": faults.error("ServiceUnavailable", 503),
            "over the limit": faults.error("LimitExceededException", 400),
            "sending is paused": faults.error("SendingPausedException", 400),
            "the account is suspended": faults.error("AccountSuspendedException", 400),
            "no such configuration set": faults.error("NotFoundException", 404),
            "the domain is not verified": faults.error("MailFromDomainNotVerifiedException", 400),
            "not allowed": faults.error("AccessDeniedException", 403),
        },
    ),
    "page": Effect(
        page_staff.handler,
        EquipmentAlarmRaised(alarm_id="MON-7:59408-5:42", problem=problem()),
        "Publish",
        StaffPaged,
        {
            "throttled": faults.error("Throttled", 429),
            "throttling": faults.error("ThrottlingException", 400),
            "unavailable": faults.error("ServiceUnavailable", 503),
            "no such topic": faults.error("NotFound", 404),
            "not allowed": faults.error("AuthorizationError", 403),
            "no key": faults.error("KMSAccessDenied", 400),
        },
    ),
}
UNREACHABLE: dict[str, Exception] = {
    "nobody there": EndpointConnectionError(endpoint_url=URL),
    "nobody opens": ConnectTimeoutError(endpoint_url=URL),
}
# What happens when nobody knows whether the service did it.
IN_DOUBT: dict[str, Exception | faults.Answer] = {
    "nothing for too long": ReadTimeoutError(endpoint_url=URL),
    "a connection that ends": ConnectionClosedError(endpoint_url=URL),
    "a broken connection": SSLError(endpoint_url=URL, error=OSError()),
    "no credentials": NoCredentialsError(),
    "a failure": faults.error("InternalError", 500),
    "a bad gateway": faults.error("BadGateway", 502),
    "a gateway that waits no longer": faults.error("GatewayTimeout", 504),
    "a code alone": (500, {"Error": {"Code": "Strange"}}),
}


def cases(troubles: Mapping[str, Iterable[str]]) -> pytest.MarkDecorator:
    """Each effect with each of its troubles."""
    named = [(effect, trouble) for effect, its in troubles.items() for trouble in its]
    return pytest.mark.parametrize(("effect", "trouble"), named, ids=map(": ".join, named), indirect=["effect"])


@pytest.fixture
def effect(request: pytest.FixtureRequest, world: World) -> Effect:
    made = EFFECTS[request.param]
    if isinstance(made.event, EquipmentAlarmRaised):
        world.append(recorded(made.event))
    return made


def emitted(world: World, effect: Effect) -> list[str]:
    return [envelope.metadata.type for envelope in world.recorded() if envelope.metadata.type == effect.emits.__name__]


def meets(operation: str, trouble: Exception | faults.Answer) -> Sequence[object]:
    """Every call meets this trouble. The list grows by each."""
    if isinstance(trouble, Exception):
        return faults.break_off(operation, trouble)
    made = faults.requests(operation)
    faults.always_answer(operation, trouble)
    return made


@cases({name: effect.busy for name, effect in EFFECTS.items()})
def test_what_the_service_does_not_take_now_is_sent_later_and_once(world: World, effect: Effect, trouble: str) -> None:
    faults.answer(effect.operation, *[effect.busy[trouble]] * 5, TAKEN)
    envelope = recorded(effect.event)
    message = Message(from_the_bus(envelope))
    for _ in range(5):
        assert effect.receives(world, message) == [message]
        message = later(message)

    assert effect.receives(world, message) == []

    assert emitted(world, effect) == [effect.emits.__name__]
    assert [(entry.state, list(entry.failed_attempts)) for entry in world.entries(envelope)] == [(COMMITTED, [])]


@cases(dict.fromkeys(EFFECTS, UNREACHABLE))
def test_a_service_that_cannot_be_reached_has_done_nothing(world: World, effect: Effect, trouble: str) -> None:
    sent = faults.break_off(effect.operation, UNREACHABLE[trouble])
    message = Message(from_the_bus(recorded(effect.event)))

    assert effect.receives(world, message) == [message]
    assert effect.receives(world, later(message)) == [later(message)]

    assert len(sent) == 2
    assert world.dead_letters() == []


# Guards: the client that never repeats.
@cases(dict.fromkeys(EFFECTS, IN_DOUBT))
def test_a_call_that_may_have_taken_effect_is_made_once_and_a_person_must_look(
    world: World, effect: Effect, trouble: str
) -> None:
    sent = meets(effect.operation, IN_DOUBT[trouble])
    message = Message(from_the_bus(recorded(effect.event)))

    assert effect.receives(world, message) == []
    assert effect.receives(world, message.body) == []

    assert len(sent) == 1
    assert set(errors(world.dead_letters())) == {"OutcomeUnknown"}
