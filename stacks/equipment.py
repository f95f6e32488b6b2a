"""Bedside devices and their alarms."""

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from daybook.constructs.alarms import MINUTE, alarm
from daybook.constructs.keys import ENCRYPT, Data, allow_key, own_key
from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.equipment import (
    AcknowledgementDue,
    AlarmLimitsSet,
    EquipmentAlarmAcknowledged,
    EquipmentAlarmEscalated,
    EquipmentAlarmRaised,
    EquipmentRegistered,
    EquipmentRetired,
    EquipmentStatusReported,
    PendingAlarmDue,
    SilenceCheckDue,
)


class Equipment(Service):
    """Monitors bedside devices, raises alarms and pages staff. A view keeps the last readings of each device."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "equipment", stage=stage)
        watch, limits, alarms = self.table("watch"), self.table("limits"), self.table("alarms")
        unjudged = self.table("unjudged")
        devices, history = self.table("devices"), self.table("device-history")
        self.view("track_equipment", EquipmentStatusReported, rows=[devices, history])
        self.reaction("register_device", EquipmentRegistered, reads=[watch], saves=[watch])
        self.reaction("retire_device", EquipmentRetired, reads=[watch, alarms], saves=[watch, alarms])
        self.reaction("set_limits", AlarmLimitsSet, reads=[limits], saves=[limits])
        self.reaction(
            "raise_alarm",
            EquipmentStatusReported,
            reads=[watch, limits, alarms, unjudged],
            saves=[watch, alarms, unjudged],
        )
        self.reaction("raise_pending_alarm", PendingAlarmDue, reads=[watch, limits], saves=[watch, alarms])
        self.reaction("check_silence", SilenceCheckDue, reads=[watch], saves=[watch, alarms])
        self.reaction("acknowledge_alarm", EquipmentAlarmAcknowledged, reads=[alarms], saves=[alarms])
        self.reaction("escalate_alarm", AcknowledgementDue, reads=[alarms], saves=[alarms])
        pager = self._pager()
        for effect in (
            self.effect("page_staff", EquipmentAlarmRaised, options={"pager": pager.topic_arn}),
            self.effect("page_escalation", EquipmentAlarmEscalated, options={"pager": pager.topic_arn}),
        ):
            effect.function.allow(["sns:Publish"], pager.topic_arn)
            allow_key(effect.function, stage=stage, data=Data.MESSAGES, service="sns", actions=ENCRYPT)

    def _pager(self) -> sns.Topic:
        """The topic of the pages. Staff on duty subscribe to it, with a filter by ward or level if they want one."""
        name = self.stage.names.of("pager")
        topic = sns.Topic(
            self,
            "Pager",
            topic_name=name,
            display_name=f"Daybook {self.stage.name} pager",
            enforce_ssl=True,
            # Without a key of the stage: SNS's own. A role that may publish or subscribe may use it through SNS.
            master_key=own_key(self, stage=self.stage, data=Data.MESSAGES)
            or kms.Alias.from_alias_name(self, "SnsKey", "alias/aws/sns"),
        )
        alarm(
            self,
            "PagerFails",
            name=f"{name}-fails",
            metric=topic.metric_number_of_notifications_failed(period=MINUTE, statistic="sum"),
            meaning=f"{name} could not deliver a page to one of its subscribers.",
            topic=self.alarms,
        )
        if email := self.stage.option("pager_email"):  # besides staff who subscribe themselves
            mail = topic.add_subscription(subscriptions.EmailSubscription(email))
            Validations.of(mail).acknowledge(
                Acknowledgment(
                    id="Serverless::Serverless-SNSRedrivePolicy",
                    reason="SNS retries e-mail itself, and nobody would read a page in a dead-letter queue.",
                )
            )
        return topic
