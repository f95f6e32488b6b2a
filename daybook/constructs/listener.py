"""A listener: rule → queue (with dead-letter queue) → function, and the alarms on them."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from daybook.constructs.alarms import MINUTE, alarm, throttled_alarm
from daybook.constructs.function import Function
from daybook.constructs.keys import DECRYPT, ENCRYPT, Data, allow_key, encrypt_queue
from daybook.constructs.senders import restrict_queue
from daybook.constructs.stage import Stage
from daybook.runtime import observability
from daybook.runtime.settings import DEAD_LETTERS, QUEUE, RETRY

# SQS's maximum retention. The default is 4 days.
RETENTION = Duration.days(14)

# The permissions that an event source mapping needs in its function's role.
RECEIVE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

NO_DESTINATION = Acknowledgment(
    id="Serverless::Serverless-LambdaEventSourceMappingDestination",
    reason="An SQS mapping has no failure destination: the queue's redrive policy is used instead.",
)

_ALLOWED_DELAY = 300  # seconds; an alarm goes off when the oldest message has waited longer


def dead_letter_queue(scope: Construct, *, stage: Stage, consumer: str, alarms: sns.ITopic) -> sqs.Queue:
    """The dead-letter queue of a consumer and its rule, with alarms. record-dead-letters receives its messages, and
    records them in the ledger. Restrict it to its senders (restrict_queue).
    """
    queue = sqs.Queue(
        scope,
        "DeadLetters",
        queue_name=stage.names.dead_letters(consumer),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=RETENTION,
    )
    encrypt_queue(queue, stage=stage)
    Validations.of(queue).acknowledge(
        Acknowledgment(id="AwsSolutions-SQS3", reason="This is the dead-letter queue."),
        Acknowledgment(id="Serverless-SQSRedrivePolicy", reason="This is the dead-letter queue."),
    )
    mapping = lambda_.EventSourceMapping(
        scope,
        "RecordDeadLettersMapping",
        target=lambda_.Function.from_function_name(scope, "RecordDeadLetters", stage.names.of("record-dead-letters")),
        event_source_arn=queue.queue_arn,
        batch_size=10,
        max_concurrency=2,
        report_batch_item_failures=True,
    )
    Validations.of(mapping).acknowledge(NO_DESTINATION)
    name = stage.names.of(consumer)
    alarm(
        scope,
        "Dead",
        name=f"{name}-dead",
        metric=own_metric(stage, consumer, observability.DEAD_LETTERS_RECORDED),
        at_least=1,
        minutes=1,
        meaning=f"{name} could not process a message. The ledger has the dead letter, with the reason.",
        topic=alarms,
    )
    alarm(
        scope,
        "NotRecorded",
        name=f"{name}-not-recorded",
        metric=queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="max"),
        at_least=_ALLOWED_DELAY,
        minutes=1,
        meaning=f"A dead letter of {name} has waited {_ALLOWED_DELAY} s or more: record-dead-letters may be failing.",
        topic=alarms,
    )
    return queue


def own_metric(stage: Stage, consumer: str, name: str, statistic: str = "sum") -> cloudwatch.Metric:
    """A metric that a function emits itself, minute by minute."""
    return cloudwatch.Metric(
        namespace=observability.NAMESPACE,
        metric_name=name,
        dimensions_map={"stage": stage.name, "service": consumer},
        statistic=statistic,
        period=MINUTE,
    )


class Listener(Construct):
    """Connects a bus to one consumer's function. Each listener scales, fails, is paused and is deployed on its own."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        consumer: str,
        bus: events.IEventBus,
        pattern: events.EventPattern,
        handler: str,
        code: lambda_.Code,
        layers: list[lambda_.ILayerVersion],
        environment: Mapping[str, str],
        alarms: sns.ITopic,
        timeout: Duration | None = None,
        batch_size: int = 10,
        audit: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self.consumer = consumer
        name = stage.names.of(consumer)
        timeout = timeout or stage.function_timeout
        self.dead_letters = dead_letter_queue(self, stage=stage, consumer=consumer, alarms=alarms)
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=RETENTION,
            visibility_timeout=stage.visibility_timeout(timeout),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=stage.deliveries),
        )
        encrypt_queue(self.queue, stage=stage)
        rule = events.Rule(
            self,
            "Rule",
            rule_name=name,
            event_bus=bus,
            event_pattern=pattern,
            targets=[
                targets.SqsQueue(
                    self.queue,
                    dead_letter_queue=self.dead_letters,
                    max_event_age=Duration.hours(24),
                    retry_attempts=185,
                )
            ],
        )
        self.function = Function(
            self,
            "Function",
            stage=stage,
            consumer=consumer,
            handler=handler,
            code=code,
            layers=layers,
            environment={
                QUEUE: self.queue.queue_url,
                DEAD_LETTERS: self.dead_letters.queue_url,
                RETRY: stage.retry.to_json(),
                **environment,
            },
            timeout=timeout,
            audit=audit,
        )
        mapping = lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=self.function,
            event_source_arn=self.queue.queue_arn,
            batch_size=batch_size,
            max_concurrency=stage.concurrency_of(consumer),
            report_batch_item_failures=True,
        )
        Validations.of(mapping).acknowledge(NO_DESTINATION)
        self.function.allow([*RECEIVE_ACTIONS], self.queue.queue_arn)
        self.function.allow(["sqs:SendMessage"], self.dead_letters.queue_arn)
        allow_key(self.function, stage=stage, data=Data.MESSAGES, service="sqs", actions=ENCRYPT)
        allow_key(self.function, stage=stage, data=Data.EVENTS, service="dynamodb", actions=DECRYPT)
        restrict_queue(self.queue, stage=stage, rules=[rule])
        restrict_queue(self.dead_letters, stage=stage, rules=[rule], consumers=[consumer], dead_letters_of=consumer)
        self._add_alarms(stage, consumer, alarms)

    def widgets(self) -> list[cloudwatch.IWidget]:
        """The consumer's row on its service's dashboard."""
        name = self.function.function_name
        title = self.node.id
        return [
            cloudwatch.GraphWidget(
                title=f"{title}: waiting, dead",
                width=8,
                left=[
                    self.queue.metric_approximate_number_of_messages_visible(period=MINUTE, label="waiting"),
                    self.queue.metric_approximate_number_of_messages_not_visible(period=MINUTE, label="in flight"),
                    self.dead_letters.metric_approximate_number_of_messages_visible(period=MINUTE, label="dead"),
                ],
            ),
            cloudwatch.GraphWidget(
                title=f"{title}: age of the oldest message",
                width=8,
                left=[self.queue.metric_approximate_age_of_oldest_message(period=MINUTE, label="seconds")],
            ),
            cloudwatch.GraphWidget(
                title=f"{title}: invocations",
                width=8,
                left=[
                    self.function.metric_invocations(period=MINUTE, label="invocations"),
                    self.function.metric_errors(period=MINUTE, label="errors"),
                    self.function.metric_throttles(period=MINUTE, label="throttles"),
                ],
                right=[self.function.metric_duration(period=MINUTE, statistic="p99", label=f"{name} p99 (ms)")],
            ),
        ]

    def _add_alarms(self, stage: Stage, consumer: str, topic: sns.ITopic) -> None:
        name = stage.names.of(consumer)
        alarm(
            self,
            "TooOld",
            name=f"{name}-too-old",
            metric=self.queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="max"),
            at_least=_ALLOWED_DELAY,
            minutes=5,
            meaning=f"The oldest message of {name} has waited {_ALLOWED_DELAY} s or more: it fails, or is too slow.",
            topic=topic,
        )
        throttled_alarm(self, "Throttled", name=name, function=self.function, topic=topic)
