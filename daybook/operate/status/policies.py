"""Compares the deployed resource policies of queues and buses with the stage's templates.

It resolves the references in the templates itself, to queues and pseudo parameters: CloudFormation's drift
detection takes minutes (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/detect-drift-stack.html).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daybook.operate.connection import LOCAL, Connection
from daybook.operate.setup import Finding, found
from daybook.operate.terminal import command_line

_QUEUE_POLICY = "AWS::SQS::QueuePolicy"
_BUS = "AWS::Events::EventBus"

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Compared:
    """The policy of a queue or a bus. `restoring` are the words of the AWS command that takes the template's policy."""

    name: str
    expected: Policy
    deployed: Policy
    restoring: tuple[str, ...]


def check_policies(connection: Connection) -> Iterator[Finding]:
    """A finding for each policy that differs from its template, or one that none does.

    The local cloud keeps no policies of buses. Raises botocore's errors.
    """
    types = {_QUEUE_POLICY} if connection.stage == LOCAL else {_QUEUE_POLICY, _BUS}
    compared = [each for stack in _stacks(connection) for each in _Template(connection, stack).policies(types)]
    changed = [each for each in compared if _normal(each.expected) != _normal(each.deployed)]
    for each in changed:
        restore = command_line("aws", *each.restoring)
        remedy = f"CloudTrail says who changed it. The next deployment does not restore it, this does: {restore}"
        yield Finding(f"policy of {each.name}", well=False, found="is not as in its template", do=remedy)
    if not changed:
        yield Finding("policies", well=True, found=f"{len(compared)} of queues and buses are as in the templates")


def _stacks(connection: Connection) -> list[str]:
    pages = connection.client("cloudformation").get_paginator("describe_stacks").paginate()
    names = [stack["StackName"] for page in pages for stack in page["Stacks"]]
    return [name for name in names if name.startswith(connection.names.of(""))]


class _Template:
    """The deployed template of one stack, with the ids of its resources."""

    def __init__(self, connection: Connection, stack: str) -> None:
        client = connection.client("cloudformation")
        body = client.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack)
        self._resources = (json.loads(body) if isinstance(body, str) else body)["Resources"]
        self._ids = {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for page in pages
            for each in page["StackResourceSummaries"]
        }
        self._connection = connection
        self._pseudo = {
            "AWS::Partition": connection.sqs.meta.partition,
            "AWS::Region": connection.region,
            "AWS::AccountId": connection.account,
        }

    def policies(self, types: set[str]) -> Iterator[_Compared]:
        """The policies of the stack's queues and buses."""
        for resource in self._resources.values():
            properties = resource.get("Properties", {})
            if resource["Type"] not in types:
                continue
            if resource["Type"] == _BUS and "Policy" in properties:
                name, policy = properties["Name"], self._resolved(properties["Policy"])
                restoring = ("events", "put-permission", "--event-bus-name", name, "--policy", json.dumps(policy))
                yield _Compared(name, policy, self._of_bus(name), restoring)
            for queue in properties.get("Queues", ()):
                url, policy = self._resolved(queue), self._resolved(properties["PolicyDocument"])
                attributes = json.dumps({"Policy": json.dumps(policy)})
                restoring = ("sqs", "set-queue-attributes", "--queue-url", url, "--attributes", attributes)
                yield _Compared(url.rpartition("/")[2], policy, self._of_queue(url), restoring)

    def _of_bus(self, name: str) -> Policy:
        bus = found(lambda: self._connection.eventbridge.describe_event_bus(Name=name)) or {}
        return _read(bus.get("Policy"))

    def _of_queue(self, url: str) -> Policy:
        answer = found(lambda: self._connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]))
        return _read((answer or {}).get("Attributes", {}).get("Policy"))

    def _resolved(self, value: Any) -> Any:
        """The value, with the references in it resolved as CloudFormation does."""
        match value:
            case {"Ref": name}:
                return self._pseudo.get(name) or self._ids[name]
            case {"Fn::Join": [separator, parts]}:
                return separator.join(map(self._resolved, parts))
            case {"Fn::GetAtt": [name, "Arn"]}:
                return self._arn(name)
            case dict():
                return {key: self._resolved(each) for key, each in value.items()}
            case list():
                return [self._resolved(each) for each in value]
        return value

    def _arn(self, name: str) -> str:
        place = f"{self._pseudo['AWS::Region']}:{self._pseudo['AWS::AccountId']}"
        match self._resources[name]["Type"]:
            case "AWS::SQS::Queue":
                service, resource = "sqs", self._ids[name].rpartition("/")[2]
            case other:
                msg = f"the ARN of a {other} in a policy cannot be resolved"
                raise NotImplementedError(msg)
        return f"arn:{self._pseudo['AWS::Partition']}:{service}:{place}:{resource}"


def _read(policy: str | None) -> Policy:
    return json.loads(policy) if policy else {}


def _normal(policy: Any) -> Any:
    """The policy in one form, of the several that mean the same: order, single values, and `*` as principal."""
    match policy:
        case {"AWS": "*"}:
            return "*"
        case dict():
            return {key: _normal(each) for key, each in policy.items()}
        case [single]:
            return _normal(single)
        case list():
            return sorted((_normal(each) for each in policy), key=json.dumps)
    return policy
