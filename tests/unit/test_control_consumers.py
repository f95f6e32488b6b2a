"""control-consumers: event source mappings follow the switches of breakers and operators.

Each guard was switched off in turn, and each time tests of this file failed: a paused consumer is never switched on,
the switch is read again after switching on, a mapping that somebody else switched off stays off, and one failure does
not stop the other switches.
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
from daybook.store.register import Register
from daybook.testing.world import NAMES, Context, World
from tests.metrics import emitted

PAUSED = Paused(by="ada@laptop", reason="a new table", since="2026-03-01T00:00:00.000000Z", operation="op-1")


@dataclass
class Cloud:
    """Lambda in moto, and the switches."""

    world: World

    def __post_init__(self) -> None:
        self.client: Any = boto3.client("lambda")
        self.switches = Switches(self.world.client, NAMES.ledger)
        self.mappings = Mappings(self.client, NAMES)
        self.events: Any = boto3.client("events")
        self.events.create_event_bus(Name=NAMES.event_bus)

    def deploys(self, consumer: str, *, mappings: int = 1) -> None:
        """Deploy a consumer with its rule and its mappings."""
        self.subscribes(consumer, "OrderPlaced")
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

    def subscribes(self, consumer: str, *types: str) -> None:
        """Give the consumer a rule for these types of events."""
        pattern = json.dumps({"source": ["daybook.orders"], "detail-type": types})
        self.events.put_rule(Name=NAMES.of(consumer), EventBusName=NAMES.event_bus, EventPattern=pattern)

    def sets(self, consumer: str, **values: object) -> None:
        """Set the consumer's switch."""
        item = {"key": f"{consumer}#switch", **values}
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
    """The values of an open breaker that may try again in this number of minutes."""
    return {"opened": True, "opened_at": in_a_minute(-9), "retry_at": in_a_minute(retry), "pause": 60, **more}


def paused() -> dict[str, object]:
    return {"paused": {name: getattr(PAUSED, name) for name in ("by", "reason", "since", "operation")}}


def test_the_mapping_of_an_open_breaker_is_switched_off_and_on_again_for_the_next_trial(cloud: Cloud) -> None:
    cloud.sets("charge-order", **opened(retry=1))
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Disabled"]
    assert cloud.find("charge-order").off

    cloud.sets("charge-order", **opened(retry=-1, off=True))
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Enabled"]


def test_the_mapping_of_a_closed_breaker_is_switched_on_and_then_left_alone(cloud: Cloud) -> None:
    cloud.mappings.switch("charge-order", on=False)
    cloud.sets("charge-order", opened=False, off=True, closed_at=clock.now())
    for _ in range(2):
        cloud.a_minute_passes()
        assert cloud.states("charge-order") == ["Enabled"]
    assert not cloud.find("charge-order").off

    # Somebody else switches it off, for a reason that the switch does not contain.
    cloud.mappings.switch("charge-order", on=False)
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Disabled"]


@pytest.mark.parametrize("breaker", ["none", "retry due", "retry later", "closed"])
def test_the_mapping_of_a_paused_consumer_is_off_in_every_state_of_the_breaker(cloud: Cloud, breaker: str) -> None:
    states: dict[str, dict[str, object]] = {
        "none": {},
        "retry due": opened(retry=-1),
        "retry later": opened(retry=1),
        "closed": {"opened": False},
    }
    cloud.sets("charge-order", off=True, **states[breaker], **paused())
    for _ in range(2):
        cloud.a_minute_passes()
        assert cloud.states("charge-order") == ["Disabled"]


def test_a_consumer_that_is_paused_while_its_mapping_is_switched_on_is_off_in_the_end(cloud: Cloud) -> None:
    cloud.mappings.switch("charge-order", on=False)
    cloud.sets("charge-order", opened=False, off=True)

    def pause(**_: Any) -> None:
        cloud.world.client.transact_write_items(TransactItems=[cloud.switches.pause("charge-order", PAUSED)])  # type: ignore[list-item]

    aws.client("lambda").meta.events.register_first("before-call.lambda.UpdateEventSourceMapping", Once(pause))
    cloud.a_minute_passes()

    assert cloud.states("charge-order") == ["Disabled"]


def test_mappings_are_not_read_if_no_switch_is_set(cloud: Cloud) -> None:
    asked: list[str] = []
    aws.client("lambda").meta.events.register(
        "provide-client-params.lambda", lambda model, **_: asked.append(model.name)
    )
    cloud.sets("charge-order", opened=False, failures=3)

    cloud.a_minute_passes()

    assert asked == []


def test_any_number_of_mappings_is_switched(cloud: Cloud) -> None:
    cloud.deploys("refund-order", mappings=2)
    for consumer in ("refund-order", "was-deployed-once"):
        cloud.sets(consumer, **paused())

    cloud.a_minute_passes()

    assert cloud.states("refund-order") == ["Disabled", "Disabled"]


def test_a_mapping_that_lambda_is_updating_is_switched_in_the_next_minute(cloud: Cloud) -> None:
    refuse_once("ResourceInUseException")
    cloud.sets("charge-order", **paused())
    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Enabled"]

    cloud.a_minute_passes()
    assert cloud.states("charge-order") == ["Disabled"]


def test_a_mapping_that_cannot_be_switched_does_not_stop_the_others_and_is_reported(cloud: Cloud) -> None:
    cloud.deploys("refund-order")
    for consumer in ("charge-order", "refund-order"):
        cloud.sets(consumer, **paused())
    refuse_once("AccessDeniedException")

    with pytest.raises(NotSwitched):
        cloud.a_minute_passes()

    assert sorted(cloud.states("charge-order") + cloud.states("refund-order")) == ["Disabled", "Enabled"]


def test_the_alarm_of_a_consumer_lasts_as_long_as_its_breaker_is_open(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.sets("charge-order", **opened(retry=-1))
    cloud.a_minute_passes()
    (line,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert (line["service"], line["BreakerOpen"]) == ("charge-order", [1])

    cloud.sets("charge-order", opened=False)
    cloud.a_minute_passes()
    assert emitted(capsys.readouterr().out) == {}


class Once:
    """Runs an action only at the first call."""

    def __init__(self, act: Any) -> None:
        self._left = [act]

    def __call__(self, **about: Any) -> Any:
        return self._left.pop()(**about) if self._left else None


def refuse_once(code: str) -> None:
    """Make Lambda refuse the next switch of a mapping."""

    def refuse(params: Mapping[str, Any], **_: Any) -> tuple[AWSResponse, Mapping[str, Any]]:
        content = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return AWSResponse(params["url"], 400, HTTPHeaders(), None), content

    aws.client("lambda").meta.events.register_last("before-call.lambda.UpdateEventSourceMapping", Once(refuse))


# Guards: the register is updated, and the switches of all consumers in it are applied.
def test_a_consumer_without_a_rule_stays_registered_and_its_switch_is_still_applied(cloud: Cloud) -> None:
    cloud.a_minute_passes()
    cloud.events.delete_rule(Name=NAMES.of("charge-order"), EventBusName=NAMES.event_bus)
    cloud.subscribes("reserve-stock", "OrderPlaced")
    cloud.sets("charge-order", **paused())

    cloud.a_minute_passes()

    registered = Register(cloud.world.client, NAMES.ledger).read()
    assert {name: bool(known.until) for name, known in registered.items()} == {
        "charge-order": True,
        "reserve-stock": False,
    }
    assert cloud.states("charge-order") == ["Disabled"]
