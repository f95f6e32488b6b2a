"""The backbone's stack: the ingress bus, and the backbone's functions."""

import json
from collections.abc import Mapping
from typing import cast

import jsii
from aws_cdk import Acknowledgment, ArnFormat, CfnElement, Duration, Stack, Validations
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
from daybook.constructs.alarms import MINUTE, StageAlarms
from daybook.constructs.backbone_access import BackboneAccess
from daybook.constructs.buckets import bucket
from daybook.constructs.dashboard import stage_dashboard
from daybook.constructs.data_stack import backbone_table, bus_arn, change_stream
from daybook.constructs.findings import accept, accept_without_own_keys
from daybook.constructs.function import Function
from daybook.constructs.keys import DECRYPT, ENCRYPT, Data, allow_key, own_key
from daybook.constructs.layer import packages
from daybook.constructs.listener import Listener, dead_letter_queue
from daybook.constructs.producers import add_producer_policies, event_types, ingress_statements, origins
from daybook.constructs.senders import restrict_queue, set_bus_policy
from daybook.constructs.stage import Stage
from daybook.contracts.proof import ADMIT, FIRE_TIMERS
from daybook.runtime.settings import BODIES, DEAD_LETTERS, ORIGINS, SHARED, TIMERS

# Matches all events: each has a source. A narrower pattern would drop events silently.
_ALL_EVENTS = events.EventPattern(source=events.Match.prefix(""))


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
        self._code = bundle.backbone_code(stage=stage)
        self._layers = packages(self, stage=stage)
        self._alarms = self._alarm_topic()
        recorder = self._record_dead_letters()
        admit = self._admit()
        publish = self._publish()
        scheduled = {
            "fire-timers": (self._fire_timers(), "some timers are not fired"),
            "control-consumers": (self._control_consumers(), "paused consumers may receive, stopped ones stay stopped"),
            "record-dead-letters": (recorder, "dead letters wait in their queues, and no command shows them"),
        }
        tables = {name: backbone_table(self, name) for name in (names.store, names.ledger, names.due)}
        StageAlarms(
            self,
            stage=stage,
            topic=self._alarms,
            store=tables[names.store],
            publish=publish,
            watch_ledger=self._watch_ledger(),
            scheduled=scheduled,
        )
        stage_dashboard(self, stage=stage, admit_queue=admit.queue, publish=publish, tables=list(tables.values()))

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
            bus=ingress.event_bus_name,
            pattern=_ALL_EVENTS,
            handler=f"{application().services}.admission.admit.handler",
            code=self._code,
            layers=self._layers,
            environment={ORIGINS: origins(self, self._stage)},
            audit=True,
        )
        backbone = BackboneAccess(self, stage=self._stage)
        backbone.allow_ledger(listener.function, "admit")
        external = [c for c in catalogue().values() if c.contract.sources]
        types = event_types(external)
        arn = bus_arn(self, names.ingress_bus)
        set_bus_policy(ingress, *ingress_statements(self, stage=self._stage, types=types, bus=arn))
        add_producer_policies(Construct(self, "Producers"), stage=self._stage, types=types, bus=arn)
        backbone.allow_append(listener.function, external, reads_openings=True)
        backbone.allow_proving(listener.function, ADMIT)
        return listener

    def _publish(self) -> Function:
        """Two functions put events on the event bus: `publish` from the change stream, `republish` from the journal.

        `republish` needs no alarm of its own: only operators invoke it, and `daybook publish` reports a failed
        invocation to them.
        """
        scope = Construct(self, "Publish")
        set_aside = dead_letter_queue(scope, stage=self._stage, consumer="publish")
        restrict_queue(set_aside, stage=self._stage, consumers=["publish", "republish"])
        function = self._bus_writer(scope, "publish", set_aside)
        BackboneAccess(scope, stage=self._stage).allow_reading_by_time(
            self._bus_writer(Construct(self, "Republish"), "republish", set_aside)
        )
        stream = _allow_change_stream(function, self._stage.names.store)
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
        return function

    def _bus_writer(self, scope: Construct, name: str, set_aside: sqs.Queue) -> Function:
        shared = json.dumps(sorted(c.contract.type for c in catalogue().values() if c.contract.shared))
        function = self._function(scope, name, environment={**_for_checking(set_aside), SHARED: shared})
        BackboneAccess(Construct(scope, "Proofs"), stage=self._stage).allow_checking_proofs(function)
        function.allow(["events:PutEvents"], bus_arn(self, self._stage.names.event_bus))
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

    def _fire_timers(self) -> Function:
        scope = Construct(self, "FireTimers")
        set_aside = dead_letter_queue(scope, stage=self._stage, consumer="fire-timers")
        restrict_queue(set_aside, stage=self._stage, consumers=["fire-timers"])
        function = self._function(scope, "fire-timers", environment=_for_checking(set_aside))
        actions = ["Query", "Scan", "PutItem", "DeleteItem"]  # Scan: to find the oldest row if the watermark is lost
        due = self.format_arn(service="dynamodb", resource="table", resource_name=self._stage.names.due)
        function.allow([f"dynamodb:{action}" for action in actions], due)
        function.allow(["sqs:SendMessage"], set_aside.queue_arn)
        allow_key(function, stage=self._stage, data=Data.MESSAGES, service="sqs", actions=ENCRYPT)
        fired = [c for c in catalogue().values() if c.contract.timer]
        backbone = BackboneAccess(scope, stage=self._stage)
        backbone.allow_append(function, fired, reads_openings=True)
        backbone.allow_proving(function, FIRE_TIMERS)
        backbone.allow_checking_proofs(function)
        self._each_minute(scope, function, "fire-timers")
        return function

    def _control_consumers(self) -> Function:
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
        queues = self._stage.names.of("*")
        function.allow(["sqs:ListQueues", "cloudwatch:GetMetricData"], "*")  # they have no resource types
        function.allow(["sqs:GetQueueAttributes"], self.format_arn(service="sqs", resource=queues))
        every_queue = f"arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:{queues}"
        every_mapping = "arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:event-source-mapping:*"
        Validations.of(function.role or function).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_mapping}]",
                reason="Mappings have random ids; the condition limits this to mappings of the stage's functions.",
            ),
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_queue}]",
                reason="control-consumers counts the messages in the queues of all services, also of future ones.",
            ),
        )
        self._each_minute(scope, function, "control-consumers")
        return function

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
            timeout=self._stage.dead_letters_timeout,
        )
        BackboneAccess(scope, stage=self._stage).allow_dead_letters(function)
        function.allow(["s3:PutObject"], bodies.arn_for_objects("dead/*"))
        queues = self._stage.names.dead_letters("*")
        function.allow(["sqs:ReceiveMessage", "sqs:DeleteMessage"], self.format_arn(service="sqs", resource=queues))
        function.allow(["sqs:ListQueues"], "*")
        self._each_minute(scope, function, "record-dead-letters")
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

    def _watch_ledger(self) -> Function:
        scope = Construct(self, "WatchLedger")
        name = "watch-ledger"
        function = self._function(scope, name, environment={})
        mapping = lambda_.EventSourceMapping(
            scope,
            "Mapping",
            target=function,
            event_source_arn=_allow_change_stream(function, self._stage.names.ledger),
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
        return function


def _for_checking(set_aside: sqs.Queue) -> dict[str, str]:
    """The environment of a function that checks proofs: which events only timers record, and where the others go."""
    return {DEAD_LETTERS: set_aside.queue_url, TIMERS: json.dumps(sorted(catalogue().timers))}


def _allow_change_stream(function: Function, table: str) -> str:
    """Allow a function's event source mapping to read the change stream of a table. Returns the stream's ARN."""
    stream = change_stream(table)
    function.allow(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], stream)
    # It has no resource types (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html).
    function.allow(["dynamodb:ListStreams"], "*")
    return stream
