"""Mappings follow the switches: who is held up gets nothing, and what nobody holds up any more goes on.

Tried out as negative controls, one switched off at a time: that a paused consumer is never switched on, the second look
after switching on, that what others have switched off stays off, that one failure holds up no other. Each time tests
of this file fail.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from daybook.backbone import control_consumers
from daybook.backbone.control_consumers import NotSwitched
from daybook.consumers.switch import Paused, Switch, Switches
from daybook.contracts import clock
from daybook.runtime import aws
from daybook.runtime.mapping import Mappings
from daybook.store.attributes import pack
from tests.templates.test_alarms import written
from tests.unit.world import NAMES, Context, World

PAUSED = Paused(by="ada@laptop", reason="a new table", since="2026-03-01T00:00:00.000000Z", operation="op-1")


@dataclass
class Cloud:
    """Lambda in moto, and the switches."""

    world: World

    def __post_init__(self) -> None:
        self.client: Any = boto3.client("lambda")
        self.switches = Switches(self.world.client, NAMES.ledger)
        self.mappings = Mappings(self.client, NAMES)

    def deploys(self, consumer: str, *, mappings: int = 1) -> None:
        """A consumer with its mapping."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as files:
            files.writestr("handler.py", "")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = boto3.client("iam").create_role(RoleName=consumer, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        self.client.create_function(
            FunctionName=NAMES.of(consumer),
            Runtime="python3.13",
            Handler="handler",
            Role=role,
            Code={"ZipFile": archive.getvalue()},
        )
        for number in range(mappings):
            sqs = boto3.client("sqs")
            queue = sqs.create_queue(QueueName=NAMES.of(f"{consumer}{number or ''}"))["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            self.client.create_event_source_mapping(FunctionName=NAMES.of(consumer), EventSourceArn=arn, Enabled=True)

    def says(self, consumer: str, **values: object) -> None:
        """The consumer's switch says that."""
        item = {"event": "switch", "consumer": consumer, **values}
        self.world.client.put_item(TableName=NAMES.ledger, Item={name: pack(value) for name, value in item.items()})

    def states(self, consumer: str) -> list[str]:
        return [mapping.state for mapping in self.mappings.of(consumer)]

    def a_minute_passes(self) -> None:
        control_consumers.handler({}, Context())

    def find(self, consumer: str) -> Switch:
        return self.switches.find(consumer)


@pytest.fixture
def cloud(world: World) -> Cloud:
    made = Cloud(world)
    made.deploys("charge-order")
    return made


def in_a_minute(minutes: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(minutes=minutes))


def opened(retry: float, **more: object) -> dict[str, object]:
    """What a breaker says that is open, and may try in so many minutes."""
    return {"opened": True, "opened_at": in_a_minute(-9), "retry_at": in_a_minute(retry), "pause": 60, **more}


def paused() -> dict[str, object]:
    return {"paused": {name: getattr(PAUSED, name) for name in ("by", "reason", "since", "operation")}}


def test_the_mapping_of_an_open_breaker_is_switched_off_and_on_again_for_the_next_try(cloud: Cloud) -> None:
    cloud.says("charge-order", **opened(retry=1))
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Disabled"]
    assert cloud.find("charge-order").off

    cloud.says("charge-order", **opened(retry=-1, off=True))
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Enabled"]


def test_the_mapping_of_a_breaker_that_has_closed_goes_on_and_is_then_let_be(cloud: Cloud) -> None:
    cloud.mappings.switch("charge-order", on=False)
    cloud.says("charge-order", opened=False, off=True, closed_at=clock.now())
    for _ in range(2):
        cloud.a_minute_passes()
        assert cloud.states("charge-order") == ["Enabled"]
    assert not cloud.find("charge-order").off

    # Somebody else switches it off, and has reasons that the switch does not know.
    cloud.mappings.switch("charge-order", on=False)
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Disabled"]


@pytest.mark.parametrize("breaker", ["none", "retry due", "retry later", "closed"])
def test_what_an_operator_has_paused_is_off_whatever_the_breaker_says(cloud: Cloud, breaker: str) -> None:
    states: dict[str, dict[str, object]] = {
        "none": {},
        "retry due": opened(retry=-1),
        "retry later": opened(retry=1),
        "closed": {"opened": False},
    }
    cloud.says("charge-order", off=True, **states[breaker], **paused())
    for _ in range(2):
        cloud.a_minute_passes()
        assert cloud.states("charge-order") == ["Disabled"]


def test_what_is_paused_at_the_very_moment_of_switching_on_is_off_in_the_end(cloud: Cloud) -> None:
    cloud.mappings.switch("charge-order", on=False)
    cloud.says("charge-order", opened=False, off=True)

    def pause(**_: Any) -> None:
        cloud.world.client.transact_write_items(TransactItems=[cloud.switches.pause("charge-order", PAUSED)])  # type: ignore[list-item]

    aws.client("lambda").meta.events.register_first("before-call.lambda.UpdateEventSourceMapping", Once(pause))
    cloud.a_minute_passes()

    assert cloud.states("charge-order") == ["Disabled"]


def test_nobody_is_asked_about_mappings_while_all_is_well(cloud: Cloud) -> None:
    asked: list[str] = []
    aws.client("lambda").meta.events.register(
        "provide-client-params.lambda", lambda model, **_: asked.append(model.name)
    )
    cloud.says("charge-order", opened=False, failures=3)

    cloud.a_minute_passes()

    assert asked == []


def test_several_mappings_and_none_are_all_switched(cloud: Cloud) -> None:
    cloud.deploys("refund-order", mappings=2)
    for consumer in ("refund-order", "was-deployed-once"):
        cloud.says(consumer, **paused())

    cloud.a_minute_passes()

    assert cloud.states("refund-order") == ["Disabled", "Disabled"]


def test_a_mapping_that_lambda_is_busy_with_is_switched_in_the_next_minute(cloud: Cloud) -> None:
    refuse_once("ResourceInUseException")
    cloud.says("charge-order", **paused())
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Enabled"]

    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Disabled"]


def test_one_mapping_that_cannot_be_switched_holds_up_no_other_and_is_told(cloud: Cloud) -> None:
    cloud.deploys("refund-order")
    for consumer in ("charge-order", "refund-order"):
        cloud.says(consumer, **paused())
    refuse_once("AccessDeniedException")

    with pytest.raises(NotSwitched):
        cloud.a_minute_passes()

    assert sorted(cloud.states("charge-order") + cloud.states("refund-order")) == ["Disabled", "Enabled"]


def test_the_consumers_alarm_lasts_as_long_as_its_breaker_is_open(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.says("charge-order", **opened(retry=-1))
    cloud.a_minute_passes()
    ((metric, values),) = written(capsys.readouterr().out).items()
    assert (metric.name, dict(metric.dimensions)["service"], values) == ("BreakerOpen", "charge-order", [1])

    cloud.says("charge-order", opened=False)
    cloud.a_minute_passes()
    assert written(capsys.readouterr().out) == {}


class Once:
    """What happens the first time only."""

    def __init__(self, act: Any) -> None:
        self._left = [act]

    def __call__(self, **about: Any) -> Any:
        return self._left.pop()(**about) if self._left else None


def refuse_once(code: str) -> None:
    """Have Lambda refuse the next switching."""

    def refuse(params: Mapping[str, Any], **_: Any) -> tuple[AWSResponse, Mapping[str, Any]]:
        told = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return AWSResponse(params["url"], 400, HTTPHeaders(), None), told

    aws.client("lambda").meta.events.register_last("before-call.lambda.UpdateEventSourceMapping", Once(refuse))
