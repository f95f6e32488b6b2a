"""The backbone: two buses, the event store, the ledger, and the functions that keep them."""

from typing import cast

import jsii
from aws_cdk import Acknowledgment, ArnFormat, CfnElement, Duration, Stack, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from daybook.application import application, catalogue
from daybook.constructs import bundle
from daybook.constructs.alarms import MINUTE, alarm, silence_alarm
from daybook.constructs.backbone_access import BackboneAccess
from daybook.constructs.function import Function
from daybook.constructs.layer import packages
from daybook.constructs.listener import FROM_QUEUE, Listener, dead_letter_queue, own_metric
from daybook.constructs.stage import Stage
from daybook.constructs.tables import table
from daybook.runtime import observability
from daybook.runtime.settings import BODIES, DEAD_LETTERS
from daybook.store import event_store as store
from daybook.store import ledger, timers

# Every EventBridge event has a source. A filter here would drop without a word.
_EVERYTHING = events.EventPattern(source=events.Match.prefix(""))

_ALLOWED_LATENESS = 300_000  # milliseconds from a timer's time to its event's recording
_ALLOWED_LAG = 60_000  # milliseconds from recording to publishing


@jsii.implements(lambda_.IEventSourceDlq)
class _ToQueue:
    """A queue that is told of batches that were given up. CDK's own would grant more than sending."""

    def __init__(self, queue_arn: str) -> None:
        self._queue_arn = queue_arn

    def bind(
        self,
        target: lambda_.IEventSourceMapping,  # noqa: ARG002 - the protocol's
        target_handler: lambda_.IFunction,  # noqa: ARG002 - the protocol's
    ) -> lambda_.DlqDestinationConfig:
        """The queue as a destination."""
        return lambda_.DlqDestinationConfig(destination=self._queue_arn)


class Backbone(Stack):
    """Everything that all services stand on. They find it by its names."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        names = stage.names
        super().__init__(scope, names.of("backbone"), description=f"Daybook, {stage.name}: backbone")
        self._stage = stage
        self._code = bundle.backbone_code()
        self._layers = packages(self, stage=stage)
        self._alarms = self._alarm_topic()
        self._event_bus = events.EventBus(
            self, "EventBus", event_bus_name=names.event_bus, description="Every stored event; rules listen here"
        )
        self._store = self._event_store()
        table(self, "Ledger", stage=stage, name=names.ledger, schema=ledger.SCHEMA)
        recorder = self._record_dead_letters()
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=names.of("backbone"))
        dashboard.add_widgets(*self._admit().widgets())
        dashboard.add_widgets(*self._publish())
        self._fire_timers()
        self._control_consumers()
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
        )
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
                    reason="SNS tries mail again by itself, and nobody would look for an alarm in a queue.",
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
            # Both images: what stood there before is the evidence, should someone change the past.
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
        )

    def _admit(self) -> Listener:
        names = self._stage.names
        ingress = events.EventBus(
            self, "IngressBus", event_bus_name=names.ingress_bus, description="The front door; only admit listens here"
        )
        listener = Listener(
            self,
            "Admit",
            stage=self._stage,
            consumer="admit",
            bus=ingress,
            pattern=_EVERYTHING,
            handler=f"{application().services}.admission.admit.handler",
            code=self._code,
            layers=self._layers,
            environment={},
            alarms=self._alarms,
        )
        backbone = BackboneAccess(self, stage=self._stage)
        backbone.allow_ledger(listener.function)
        from_outside = [c for c in catalogue().values() if c.contract.sources]
        backbone.allow_append(listener.function, from_outside, looks_at_openings=True)
        return listener

    def _publish(self) -> list[cloudwatch.IWidget]:
        """Two functions put events on the event bus: `publish` from the change stream, `republish` from the journal."""
        scope = Construct(self, "Publish")
        set_aside = dead_letter_queue(scope, stage=self._stage, consumer="publish", alarms=self._alarms)
        function = self._bus_writer(scope, "publish", set_aside)
        BackboneAccess(scope, stage=self._stage).allow_reading_by_time(
            self._bus_writer(Construct(self, "Republish"), "republish", set_aside)
        )
        stream = str(self._store.table_stream_arn)
        function.allow(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], stream)
        function.allow(["dynamodb:ListStreams"], stream)
        lambda_.EventSourceMapping(
            scope,
            "Mapping",
            target=function,
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            # Ten batches of a shard at once; a stream stays with one, and so in order.
            parallelization_factor=10,
            # A batch that fails is halved until what is to blame stands alone. It is tried for as long as the stream
            # keeps it, but for the last hour: so the queue is told of what is given up while it can still be read.
            max_record_age=Duration.hours(23),
            bisect_batch_on_error=True,
            on_failure=_ToQueue(set_aside.queue_arn),
        )
        self._watch_publish(function)
        return [
            cloudwatch.GraphWidget(
                title="Publish: lag",
                width=12,
                left=[function.metric("IteratorAge", period=MINUTE, statistic="max", label="milliseconds")],
            ),
            cloudwatch.GraphWidget(
                title="Publish: runs",
                width=12,
                left=[
                    function.metric_invocations(period=MINUTE, label="invocations"),
                    function.metric_errors(period=MINUTE, label="errors"),
                    function.metric_throttles(period=MINUTE, label="throttles"),
                ],
            ),
        ]

    def _bus_writer(self, scope: Construct, name: str, set_aside: sqs.Queue) -> Function:
        function = Function(
            scope,
            "Function",
            stage=self._stage,
            consumer=name,
            handler=f"daybook.backbone.{name}.handler",
            code=self._code,
            layers=self._layers,
            environment={DEAD_LETTERS: set_aside.queue_url},
            timeout=Duration.seconds(60),
        )
        function.allow(["events:PutEvents"], self._event_bus.event_bus_arn)
        function.allow(["sqs:SendMessage"], set_aside.queue_arn)
        return function

    def _fire_timers(self) -> None:
        scope = Construct(self, "FireTimers")
        name = self._stage.names.due
        due = table(scope, "Due", stage=self._stage, name=name, schema=timers.SCHEMA)
        set_aside = dead_letter_queue(scope, stage=self._stage, consumer="fire-timers", alarms=self._alarms)
        function = Function(
            scope,
            "Function",
            stage=self._stage,
            consumer="fire-timers",
            handler="daybook.backbone.fire_timers.handler",
            code=self._code,
            layers=self._layers,
            environment={DEAD_LETTERS: set_aside.queue_url},
            timeout=Duration.seconds(60),
        )
        on_timers = ["Query", "Scan", "PutItem", "DeleteItem"]  # Scan: where to begin, when the watermark is lost
        function.allow([f"dynamodb:{action}" for action in on_timers], due.table_arn)
        function.allow(["sqs:SendMessage"], set_aside.queue_arn)
        fired = [c for c in catalogue().values() if c.contract.timer]
        BackboneAccess(scope, stage=self._stage).allow_append(function, fired, looks_at_openings=True)
        self._each_minute(scope, function, "fire-timers")
        self._watch_scheduled(function, "fire-timers", fails="some timers cannot be fired", silent="no timer is fired")
        name = self._stage.names.of("fire-timers")
        alarm(
            self,
            "FireTimersLate",
            name=f"{name}-late",
            metric=own_metric(self._stage, "fire-timers", observability.LATENESS, statistic="max"),
            at_least=_ALLOWED_LATENESS,
            minutes=1,
            meaning=f"A timer was fired {_ALLOWED_LATENESS // 1000} s or more after its time.",
            topic=self._alarms,
        )

    def _control_consumers(self) -> None:
        scope = Construct(self, "ControlConsumers")
        function = Function(
            scope,
            "Function",
            stage=self._stage,
            consumer="control-consumers",
            handler="daybook.backbone.control_consumers.handler",
            code=self._code,
            layers=self._layers,
            environment={},
            timeout=Duration.seconds(60),
        )
        BackboneAccess(scope, stage=self._stage).allow_switches(function)
        # Listing takes no resource, and changing is narrowed by the function that a mapping belongs to
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
                conditions=None if self._stage.on_laptop else {"ArnLike": {"lambda:FunctionArn": ours}},
            )
        )
        every_mapping = "arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:event-source-mapping:*"
        Validations.of(function.role or function).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_mapping}]",
                reason="Lambda names mappings by chance; the condition narrows it to those of the stage's functions.",
            ),
        )
        self._each_minute(scope, function, "control-consumers")
        self._watch_scheduled(
            function,
            "control-consumers",
            fails="some mappings cannot be switched",
            silent="paused is not off, and off stays off",
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
                reason="The next minute's run does all that one did not which was never started.",
            )
        )

    def _watch_scheduled(self, function: Function, what: str, *, fails: str, silent: str) -> None:
        name = self._stage.names.of(what)
        construct_id = "".join(word.capitalize() for word in what.split("-"))
        alarm(
            self,
            f"{construct_id}Errors",
            name=f"{name}-errors",
            metric=function.metric_errors(period=MINUTE, statistic="sum"),
            at_least=1,
            minutes=3,
            meaning=f"{name} has failed in each of 3 minutes: {fails}.",
            topic=self._alarms,
        )
        silence_alarm(
            self,
            f"{construct_id}Silent",
            name=f"{name}-silent",
            metric=function.metric_invocations(period=MINUTE, statistic="sum"),
            minutes=5,
            breaching=not self._stage.on_laptop,
            meaning=f"{name} has not run for 5 minutes: {silent}.",
            topic=self._alarms,
        )

    def _record_dead_letters(self) -> Function:
        scope = Construct(self, "RecordDeadLetters")
        bodies = s3.Bucket(
            scope,
            "Bodies",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            removal_policy=self._stage.table_removal,
        )
        Validations.of(bodies).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-S1",
                reason="Only bury writes and only operators read here; what they do stands in the ledger.",
            )
        )
        function = Function(
            scope,
            "Function",
            stage=self._stage,
            consumer="record-dead-letters",
            handler="daybook.backbone.record_dead_letters.handler",
            code=self._code,
            layers=self._layers,
            environment={BODIES: bodies.bucket_name},
            timeout=self._stage.function_timeout,
        )
        BackboneAccess(scope, stage=self._stage).allow_ledger(function)
        function.allow(["s3:PutObject"], bodies.arn_for_objects("dead/*"))
        queues = self._stage.names.dead_letters("*")
        function.allow([*FROM_QUEUE], self.format_arn(service="sqs", resource=queues))
        every_queue = f"arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:{queues}"
        every_body = f"<{self.get_logical_id(cast('CfnElement', bodies.node.default_child))}.Arn>/dead/*"
        Validations.of(function.role or function).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_queue}]",
                reason="bury drains the dead-letter queues of all services, of those too that are yet to come.",
            ),
            Acknowledgment(
                id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{every_body}]",
                reason="Bodies are named by their hash; bury may write under one prefix of its own bucket.",
            ),
        )
        return function

    def _watch_publish(self, function: Function) -> None:
        name = self._stage.names.of("publish")
        alarm(
            self,
            "PublishLag",
            name=f"{name}-lag",
            metric=function.metric("IteratorAge", period=MINUTE, statistic="max"),
            at_least=_ALLOWED_LAG,
            minutes=5,
            meaning=f"Events lie {_ALLOWED_LAG // 1000} s or more between store and bus; after 24 h all is lost to it.",
            topic=self._alarms,
        )
        alarm(
            self,
            "PublishThrottled",
            name=f"{name}-throttled",
            metric=function.metric_throttles(period=MINUTE, statistic="sum"),
            at_least=1,
            minutes=5,
            meaning=f"Lambda has refused to run {name} in each of 5 minutes: the account's concurrency is used up.",
            topic=self._alarms,
        )
        alarm(
            self,
            "StoreTampered",
            name=f"{name}-tampered",
            metric=own_metric(self._stage, "publish", observability.TAMPERED),
            at_least=1,
            minutes=1,
            meaning="An event in the store was changed or deleted. Nothing in this system does that.",
            topic=self._alarms,
        )
