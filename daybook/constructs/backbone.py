"""The backbone's stack: two buses, the event store, the ledger, the due table, and the backbone's functions."""

import json
from collections.abc import Mapping
from typing import cast

import jsii
from aws_cdk import Acknowledgment, ArnFormat, CfnElement, Duration, Stack, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from daybook.application import application, catalogue
from daybook.backbone.watch_ledger import FILTERS
from daybook.constructs import bundle
from daybook.constructs.alarms import MINUTE, alarm, silence_alarm, throttled_alarm
from daybook.constructs.backbone_access import BackboneAccess
from daybook.constructs.backups import create_plan
from daybook.constructs.buckets import bucket
from daybook.constructs.findings import accept, accept_without_own_keys
from daybook.constructs.function import Function
from daybook.constructs.keys import DECRYPT, ENCRYPT, Data, allow_key, create_keys, create_proofs_key, own_key
from daybook.constructs.layer import packages
from daybook.constructs.listener import RECEIVE_ACTIONS, Listener, dead_letter_queue, own_metric
from daybook.constructs.producers import add_producer_policies, event_types, ingress_statements, origins
from daybook.constructs.senders import consumer_roles, only_from, restrict_queue, set_bus_policy
from daybook.constructs.stage import Stage
from daybook.constructs.tables import table
from daybook.contracts.proof import ADMIT, FIRE_TIMERS
from daybook.runtime import keyring, observability
from daybook.runtime.settings import BODIES, DEAD_LETTERS, ORIGINS, SHARED, TIMERS
from daybook.store import event_store as store
from daybook.store import ledger, timers

# Matches all events: each has a source. A narrower pattern would drop events silently.
_ALL_EVENTS = events.EventPattern(source=events.Match.prefix(""))

_ALLOWED_LATENESS = 300_000  # milliseconds from a timer's scheduled time to the recording of its event
_ALLOWED_LAG = 60_000  # milliseconds from recording to publishing


@jsii.implements(lambda_.IEventSourceDlq)
class _ToQueue:
    """A queue as the destination of failed batches. CDK's class would grant more permissions than sending."""

    def __init__(self, queue_arn: str) -> None:
        self._queue_arn = queue_arn

    def bind(
        self,
        target: lambda_.IEventSourceMapping,  # noqa: ARG002 - required by the protocol
        target_handler: lambda_.IFunction,  # noqa: ARG002 - required by the protocol
    ) -> lambda_.DlqDestinationConfig:
        """The queue as a destination."""
        return lambda_.DlqDestinationConfig(destination=self._queue_arn)


class Backbone(Stack):
    """The stack that all services use. They find its resources by name."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        names = stage.names
        super().__init__(
            scope,
            names.of("backbone"),
            description=f"Daybook, {stage.name}: backbone",
            termination_protection=stage.termination_protection,
        )
        self._stage = stage
        create_keys(self, stage=stage)
        create_proofs_key(self, stage=stage)
        create_plan(self, stage=stage)
        self._code = bundle.backbone_code()
        self._layers = packages(self, stage=stage)
        self._alarms = self._alarm_topic()
        self._event_bus = events.EventBus(
            self,
            "EventBus",
            event_bus_name=names.event_bus,
            description="All stored events; consumers' rules match them",
        )
        arn = self.format_arn(service="events", resource="event-bus", resource_name=names.event_bus)
        publishers = consumer_roles(self, stage, "publish", "republish")
        set_bus_policy(self._event_bus, only_from("events:PutEvents", arn, roles=publishers))
        self._store = self._event_store()
        table(self, "Keys", stage=stage, name=names.keys, schema=keyring.SCHEMA, data=Data.EVENTS)
        self._ledger = table(
            self,
            "Ledger",
            stage=stage,
            name=names.ledger,
            schema=ledger.SCHEMA,
            data=Data.EVENTS,
            # Both images: watch-ledger compares them.
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
        )
        recorder = self._record_dead_letters()
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=names.of("backbone"))
        dashboard.add_widgets(*self._admit().widgets())
        dashboard.add_widgets(*self._publish())
        self._fire_timers()
        self._control_consumers()
        self._watch_ledger()
        for construct in self.node.find_all():
            if construct.node.id == "RecordDeadLettersMapping":
                construct.node.add_dependency(recorder)

    def _alarm_topic(self) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Alarms",
            topic_name=self._stage.names.alarms,
            display_name=f"Daybook {self._stage.name} alarms",
            enforce_ssl=True,
            master_key=own_key(self, stage=self._stage, data=Data.MESSAGES),
        )
        accept_without_own_keys(topic, "SNSEncryptedKMS", stage=self._stage)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if self._stage.alarm_email:
            mail = topic.add_subscription(subscriptions.EmailSubscription(self._stage.alarm_email))
            Validations.of(mail).acknowledge(
                Acknowledgment(
                    id="Serverless::Serverless-SNSRedrivePolicy",
                    reason="SNS retries e-mail by itself, and nobody would look for an alarm in a queue.",
                )
            )
        return topic

    def _event_store(self) -> dynamodb.Table:
        return table(
            self,
            "Store",
            stage=self._stage,
            name=self._stage.names.store,
            schema=store.SCHEMA,
            data=Data.EVENTS,
            # Both images: if somebody changes a stored event, the old image is the evidence.
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
        )

    def _admit(self) -> Listener:
        names = self._stage.names
        ingress = events.EventBus(
            self, "IngressBus", event_bus_name=names.ingress_bus, description="Events from producers, for admit only"
        )
        listener = Listener(
            self,
            "Admit",
            stage=self._stage,
            consumer="admit",
            bus=ingress,
            pattern=_ALL_EVENTS,
            handler=f"{application().services}.admission.admit.handler",
            code=self._code,
            layers=self._layers,
            environment={ORIGINS: origins(self, self._stage)},
            alarms=self._alarms,
            audit=True,
        )
        backbone = BackboneAccess(self, stage=self._stage)
        backbone.allow_ledger(listener.function, "admit")
        external = [c for c in catalogue().values() if c.contract.sources]
        types = event_types(external)
        arn = self.format_arn(service="events", resource="event-bus", resource_name=names.ingress_bus)
        set_bus_policy(ingress, *ingress_statements(self, stage=self._stage, types=types, bus=arn))
        add_producer_policies(Construct(self, "Producers"), stage=self._stage, types=types, bus=arn)
        backbone.allow_append(listener.function, external, reads_openings=True)
        backbone.allow_proving(listener.function, ADMIT)
        alarm(
            listener,
            "Forged",
            name=f"{names.of(ADMIT)}-forged",
            metric=own_metric(self._stage, ADMIT, observability.FORGED),
            at_least=1,
            minutes=1,
            meaning="Severity: high. admit has found a row of the ledger that it has not proven. Somebody else may "
            "have written it, so that an event is dropped as a duplicate. The event is a dead letter.",
            topic=self._alarms,
        )
        return listener

    def _publish(self) -> list[cloudwatch.IWidget]:
        """Two functions put events on the event bus: `publish` from the change stream, `republish` from the journal.

        `republish` needs no alarm of its own: only operators invoke it, and `daybook publish` reports a failed
        invocation to them. Its dead letters, and stored events that were changed, set off the alarms of `publish`.
        """
        scope = Construct(self, "Publish")
        set_aside = dead_letter_queue(scope, stage=self._stage, consumer="publish", alarms=self._alarms)
        restrict_queue(set_aside, stage=self._stage, consumers=["publish", "republish"])
        function = self._bus_writer(scope, "publish", set_aside)
        BackboneAccess(scope, stage=self._stage).allow_reading_by_time(
            self._bus_writer(Construct(self, "Republish"), "republish", set_aside)
        )
        stream = _allow_change_stream(function, self._store)
        lambda_.EventSourceMapping(
            scope,
            "Mapping",
            target=function,
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            # Ten batches of a shard at once. Lambda keeps only the records of one item in order then, and each event is
            # an item (https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html).
            parallelization_factor=1 if self._stage.publish_in_order else 10,
            # A failed batch is split until the failing record is alone. It is retried for 23 of the 24 hours that the
            # change stream keeps it, so that a record that is given up can still be read when the queue gets it.
            max_record_age=Duration.hours(23),
            bisect_batch_on_error=True,
            on_failure=_ToQueue(set_aside.queue_arn),
        )
        self._add_publish_alarms(function)
        return [
            cloudwatch.GraphWidget(
                title="Publish: lag",
                width=12,
                left=[function.metric("IteratorAge", period=MINUTE, statistic="max", label="milliseconds")],
            ),
            cloudwatch.GraphWidget(
                title="Publish: invocations",
                width=12,
                left=[
                    function.metric_invocations(period=MINUTE, label="invocations"),
                    function.metric_errors(period=MINUTE, label="errors"),
                    function.metric_throttles(period=MINUTE, label="throttles"),
                ],
            ),
        ]

    def _bus_writer(self, scope: Construct, name: str, set_aside: sqs.Queue) -> Function:
        shared = json.dumps(sorted(c.contract.type for c in catalogue().values() if c.contract.shared))
        function = self._function(scope, name, environment={**_for_checking(set_aside), SHARED: shared})
        BackboneAccess(Construct(scope, "Proofs"), stage=self._stage).allow_checking_proofs(function)
        function.allow(["events:PutEvents"], self._event_bus.event_bus_arn)
        function.allow(["sqs:SendMessage"], set_aside.queue_arn)
        allow_key(function, stage=self._stage, data=Data.MESSAGES, service="sqs", actions=ENCRYPT)
        return function

    def _function(
        self, scope: Construct, name: str, *, environment: Mapping[str, str], timeout: Duration | None = None
    ) -> Function:
        function = Function(
            scope,
            "Function",
            stage=self._stage,
            consumer=name,
            handler=f"daybook.backbone.{name.replace('-', '_')}.handler",
            code=self._code,
            layers=self._layers,
            environment=environment,
            timeout=timeout or Duration.seconds(60),
            audit=True,
        )
        allow_key(function, stage=self._stage, data=Data.EVENTS, service="dynamodb", actions=DECRYPT)
        return function

    def _fire_timers(self) -> None:
        scope = Construct(self, "FireTimers")
        name = self._stage.names.due
        due = table(scope, "Due", stage=self._stage, name=name, schema=timers.SCHEMA, data=Data.EVENTS)
        set_aside = dead_letter_queue(scope, stage=self._stage, consumer="fire-timers", alarms=self._alarms)
        restrict_queue(set_aside, stage=self._stage, consumers=["fire-timers"])
        function = self._function(scope, "fire-timers", environment=_for_checking(set_aside))
        actions = ["Query", "Scan", "PutItem", "DeleteItem"]  # Scan: to find the oldest row if the watermark is lost
        function.allow([f"dynamodb:{action}" for action in actions], due.table_arn)
        function.allow(["sqs:SendMessage"], set_aside.queue_arn)
        allow_key(function, stage=self._stage, data=Data.MESSAGES, service="sqs", actions=ENCRYPT)
        fired = [c for c in catalogue().values() if c.contract.timer]
        backbone = BackboneAccess(scope, stage=self._stage)
        backbone.allow_append(function, fired, reads_openings=True)
        backbone.allow_proving(function, FIRE_TIMERS)
        backbone.allow_checking_proofs(function)
        self._each_minute(scope, function, "fire-timers")
        self._add_schedule_alarms(
            function, "fire-timers", fails="some timers cannot be fired", silent="timers are not fired"
        )
        name = self._stage.names.of("fire-timers")
        alarm(
            self,
            "FireTimersNotProven",
            name=f"{name}-not-proven",
            metric=own_metric(self._stage, "fire-timers", observability.NOT_PROVEN),
            at_least=1,
            minutes=1,
            meaning="A row in the due table was not written by the consumer that it names. It was not recorded.",
            topic=self._alarms,
        )
        alarm(
            self,
            "FireTimersLate",
            name=f"{name}-late",
            metric=own_metric(self._stage, "fire-timers", observability.LATENESS, statistic="max"),
            at_least=_ALLOWED_LATENESS,
            minutes=1,
            meaning=f"A timer was fired {_ALLOWED_LATENESS // 1000} s or more after its scheduled time.",
            topic=self._alarms,
        )

    def _control_consumers(self) -> None:
        scope = Construct(self, "ControlConsumers")
        function = self._function(scope, "control-consumers", environment={})
        backbone = BackboneAccess(scope, stage=self._stage)
        backbone.allow_switches(function)
        backbone.allow_register(function)
        # Listing mappings has no resource-level permissions. The condition limits updates to mappings of this stage
        # (https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html).
        function.allow(["lambda:ListEventSourceMappings"], "*")
        ours = self.format_arn(
            service="lambda",
            resource="function",
            resource_name=self._stage.names.of("*"),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        mappings = self.format_arn(
            service="lambda",
            resource="event-source-mapping",
            resource_name="*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["lambda:UpdateEventSourceMapping"],
                resources=[mappings],
                conditions=None if self._stage.is_local else {"ArnLike": {"lambda:FunctionArn": ours}},
            )
        )
        every_mapping = "arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:event-source-mapping:*"
        Validations.of(function.role or function).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_mapping}]",
                reason="Mappings have random ids; the condition limits this to mappings of the stage's functions.",
            ),
        )
        self._each_minute(scope, function, "control-consumers")
        self._add_schedule_alarms(
            function,
            "control-consumers",
            fails="some event source mappings cannot be switched on or off",
            silent="paused consumers may still receive messages, and stopped consumers stay stopped",
        )

    def _each_minute(self, scope: Construct, function: Function, name: str) -> None:
        schedule = events.Rule(
            scope,
            "Schedule",
            rule_name=self._stage.names.of(name),
            schedule=events.Schedule.rate(MINUTE),
            targets=[targets.LambdaFunction(function)],
        )
        Validations.of(schedule).acknowledge(
            Acknowledgment(
                id="Serverless::Serverless-EventBusDLQ",
                reason="The next run, one minute later, does the work of a run that was not started.",
            )
        )

    def _add_schedule_alarms(self, function: Function, consumer: str, *, fails: str, silent: str) -> None:
        name = self._stage.names.of(consumer)
        construct_id = "".join(word.capitalize() for word in consumer.split("-"))
        alarm(
            self,
            f"{construct_id}Errors",
            name=f"{name}-errors",
            metric=function.metric_errors(period=MINUTE, statistic="sum"),
            at_least=1,
            minutes=3,
            meaning=f"{name} failed in each of the last 3 minutes: {fails}.",
            topic=self._alarms,
        )
        silence_alarm(
            self,
            f"{construct_id}Silent",
            name=f"{name}-silent",
            metric=function.metric_invocations(period=MINUTE, statistic="sum"),
            minutes=5,
            breaching=not self._stage.is_local,
            meaning=f"{name} did not run in the last 5 minutes: {silent}.",
            topic=self._alarms,
        )

    def _record_dead_letters(self) -> Function:
        scope = Construct(self, "RecordDeadLetters")
        bodies = bucket(scope, "Bodies", stage=self._stage)
        accept(
            bodies,
            "It has the bodies of dead letters that are too long for the ledger, until operators decide about them.",
            "S3BucketReplicationEnabled",
        )
        function = self._function(
            scope,
            "record-dead-letters",
            environment={BODIES: bodies.bucket_name},
            timeout=self._stage.function_timeout,
        )
        BackboneAccess(scope, stage=self._stage).allow_dead_letters(function)
        function.allow(["s3:PutObject"], bodies.arn_for_objects("dead/*"))
        queues = self._stage.names.dead_letters("*")
        function.allow([*RECEIVE_ACTIONS], self.format_arn(service="sqs", resource=queues))
        allow_key(function, stage=self._stage, data=Data.MESSAGES, service="sqs", actions=DECRYPT)
        allow_key(function, stage=self._stage, data=Data.OBJECTS, service="s3", actions=ENCRYPT)
        every_queue = f"arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:{queues}"
        every_body = f"<{self.get_logical_id(cast('CfnElement', bodies.node.default_child))}.Arn>/dead/*"
        Validations.of(function.role or function).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_queue}]",
                reason="record-dead-letters reads the dead-letter queues of all services, also of future ones.",
            ),
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_body}]",
                reason="Objects are named by their hash; the function may write under one prefix of its own bucket.",
            ),
        )
        return function

    def _watch_ledger(self) -> None:
        scope = Construct(self, "WatchLedger")
        name = "watch-ledger"
        function = self._function(scope, name, environment={})
        mapping = lambda_.EventSourceMapping(
            scope,
            "Mapping",
            target=function,
            event_source_arn=_allow_change_stream(function, self._ledger),
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            bisect_batch_on_error=True,
            filters=[lambda_.FilterCriteria.filter(dict(pattern)) for pattern in FILTERS],
        )
        Validations.of(mapping).acknowledge(
            Acknowledgment(
                id="Serverless::Serverless-LambdaEventSourceMappingDestination",
                reason="A batch is retried while the change stream keeps it, and an alarm goes off. An audit finds the "
                "rest.",
            )
        )
        alarm(
            self,
            "LedgerTampered",
            name=f"{self._stage.names.of(name)}-tampered",
            metric=own_metric(self._stage, name, observability.TAMPERED),
            at_least=1,
            minutes=1,
            meaning="A row of the ledger was changed or deleted in a way in which no code of this system does it.",
            topic=self._alarms,
        )
        alarm(
            self,
            "WatchLedgerErrors",
            name=f"{self._stage.names.of(name)}-errors",
            metric=function.metric_errors(period=MINUTE, statistic="sum"),
            at_least=1,
            minutes=3,
            meaning=f"{name} failed in each of the last 3 minutes: illegal changes of the ledger are not reported.",
            topic=self._alarms,
        )

    def _add_publish_alarms(self, function: Function) -> None:
        name = self._stage.names.of("publish")
        alarm(
            self,
            "PublishLag",
            name=f"{name}-lag",
            metric=function.metric("IteratorAge", period=MINUTE, statistic="max"),
            at_least=_ALLOWED_LAG,
            minutes=5,
            meaning=f"Events are published {_ALLOWED_LAG // 1000} s or more after they were stored. The change stream "
            "keeps them for 24 hours; after that they must be republished.",
            topic=self._alarms,
        )
        throttled_alarm(self, "PublishThrottled", name=name, function=function, topic=self._alarms)
        alarm(
            self,
            "StoreTampered",
            name=f"{name}-tampered",
            metric=own_metric(self._stage, "publish", observability.TAMPERED),
            at_least=1,
            minutes=1,
            meaning="An event in the store was changed or deleted. No code of this system does that.",
            topic=self._alarms,
        )
        alarm(
            self,
            "StoreNotProven",
            name=f"{name}-not-proven",
            metric=own_metric(self._stage, "publish", observability.NOT_PROVEN),
            at_least=1,
            minutes=1,
            meaning="An event in the store was not recorded by the function that it names. It was not published.",
            topic=self._alarms,
        )


def _for_checking(set_aside: sqs.Queue) -> dict[str, str]:
    """The environment of a function that checks proofs: which events only timers record, and where the others go."""
    return {DEAD_LETTERS: set_aside.queue_url, TIMERS: json.dumps(sorted(catalogue().timers))}


def _allow_change_stream(function: Function, table: dynamodb.Table) -> str:
    """Allow a function's event source mapping to read the change stream of a table. Returns the stream's ARN."""
    stream = str(table.table_stream_arn)
    function.allow(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], stream)
    function.allow(["dynamodb:ListStreams"], stream)
    return stream
