"""Notifications."""

from functools import partial

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ses as ses
from constructs import Construct

from daybook.constructs.function import Function
from daybook.constructs.listener import dead_letter_queue
from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.notifications import EmailBounced
from events.orders import OrderCancelled, OrderConfirmed, OrderFulfilled
from events.payments import PaymentRefunded


class Notifications(Service):
    """Letters to customers, by e-mail. What SES tells of those that did not arrive goes to the front door."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "notifications", stage=stage)
        self._letters = stage.names.of("letters")
        self._bounces()
        options = {"sender": stage.option("mail_from"), "configuration-set": self._letters}
        for effect in (
            self.effect("mail_confirmed", OrderConfirmed, options=options),
            self.effect("mail_cancelled", OrderCancelled, options=options),
            self.effect("mail_fulfilled", OrderFulfilled, options=options),
            self.effect("mail_refunded", PaymentRefunded, options=options),
        ):
            self._allow_sending(effect.function)

    def _allow_sending(self, function: Function) -> None:
        """Send in the shop's name. Which identity stands for it, its address or its domain, is the account's matter."""
        arn = partial(self.format_arn, service="ses")
        function.allow(["ses:SendEmail"], arn(resource="configuration-set", resource_name=self._letters))
        if self.stage.on_laptop:  # the local cloud asks for it on all resources, and knows no sender
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
                reason="The condition narrows it to one sender; in its sandbox SES looks at receivers too.",
            )
        )

    def _bounces(self) -> None:
        """Letters that do not arrive: SES tells the default bus, and a rule there the front door."""
        letters = ses.ConfigurationSet(self, "Letters", configuration_set_name=self._letters)
        default = events.EventBus.from_event_bus_name(self, "DefaultBus", "default")
        letters.add_event_destination(
            "ToEventBridge",
            destination=ses.EventDestination.event_bus(default),
            events=[ses.EmailSendingEvent.BOUNCE],
        )
        scope = Construct(self, "Bounces")
        undelivered = dead_letter_queue(scope, stage=self.stage, consumer="bounces", alarms=self.alarms)
        ingress = events.EventBus.from_event_bus_name(scope, "IngressBus", self.stage.names.ingress_bus)
        (source,) = EmailBounced.contract.sources
        events.Rule(
            scope,
            "Rule",
            rule_name=self.stage.names.of("bounces"),
            event_pattern=events.EventPattern(
                source=[source],
                detail_type=[str(EmailBounced.contract.foreign)],
                # An account has one default bus, and maybe several stages.
                detail={"mail": {"tags": {"ses:configuration-set": [self._letters]}}},
            ),
            targets=[targets.EventBus(ingress, dead_letter_queue=undelivered)],
        )
