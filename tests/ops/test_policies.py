"""`daybook doctor` compares deployed policies with their templates. The local cloud keeps no policies of buses."""

import json
import shlex
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from daybook.operate.connection import Connection
from daybook.operate.setup import Finding
from daybook.operate.status.policies import check_policies

STACK, BUS = "daybook-prod-backbone", "daybook-prod-events"
RULE = {
    "Fn::Join": [
        "",
        ["arn:aws:events:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, f":rule/{BUS}/one"],
    ]
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "OnlyFromKnownSenders",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "events:PutEvents",
            "Resource": {"Fn::Join": [":", ["arn", {"Ref": "AWS::Partition"}, "events"]]},
            "Condition": {"ArnNotEquals": {"aws:SourceArn": [RULE]}},
        }
    ],
}
TEMPLATE = {
    "Resources": {
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": BUS, "Policy": POLICY}},
    }
}


ANSWERS: dict[str, Any] = {
    "DescribeStacks": {"Stacks": [{"StackName": STACK}, {"StackName": "another-teams"}]},
    "GetTemplate": {"TemplateBody": TEMPLATE},
    "ListStackResources": {
        "StackResourceSummaries": [{"LogicalResourceId": "Bus", "PhysicalResourceId": BUS, "ResourceType": ""}]
    },
}


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A stage with one bus, whose policy somebody has deleted."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        session = boto3.Session(region_name="eu-west-1")
        for operation, answer in ANSWERS.items():
            session.events.register(f"before-call.cloudformation.{operation}", partial(answered, answer))
        session.client("events").create_event_bus(Name=BUS)
        yield Connection("prod", session)


def answered(answer: Any, **_: Any) -> Any:
    """What CloudFormation answers."""
    return SimpleNamespace(status_code=200), answer


def test_the_printed_command_restores_the_policy_of_a_bus(connection: Connection) -> None:
    (changed,) = check_policies(connection)
    assert (changed.what, changed.well) == (f"policy of {BUS}", False)

    *_, policy = shlex.split(changed.do)
    source = json.loads(policy)["Statement"][0]["Condition"]["ArnNotEquals"]["aws:SourceArn"]
    assert source == [f"arn:aws:events:eu-west-1:{connection.account}:rule/{BUS}/one"]

    connection.eventbridge.put_permission(EventBusName=BUS, Policy=policy)
    assert list(check_policies(connection)) == [
        Finding("policies", well=True, found="1 of queues and buses are as in the templates")
    ]
