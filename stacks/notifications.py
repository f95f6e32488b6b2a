"""The stack of notifications."""

from functools import partial

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ses as ses
from constructs import Construct

from daybook.constructs.alarms import MINUTE, alarm
from daybook.constructs.findings import accept
from daybook.constructs.function import Function
from daybook.constructs.listener import dead_letter_queue
from daybook.constructs.producers import BOUNCES
from daybook.constructs.senders import restrict_queue, role_path, rule_arn
from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from daybook.constructs.targets import Target, wait_for_policies
from events.notifications import EmailBounced, EmailComplained
from events.orders import OrderCancelled, OrderConfirmed, OrderFulfilled
from events.payments import PaymentRefunded, RefundFailed


class Notifications(Service):
    """E-mails to customers. SES sends an event for each e-mail that bounced to the ingress bus."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "notifications", stage=stage)
        self._configuration_set = stage.names.of("emails")
        self._bounces()
        options = {"sender": stage.option("mail_from"), "configuration-set": self._configuration_set}
        for effect in (
            self.effect("mail_confirmed", OrderConfirmed, options=options),
            self.effect("mail_cancelled", OrderCancelled, options=options),
            self.effect("mail_fulfilled", OrderFulfilled, options=options),
            self.effect("mail_refunded", PaymentRefunded, options=options),
            self.effect("mail_refund_failed", RefundFailed, options=options),
        ):
            self._allow_sending(effect.function)

    def _allow_sending(self, function: Function) -> None:
        """Allow e-mails from the shop's address. The account has verified either this address or its domain."""
        arn = partial(self.format_arn, service="ses")
        function.allow(["ses:SendEmail"], arn(resource="configuration-set", resource_name=self._configuration_set))
        if self.stage.is_local:  # the local cloud checks neither the resource nor the sender
            function.allow(["ses:SendEmail"], "*")
            return
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["ses:SendEmail"],
                resources=[arn(resource="identity", resource_name="*")],
                conditions={"StringEquals": {"ses:FromAddress": self.stage.option("mail_from")}},
            )
        )
        every_identity = "arn:<AWS::Partition>:ses:<AWS::Region>:<AWS::AccountId>:identity/*"
        Validations.of(function.role or function).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_identity}]",
                reason="The condition allows only one sender. In its sandbox, SES also checks the recipient.",
            )
        )

    def _bounces(self) -> None:
        """SES reports bounces and complaints on the default bus. A rule sends them to the ingress bus."""
        emails = ses.ConfigurationSet(self, "Emails", configuration_set_name=self._configuration_set)
        default = events.EventBus.from_event_bus_name(self, "DefaultBus", "default")
        emails.add_event_destination(
            "ToEventBridge",
            destination=ses.EventDestination.event_bus(default),
            events=[ses.EmailSendingEvent.BOUNCE, ses.EmailSendingEvent.COMPLAINT],
        )
        scope = Construct(self, "Bounces")
        undelivered = dead_letter_queue(scope, stage=self.stage, consumer=BOUNCES)
        ingress = self.format_arn(service="events", resource="event-bus", resource_name=self.stage.names.ingress_bus)
        (source,) = EmailBounced.contract.sources
        # The ingress bus's policy names this role by its path.
        role = iam.Role(
            scope,
            "Role",
            path=role_path(self, self.stage, BOUNCES),
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
            description="Sends SES's bounces and complaints to the ingress bus",
        )
        rule = events.Rule(
            scope,
            "Rule",
            rule_name=self.stage.names.of(BOUNCES),
            event_pattern=events.EventPattern(
                source=[source],
                detail_type=[str(event.contract.foreign) for event in (EmailBounced, EmailComplained)],
                # All stages in an account share one default bus.
                detail={"mail": {"tags": {"ses:configuration-set": [self._configuration_set]}}},
            ),
            targets=[Target(ingress, undelivered, role)],
        )
        may_send = iam.Policy(scope, "MaySend", roles=[role])
        may_send.add_statements(iam.PolicyStatement(actions=["events:PutEvents"], resources=[ingress]))
        accept(may_send, "The policy belongs to the rule's own role, and allows one action.", "IAMNoInlinePolicy")
        restrict_queue(undelivered, stage=self.stage, rules=[rule_arn(self, self.stage, BOUNCES)])
        wait_for_policies(rule, undelivered)
        alarm(
            scope,
            "Undelivered",
            name=f"{self.stage.names.of(BOUNCES)}-undelivered",
            metric=cloudwatch.Metric(
                namespace="AWS/Events",
                metric_name="FailedInvocations",
                dimensions_map={"RuleName": rule.rule_name},  # on the default bus; the stage's alarms see its own buses
                statistic="sum",
                period=MINUTE,
            ),
            meaning="EventBridge could not deliver a bounce or a complaint of SES to the ingress bus.",
            topic=self.alarms,
        )
        rule.node.add_dependency(may_send)
