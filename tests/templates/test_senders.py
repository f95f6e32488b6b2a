"""Resource policies: nobody but known rules and roles sends to a queue or a bus, whatever else a role may do.

The policies are evaluated for calls of roles and rules, as `sts:AssumeRole` and EventBridge make them.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk import App, Stack
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy  # type: ignore[import-untyped]

from daybook.constructs.producers import NoSuchSource, add_producer_policies, event_types, ingress_statements, origins
from daybook.constructs.senders import MAX_BUS_POLICY
from daybook.constructs.stage import Stage
from events.catalogue import CATALOGUE
from tests.templates.synthesis import Assembly

ACCOUNT, REGION = "123456789012", "eu-central-1"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}
ROLES = f"arn:aws:iam::{ACCOUNT}:role"
CONSUMERS = f"{ROLES}/daybook/test/{REGION}"
OPERATOR = f"{ROLES}/daybook/test/operators/on-call"
PRODUCER = f"{ROLES}/daybook/test/producers/checkout"
# Roles that must reach nothing: an administrator, and names that look like known ones.
STRANGERS = (
    f"{ROLES}/Administrator",
    f"{ROLES}/daybook-test-operators",
    f"{ROLES}/daybook/prod/operators/on-call",
    f"{ROLES}/daybook/test/eu-west-1/publish/role",
    f"arn:aws:iam::{ACCOUNT}:user/daybook/test/operators/on-call",
    "arn:aws:iam::210987654321:role/daybook/test/operators/on-call",
)
EXTRA_DEAD_LETTERS = {"publish": {"publish", "republish"}, "bounces": set[str]()}


class Resources:
    """The resources of a stage by ARN, with the texts that CloudFormation would make of references."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def queues(self) -> dict[str, dict[str, Any]]:
        """The policy of each queue, by its name without the stage. A queue without a policy has an empty one."""
        found: dict[str, dict[str, Any]] = {}
        for queue in self._assembly.resources("AWS::SQS::Queue"):
            policies = [
                self._resolved(policy["Properties"]["PolicyDocument"], queue["Stack"])
                for policy in self._assembly.resources("AWS::SQS::QueuePolicy", queue["Stack"])
                if {"Ref": queue["Id"]} in policy["Properties"]["Queues"]
            ]
            found[self._short(queue["Properties"]["QueueName"])] = policies[0] if policies else {}
        return found

    def buses(self) -> dict[str, dict[str, Any]]:
        """The policy of each bus."""
        return {
            self._short(bus["Properties"]["Name"]): self._resolved(bus["Properties"].get("Policy", {}), bus["Stack"])
            for bus in self._assembly.resources("AWS::Events::EventBus")
        }

    def rules(self) -> dict[str, str]:
        """The ARN of the rule of each consumer."""
        return {
            self._short(rule["Properties"]["Name"]): self._arn(rule)
            for rule in self._assembly.resources("AWS::Events::Rule")
            if "EventPattern" in rule["Properties"]
        }

    def _short(self, name: str) -> str:
        return name.removeprefix(f"daybook-{self._assembly.stage}-")

    def _resolved(self, value: Any, stack: str) -> Any:
        if isinstance(value, list):
            return [self._resolved(each, stack) for each in value]
        if not isinstance(value, dict):
            return value
        if "Ref" in value:
            return PSEUDO.get(value["Ref"]) or self._named(value["Ref"], stack)["Properties"]["Name"]
        if "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            return separator.join(self._resolved(part, stack) for part in parts)
        if "Fn::GetAtt" in value:
            name, attribute = value["Fn::GetAtt"]
            assert attribute == "Arn"
            return self._arn(self._named(name, stack))
        return {key: self._resolved(each, stack) for key, each in value.items()}

    def _named(self, name: str, stack: str) -> dict[str, Any]:
        return {**self._assembly.templates[stack]["Resources"][name], "Stack": stack}

    def _arn(self, resource: Mapping[str, Any]) -> str:
        properties = resource["Properties"]
        if resource["Type"] == "AWS::SQS::Queue":
            return queue_arn(properties["QueueName"])
        assert resource["Type"] == "AWS::Events::Rule"
        bus = self._resolved(properties.get("EventBusName", ""), resource["Stack"])
        return f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{f'{bus}/' if bus else ''}{properties['Name']}"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def bus_arn(name: str) -> str:
    return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"


@pytest.fixture(scope="module")
def resources(aws: Assembly) -> Resources:
    return Resources(aws)


def decision(policy: object, action: str, resource: str, *, role: str = "", rule: str = "", **keys: list[str]) -> str:
    """`Deny`, `Allow`, or `ImplicitDeny`: what the policy says about a call by this role, or for this rule."""
    service = {"principal_arn": "*", "principal_type": "Service"}
    caller = {"principal_arn": role, "principal_type": "Role"} if role else service
    context = EvalContext(
        **caller,
        principal_account="",
        action=action,
        resource_arn=resource,
        region=REGION,
        secure_transport=True,
        service_context=({"aws:sourcearn": rule} if rule else {})
        | {f"events:{key.replace('_', '-')}": values for key, values in keys.items()},
    )
    if not role:  # a service has no ARN; the evaluator of MiniStack gives it one
        policy = json.loads(json.dumps(policy).replace('"aws:PrincipalArn"', '"absent:PrincipalArn"'))
    return str(evaluate_resource_policy(policy, context, service=None if role else "events.amazonaws.com").decision)


def sends(policy: object, queue: str, **caller: str) -> str:
    return decision(policy, "sqs:SendMessage", queue_arn(f"daybook-test-{queue}"), **caller)  # type: ignore[arg-type]


def puts(policy: object, bus: str, **caller: Any) -> str:
    return decision(policy, "events:PutEvents", bus_arn(f"daybook-test-{bus}"), **caller)


def test_no_other_role_sends_to_any_queue(resources: Resources) -> None:
    queues = resources.queues()
    roles = [*STRANGERS, PRODUCER, f"{CONSUMERS}/admit/role", f"{CONSUMERS}/publish/role"]

    assert len(queues) > 80
    for queue, policy in queues.items():
        own = EXTRA_DEAD_LETTERS.get(queue.removesuffix("-dead"), {queue.removesuffix("-dead")})
        for role in roles:
            if queue.endswith("-dead") and role.split("/")[-2] in own and role.startswith(CONSUMERS):
                continue
            assert sends(policy, queue, role=role) == "Deny", (queue, role)


def test_each_rule_sends_to_its_own_queues_only(resources: Resources) -> None:
    queues, rules = resources.queues(), resources.rules()

    for queue, policy in queues.items():
        allowed = {name for name, rule in rules.items() if sends(policy, queue, rule=rule) == "Allow"}
        assert allowed == {queue.removesuffix("-dead")} & rules.keys(), queue


def test_operators_send_to_every_queue_and_functions_to_their_own_dead_letter_queues(resources: Resources) -> None:
    for queue, policy in resources.queues().items():
        consumer = queue.removesuffix("-dead")
        functions = EXTRA_DEAD_LETTERS.get(consumer, {consumer}) if queue.endswith("-dead") else set()
        known = [OPERATOR, *(f"{CONSUMERS}/{each}/role" for each in functions)]
        assert {sends(policy, queue, role=role) for role in known} == {"ImplicitDeny"}, queue


def test_only_a_consumers_own_queue_names_its_dead_letter_queue_and_no_queue_names_a_consumers_queue(
    aws: Assembly,
) -> None:
    # Else anybody could send to a queue of their own, from which SQS moves messages to this one.
    for queue in aws.properties("AWS::SQS::Queue"):
        name = queue["QueueName"].removeprefix("daybook-test-")
        policy = dict(queue["RedriveAllowPolicy"])
        sources = [source["Fn::Join"][1][-1] for source in policy.pop("sourceQueueArns", [])]
        listener = name.endswith("-dead") and name not in {"publish-dead", "fire-timers-dead", "bounces-dead"}

        assert policy == {"redrivePermission": "byQueue" if listener else "denyAll"}, name
        assert sources == ([f":daybook-test-{name.removesuffix('-dead')}"] if listener else []), name


def test_the_roles_of_functions_have_the_paths_that_policies_name(aws: Assembly) -> None:
    for function in aws.resources("AWS::Lambda::Function"):
        name = function["Properties"]["FunctionName"].removeprefix("daybook-test-")
        role = aws.templates[function["Stack"]]["Resources"][function["Properties"]["Role"]["Fn::GetAtt"][0]]

        assert "RoleName" not in role["Properties"]
        path = role["Properties"]["Path"]["Fn::Join"][1]
        assert path == ["/daybook/test/", {"Ref": "AWS::Region"}, f"/{name}/"]


def test_only_publish_and_republish_put_events_on_the_event_bus(resources: Resources) -> None:
    policy = resources.buses()["events"]

    for role in (*STRANGERS, PRODUCER, OPERATOR, f"{CONSUMERS}/admit/role", f"{CONSUMERS}/bounces/role"):
        assert puts(policy, "events", role=role, source=["daybook.orders"]) == "Deny", role
    for consumer in ("publish", "republish"):
        assert puts(policy, "events", role=f"{CONSUMERS}/{consumer}/role") == "ImplicitDeny"


def test_only_producers_operators_and_the_rule_of_bounces_put_events_on_the_ingress_bus(resources: Resources) -> None:
    policy, rules = resources.buses()["ingress"], resources.rules()
    order, bounce = {"source": ["shop.checkout"]}, {"source": ["aws.ses"]}

    for role in (*STRANGERS, f"{CONSUMERS}/publish/role"):
        assert puts(policy, "ingress", role=role, **order) == "Deny", role
    assert puts(policy, "ingress", role=PRODUCER, **order) == "ImplicitDeny"
    assert puts(policy, "ingress", role=OPERATOR, source=["shop.unknown"]) == "ImplicitDeny"
    assert puts(policy, "ingress", role=f"{CONSUMERS}/bounces/role", **bounce) == "ImplicitDeny"
    assert puts(policy, "ingress", rule=rules["bounces"], **bounce) == "ImplicitDeny"
    assert puts(policy, "ingress", rule=rules["place-order"], **bounce) == "Deny"


def test_a_producer_puts_no_event_whose_source_is_in_no_contract(resources: Resources) -> None:
    policy = resources.buses()["ingress"]

    for sources in (["aws.ses"], ["daybook.orders"], ["shop.checkout", "shop.unknown"]):
        assert puts(policy, "ingress", role=PRODUCER, source=sources) == "Deny", sources


def test_the_role_of_the_rule_of_bounces_has_the_path_that_the_policy_names(aws: Assembly) -> None:
    paths = [
        role["Path"]["Fn::Join"][1] for role in aws.properties("AWS::IAM::Role", "notifications") if "Path" in role
    ]

    assert ["/daybook/test/", {"Ref": "AWS::Region"}, "/bounces/"] in paths


def test_the_policies_of_buses_are_smaller_than_the_quota(resources: Resources) -> None:
    sizes = {bus: len(json.dumps(policy)) for bus, policy in resources.buses().items()}

    assert sizes.keys() == {"ingress", "events"}
    assert all(0 < size < MAX_BUS_POLICY / 2 for size in sizes.values()), sizes


def test_each_source_outside_of_the_system_has_a_policy_for_its_types_only(aws: Assembly) -> None:
    expected: dict[str, set[str]] = {}
    for event in CATALOGUE.values():
        for source in event.contract.sources:
            expected.setdefault(source, set()).add(event.contract.type)
    del expected["aws.ses"]  # AWS puts these events on its own bus

    found = {}
    for policy in aws.properties("AWS::IAM::ManagedPolicy", "backbone"):
        (statement,) = policy["PolicyDocument"]["Statement"]
        values = statement["Condition"]["ForAllValues:StringEquals"]
        (source,) = values["events:source"]
        found[source] = set(values["events:detail-type"])
        assert policy["ManagedPolicyName"]["Fn::Join"][1][0] == f"daybook-test-producer-{source}-"
        assert (statement["Effect"], statement["Action"]) == ("Allow", "events:PutEvents")
        assert json.dumps(statement["Resource"]).endswith(':event-bus/daybook-test-ingress"]]}')
        assert statement["Condition"]["Null"] == {"events:source": "false", "events:detail-type": "false"}
    assert found == expected


OTHER = "210987654321"


def ingress_policy(producers: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str], str]:
    """The ingress bus's statements, the sources with a managed policy, and the origins, for these settings."""
    stage = Stage(name="test", context={"producers": json.dumps(producers)})
    stack = Stack(App(), "stack", env={"account": ACCOUNT, "region": REGION})
    types = event_types(CATALOGUE.values())
    add_producer_policies(stack, stage=stage, types=types, bus=bus_arn("daybook-test-ingress"))
    statements = ingress_statements(stack, stage=stage, types=types, bus=bus_arn("daybook-test-ingress"))
    partition = [json.loads(json.dumps(stack.resolve(each.to_statement_json()))) for each in statements]
    sources = [child.node.id for child in stack.node.children if child.node.id in types]
    return _plain(partition), sources, origins(stack, stage)


def _plain(value: Any) -> Any:
    """The value with the partition in place of references to it."""
    if isinstance(value, dict):
        if "Fn::Join" in value:
            return "".join("aws" if part == {"Ref": "AWS::Partition"} else part for part in value["Fn::Join"][1])
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def test_a_producer_in_another_account_puts_only_its_source_and_types() -> None:
    statements, sources, where = ingress_policy({"shop.checkout": OTHER, "shop.service-desk": f"{OTHER}/eu-west-1"})
    policy, producer = {"Statement": statements}, f"arn:aws:iam::{OTHER}:role/checkout"

    def asks(source: list[str], detail_type: list[str], role: str = producer) -> str:
        return puts(policy, "ingress", role=role, source=source, detail_type=detail_type)

    assert asks(["shop.checkout"], ["OrderPlaced"]) == "Allow"
    assert asks(["shop.checkout"], ["RefundClaimed"]) == "ImplicitDeny"  # denied: the account differs
    assert asks(["warehouse.dispatch"], ["ShipmentDispatched"]) == "ImplicitDeny"
    assert asks(["shop.checkout", "bank.core"], ["OrderPlaced", "TransactionPosted"]) == "ImplicitDeny"
    assert asks(["shop.checkout"], ["OrderPlaced"], "arn:aws:iam::111122223333:role/checkout") == "Deny"
    assert not {"shop.checkout", "shop.service-desk"} & set(sources)
    assert "warehouse.dispatch" in sources
    assert json.loads(where) == {
        "": f"{ACCOUNT}/{REGION}",
        "shop.checkout": f"{OTHER}/{REGION}",
        "shop.service-desk": f"{OTHER}/eu-west-1",
    }


def test_a_setting_with_an_unknown_source_fails() -> None:
    with pytest.raises(NoSuchSource, match=r"no contract has the source shop\.chekout"):
        ingress_policy({"shop.chekout": OTHER})


@pytest.mark.parametrize("given", ["a/*,b", ["a/*", "b"]], ids=["command line", "cdk.json"])
def test_the_roles_of_operators_and_producers_are_settings(given: object) -> None:
    stage = Stage(name="test", context={"operators": given, "producer_roles": given})

    assert (stage.operators, stage.producer_roles) == (["a/*", "b"], ["a/*", "b"])
