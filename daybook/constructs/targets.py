"""Targets of rules, and when a rule may begin to send to them."""

import jsii
from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk.interfaces import aws_events as interfaces

_TRIES = events.CfnRule.RetryPolicyProperty(  # the most that EventBridge allows
    maximum_event_age_in_seconds=Duration.hours(24).to_seconds(), maximum_retry_attempts=185
)


@jsii.implements(events.IRuleTarget)
class Target:
    """A queue or a bus as the target of a rule, with a dead-letter queue. CDK's classes would make the policies of the
    queues depend on the rule, where the rule must wait for them.
    """

    def __init__(self, arn: str, dead_letters: sqs.Queue, role: iam.IRole | None = None) -> None:
        self._arn = arn
        self._dead_letters_arn = dead_letters.queue_arn
        self._role = role

    def bind(
        self,
        rule: interfaces.IRuleRef,  # noqa: ARG002 - required by the protocol
        id: str | None = None,  # noqa: A002, ARG002 - required by the protocol
    ) -> events.RuleTargetConfig:
        """The target, which EventBridge tries as long as it can."""
        return events.RuleTargetConfig(
            arn=self._arn,
            role=self._role,
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self._dead_letters_arn),
            retry_policy=_TRIES,
        )


def wait_for_policies(rule: events.Rule, *queues: sqs.Queue) -> None:
    """Create the rule after the policies of these queues. EventBridge does not retry an event that it may not send, so
    a rule that is there before would lose the events that it matches
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html).
    """
    for queue in queues:
        rule.node.add_dependency(queue.node.find_child("Policy"))
