"""A page is sent at most once, and the pager's answers are handled.

The answers are those in SNS's documentation: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
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
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.hospital.bedside import problem
from tests.unit.test_delivery_attempts import later
from tests.unit.world import PAGER, REGION, Handler, World, errors

ALARM = "MON-7:59408-5:42"
ACCEPTED = (200, {"MessageId": "M-1", "ResponseMetadata": {"HTTPStatusCode": 200}})

RAISED = EquipmentAlarmRaised(alarm_id=ALARM, problem=problem())
ESCALATED = EquipmentAlarmEscalated(alarm_id=ALARM, problem=problem(), level=2)
FUNCTIONS: dict[str, tuple[Handler, Event, int]] = {
    "raised": (page_staff.handler, RAISED, 1),
    "escalated": (page_escalation.handler, ESCALATED, 2),
}
every_function = pytest.mark.parametrize(("handler", "event", "level"), FUNCTIONS.values(), ids=FUNCTIONS)


@pytest.fixture
def raised(world: World) -> World:
    """The world with a raised alarm."""
    world.append(recorded(RAISED))
    return world


def a_message(event: Event = RAISED) -> Message:
    return Message(from_the_bus(recorded(event)))


def paged(world: World) -> list[Event]:
    return [event for event in world.events(f"alarm/{ALARM}") if isinstance(event, StaffPaged)]


@every_function
def test_a_page_is_sent_once_and_recorded(raised: World, handler: Handler, event: Event, level: int) -> None:
    faults.answer("Publish", ACCEPTED)
    sent = faults.requests("Publish")
    message = a_message(event)

    assert raised.deliver(handler, message) == []
    assert raised.deliver(handler, message) == []

    assert paged(raised) == [StaffPaged(alarm_id=ALARM, level=level, message_id="M-1")]
    (request,) = sent
    assert request["TopicArn"] == PAGER
    assert request["Subject"] == f"ICU-2: alarm, level {level}"
    assert {name: each["StringValue"] for name, each in request["MessageAttributes"].items()} == {
        "ward": "ICU-2",
        "level": str(level),
    }


# Guards: the effect record, with the alarm's id in its key.
def test_several_events_of_one_alarm_send_one_page(raised: World) -> None:
    faults.answer("Publish", ACCEPTED)
    sent = faults.requests("Publish")

    for _ in range(3):
        assert raised.deliver(page_staff.handler, a_message()) == []

    assert len(sent) == 1


def test_each_level_of_an_alarm_sends_a_page_of_its_own(raised: World) -> None:
    faults.answer("Publish", ACCEPTED, ACCEPTED, ACCEPTED)
    assert raised.deliver(page_staff.handler, a_message()) == []
    for event in (ESCALATED, ESCALATED.model_copy(update={"level": 3})):
        assert raised.deliver(page_escalation.handler, a_message(event)) == []

    assert [event.level for event in paged(raised) if isinstance(event, StaffPaged)] == [1, 2, 3]


@pytest.mark.parametrize("code", ["InvalidParameter", "ParameterValueInvalid", "ValidationException"])
def test_a_page_that_the_pager_refuses_on_every_retry_is_dead_at_once(raised: World, code: str) -> None:
    faults.answer("Publish", faults.error(code))

    assert raised.deliver(page_staff.handler, a_message()) == []

    (dead,) = raised.dead_letters()
    assert (dead.error, dead.attributes["reason"]) == (
        "NonRetryable",
        f"the pager (SNS) refuses this page on every retry: {code}",
    )
    assert paged(raised) == []


@pytest.mark.parametrize(("when", "sent_by_then"), [("before", 0), ("after", 1)])
def test_a_page_is_sent_at_most_once_when_the_process_dies_at_the_call(
    raised: World, when: str, sent_by_then: int
) -> None:
    topic = boto3.client("sns").create_topic(Name=PAGER.rpartition(":")[2])["TopicArn"]
    assert topic == PAGER
    pages = a_phone(PAGER)
    faults.die("Publish", when)
    message = a_message()
    with pytest.raises(faults.Death):
        raised.deliver(page_staff.handler, message)

    # The effect record of the killed process is locked for as long as the process could have run.
    assert raised.deliver(page_staff.handler, later(message)) == [later(message)]
    for item in raised.client.scan(TableName="daybook-test-ledger")["Items"]:
        if "#effect#" in item["key"]["S"]:
            raised.client.put_item(TableName="daybook-test-ledger", Item={**item, "until": {"S": "2026-01-01"}})
    assert raised.deliver(page_staff.handler, later(later(message))) == []

    assert len(pages()) == sent_by_then
    assert errors(raised.dead_letters()) == ["OutcomeUnknown"]


def test_a_subscription_can_filter_by_ward_and_by_level(raised: World) -> None:
    boto3.client("sns").create_topic(Name=PAGER.rpartition(":")[2])
    ward, head = a_phone(PAGER, ward=["ICU-2"]), a_phone(PAGER, level=[{"numeric": [">=", 2]}])
    elsewhere = RAISED.model_copy(update={"alarm_id": "MON-8:fault:1", "problem": problem(ward="ICU-3")})
    raised.append(recorded(elsewhere))

    for event in (RAISED, elsewhere):
        assert raised.deliver(page_staff.handler, a_message(event)) == []
    assert raised.deliver(page_escalation.handler, a_message(ESCALATED)) == []

    assert [page["Subject"] for page in ward()] == ["ICU-2: alarm, level 1", "ICU-2: alarm, level 2"]
    assert [page["Subject"] for page in head()] == ["ICU-2: alarm, level 2"]


def a_phone(topic: str, **wants: Any) -> Any:
    """Subscribe a queue with a filter. Returns a function that returns the received pages."""
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
    ("fields", "line"),
    [
        ({}, "Oxygen saturation by pulse oximetry: 88 %, at or below the limit of 91"),
        (
            {"name": "body temperature", "value": 39.5, "unit": "Cel", "side": "high", "limit": 39.1},
            "Body temperature: 39.5 Cel, at or above the limit of 39.1",
        ),
        ({"kind": "fault", "name": "fault"}, "The device reports a fault"),
        ({"kind": "silence", "name": "silence"}, "The device sends no reports"),
    ],
)
def test_a_page_names_the_ward_the_problem_its_beginning_and_the_alarm(fields: dict[str, Any], line: str) -> None:
    assert text(problem(**fields), alarm_id=ALARM, level=1).splitlines() == [
        "ICU-2: MON-7 (patient-monitor)",
        line,
        "since 2026-03-01 12:00:00 UTC",
        f"Alarm {ALARM}",
    ]


def test_a_page_of_a_higher_level_says_that_nobody_has_acknowledged_the_alarm() -> None:
    assert "Level 3: nobody has acknowledged this alarm yet." in text(problem(), alarm_id=ALARM, level=3).splitlines()


def test_the_longest_page_is_within_the_limits_of_the_pager(raised: World) -> None:
    # A subject in SNS has less than 100 characters.
    sent = faults.requests("Publish")
    faults.answer("Publish", ACCEPTED)
    long = problem(ward="w" * 64, device_id="d" * 64, type="t" * 64)

    assert raised.deliver(page_staff.handler, a_message(RAISED.model_copy(update={"problem": long}))) == []

    assert len(sent[0]["Subject"]) < 100
    assert sent[0]["Subject"].isascii()
