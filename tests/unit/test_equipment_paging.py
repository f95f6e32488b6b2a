"""The way of a page to the people on duty: sent once at most, and what the pager says is understood.

Its answers are those of SNS's documentation: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import json
from typing import Any

import boto3
import pytest

from daybook.contracts.contract import Event
from events.equipment import EquipmentAlarmEscalated, EquipmentAlarmRaised, StaffPaged
from functions.equipment import page_escalation, page_staff
from functions.equipment.page import text
from tests.unit import faults
from tests.unit.bedside import trouble
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.test_tries import later
from tests.unit.world import PAGER, REGION, Handler, World, errors

ALARM = "MON-7:59408-5:42"
TAKEN = (200, {"MessageId": "M-1", "ResponseMetadata": {"HTTPStatusCode": 200}})

RAISED = EquipmentAlarmRaised(alarm_id=ALARM, about=trouble())
ESCALATED = EquipmentAlarmEscalated(alarm_id=ALARM, about=trouble(), level=2)
FUNCTIONS: dict[str, tuple[Handler, Event, int]] = {
    "raised": (page_staff.handler, RAISED, 1),
    "escalated": (page_escalation.handler, ESCALATED, 2),
}
every_function = pytest.mark.parametrize(("handler", "event", "level"), FUNCTIONS.values(), ids=FUNCTIONS)


@pytest.fixture
def told(world: World) -> World:
    """The world, in which the alarm is raised."""
    world.append(recorded(RAISED))
    return world


def a_message(event: Event = RAISED) -> Message:
    return Message(from_the_bus(recorded(event)))


def paged(world: World) -> list[Event]:
    return [event for event in world.events(f"alarm/{ALARM}") if isinstance(event, StaffPaged)]


@every_function
def test_a_page_is_sent_once_and_told_of(told: World, handler: Handler, event: Event, level: int) -> None:
    faults.answer("Publish", TAKEN)
    sent = faults.requests("Publish")
    message = a_message(event)

    assert told.deliver(handler, message) == []
    assert told.deliver(handler, message) == []

    assert paged(told) == [StaffPaged(alarm_id=ALARM, level=level, message_id="M-1")]
    (request,) = sent
    assert request["TopicArn"] == PAGER
    assert request["Subject"] == f"ICU-2: alarm, level {level}"
    assert {name: each["StringValue"] for name, each in request["MessageAttributes"].items()} == {
        "ward": "ICU-2",
        "level": str(level),
    }


# Guards: the attempt, under the alarm's name.
def test_an_alarm_that_several_events_tell_of_is_paged_once(told: World) -> None:
    faults.answer("Publish", TAKEN)
    sent = faults.requests("Publish")

    for _ in range(3):
        assert told.deliver(page_staff.handler, a_message()) == []

    assert len(sent) == 1


def test_each_level_of_an_alarm_is_paged_by_itself(told: World) -> None:
    faults.answer("Publish", TAKEN, TAKEN, TAKEN)
    assert told.deliver(page_staff.handler, a_message()) == []
    for event in (ESCALATED, ESCALATED.model_copy(update={"level": 3})):
        assert told.deliver(page_escalation.handler, a_message(event)) == []

    assert [event.level for event in paged(told) if isinstance(event, StaffPaged)] == [1, 2, 3]


@pytest.mark.parametrize("code", ["InvalidParameter", "ParameterValueInvalid", "ValidationException"])
def test_a_page_that_the_pager_never_takes_is_dead_at_once(told: World, code: str) -> None:
    faults.answer("Publish", faults.error(code))

    assert told.deliver(page_staff.handler, a_message()) == []

    (dead,) = told.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == ("NonRetryable", f"the pager will never take it: {code}")
    assert paged(told) == []


@pytest.mark.parametrize(("when", "sent_by_then"), [("before", 0), ("after", 1)])
def test_a_process_that_dies_at_the_call_has_paged_once_at_most(told: World, when: str, sent_by_then: int) -> None:
    topic = boto3.client("sns").create_topic(Name=PAGER.rpartition(":")[2])["TopicArn"]
    assert topic == PAGER
    pages = a_phone(PAGER)
    faults.die("Publish", when)
    message = a_message()
    with pytest.raises(faults.Death):
        told.deliver(page_staff.handler, message)

    # The process had it in hand for as long as it could be alive.
    assert told.deliver(page_staff.handler, later(message)) == [later(message)]
    for item in told.client.scan(TableName="daybook-test-ledger")["Items"]:
        if item["event"]["S"].startswith("effect#"):
            told.client.put_item(TableName="daybook-test-ledger", Item={**item, "until": {"S": "2026-01-01"}})
    assert told.deliver(page_staff.handler, later(later(message))) == []

    assert len(pages()) == sent_by_then
    assert errors(told.dead_letters()) == ["OutcomeUnknown"]


def test_a_subscription_hears_of_its_own_ward_and_of_the_levels_that_it_wants(told: World) -> None:
    boto3.client("sns").create_topic(Name=PAGER.rpartition(":")[2])
    ward, head = a_phone(PAGER, ward=["ICU-2"]), a_phone(PAGER, level=[{"numeric": [">=", 2]}])
    elsewhere = RAISED.model_copy(update={"alarm_id": "MON-8:fault:1", "about": trouble(ward="ICU-3")})
    told.append(recorded(elsewhere))

    for event in (RAISED, elsewhere):
        assert told.deliver(page_staff.handler, a_message(event)) == []
    assert told.deliver(page_escalation.handler, a_message(ESCALATED)) == []

    assert [page["Subject"] for page in ward()] == ["ICU-2: alarm, level 1", "ICU-2: alarm, level 2"]
    assert [page["Subject"] for page in head()] == ["ICU-2: alarm, level 2"]


def a_phone(topic: str, **wants: Any) -> Any:
    """Subscribe; gives a function: all that was received."""
    sqs, name = boto3.client("sqs"), f"phone-{len(wants)}-{next(iter(wants), '')}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    policy = {"FilterPolicy": json.dumps(wants)} if wants else {}
    arn = f"arn:aws:sqs:{REGION}:123456789012:{name}"
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=policy)

    def received() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return received


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({}, "Oxygen saturation by pulse oximetry: 88 %, at or below the limit of 91"),
        (
            {"name": "body temperature", "value": 39.5, "unit": "Cel", "side": "high", "limit": 39.1},
            "Body temperature: 39.5 Cel, at or above the limit of 39.1",
        ),
        ({"kind": "fault", "name": "fault"}, "The device reports a fault"),
        ({"kind": "silence", "name": "silence"}, "Nothing is heard of the device"),
    ],
)
def test_a_page_says_where_what_since_when_and_which_alarm(about: dict[str, Any], line: str) -> None:
    assert text(trouble(**about), alarm_id=ALARM, level=1).splitlines() == [
        "ICU-2: MON-7 (patient-monitor)",
        line,
        "since 2026-03-01 12:00:00 UTC",
        f"Alarm {ALARM}",
    ]


def test_a_page_of_a_higher_level_says_that_nobody_has_acknowledged() -> None:
    assert "Level 3: nobody has acknowledged it yet." in text(trouble(), alarm_id=ALARM, level=3).splitlines()


def test_the_longest_page_fits_into_what_the_pager_takes(told: World) -> None:
    # SNS's subjects have less than 100 characters.
    sent = faults.requests("Publish")
    faults.answer("Publish", TAKEN)
    long = trouble(ward="w" * 64, device_id="d" * 64, type="t" * 64)

    assert told.deliver(page_staff.handler, a_message(RAISED.model_copy(update={"about": long}))) == []

    assert len(sent[0]["Subject"]) < 100
    assert sent[0]["Subject"].isascii()
