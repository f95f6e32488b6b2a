"""Resource policies: which rules and roles may send to a queue or a bus, whatever else a role's own policy allows.

A `Deny` for everybody, with exceptions by condition. `NotPrincipal` is no way to write the exceptions: it would have to
name each session of a role (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html).
"""

from collections.abc import Iterable, Sequence

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from daybook.constructs.stage import Stage

# EventBridge's quota for the policy of a bus, in characters
# (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html).
MAX_BUS_POLICY = 10_240


def rule_arn(scope: Construct, stage: Stage, consumer: str, bus: str = "") -> str:
    """The ARN of a consumer's rule on a bus, without `bus` on the default bus. It is formed by names: the rule depends
    on policies that name it.
    """
    name = f"{bus}/{stage.names.of(consumer)}" if bus else stage.names.of(consumer)
    return Stack.of(scope).format_arn(service="events", resource="rule", resource_name=name)


def restrict_queue(
    queue: sqs.Queue,
    *,
    stage: Stage,
    rules: Sequence[str] = (),
    consumers: Iterable[str] = (),
    dead_letters_of: str | None = None,
) -> None:
    """Let only these rules, given by their ARNs, the functions of these consumers, and operators send to the queue.

    SQS needs no permission to move messages to a dead-letter queue, and by default any queue of the account may name
    this one as its dead-letter queue. So no queue may, except that of the consumer `dead_letters_of`
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html).
    """
    resource = queue.node.default_child
    if not isinstance(resource, sqs.CfnQueue):
        raise TypeError(resource)
    if dead_letters_of:  # by name, because that queue refers to this one
        source = Stack.of(queue).format_arn(service="sqs", resource=stage.names.of(dead_letters_of))
        resource.redrive_allow_policy = {"redrivePermission": "byQueue", "sourceQueueArns": [source]}
    else:
        resource.redrive_allow_policy = {"redrivePermission": "denyAll"}
    roles = [*consumer_roles(queue, stage, *consumers), *operator_roles(queue, stage)]
    queue.add_to_resource_policy(only_from("sqs:SendMessage", queue.queue_arn, roles=roles, rules=rules))
    if rules:
        queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rules}},
            )
        )


def only_from(action: str, resource: str, *, roles: list[str], rules: Sequence[str] = ()) -> iam.PolicyStatement:
    """Deny the action to all but these roles and rules (patterns of ARNs).

    EventBridge's calls for a rule name the rule and no role, and those of a role name the role and no rule. A condition
    with a negated operator is true if its key is missing, so each needs only its own exception
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
    """
    conditions: dict[str, dict[str, list[str]]] = {"ArnNotLike": {"aws:PrincipalArn": roles}}
    if rules:
        conditions["ArnNotEquals"] = {"aws:SourceArn": list(rules)}
    return iam.PolicyStatement(
        sid="OnlyFromKnownSenders",
        effect=iam.Effect.DENY,
        principals=[iam.StarPrincipal()],
        actions=[action],
        resources=[resource],
        conditions=conditions,
    )


def set_bus_policy(bus: events.EventBus, *statements: iam.PolicyStatement) -> None:
    """Make these statements the policy of the bus. At most MAX_BUS_POLICY characters."""
    resource = bus.node.default_child
    if not isinstance(resource, events.CfnEventBus):
        raise TypeError(resource)
    resource.policy = iam.PolicyDocument(statements=list(statements))


def role_path(scope: Construct, stage: Stage, consumer: str) -> str:
    """The path of a consumer's role. Policies name roles by it.

    CloudFormation generates the role's name: a fixed one would have to be unique in the account, and has 64 characters,
    too few for stage, region and consumer (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
    """
    return f"/daybook/{stage.name}/{Stack.of(scope).region}/{consumer}/"


def consumer_roles(scope: Construct, stage: Stage, *consumers: str) -> list[str]:
    """The roles of these consumers' functions."""
    return [_role(scope, f"{role_path(scope, stage, each)[1:]}*") for each in consumers]


def operator_roles(scope: Construct, stage: Stage) -> list[str]:
    """The roles of operators, by the stage's setting. In the local cloud, commands and tests run as the root user."""
    root = Stack.of(scope).format_arn(service="iam", region="", resource="root")
    return [_role(scope, each) for each in stage.operators] + ([root] if stage.is_local else [])


def producer_roles(scope: Construct, stage: Stage) -> list[str]:
    """The roles of producers in the stage's own account, by the stage's setting."""
    return [_role(scope, each) for each in stage.producer_roles]


def _role(scope: Construct, name: str) -> str:
    return Stack.of(scope).format_arn(service="iam", region="", resource="role", resource_name=name)
