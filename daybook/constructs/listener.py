"""A listener: rule → queue (with dead-letter queue) → function."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from daybook.constructs.alarms import MINUTE
from daybook.constructs.function import Function
from daybook.constructs.keys import DECRYPT, ENCRYPT, Data, allow_key, encrypt_queue
from daybook.constructs.senders import restrict_queue, rule_arn
from daybook.constructs.stage import Stage
from daybook.constructs.targets import Target, wait_for_policies
from daybook.runtime.settings import DEAD_LETTERS, QUEUE, RETRY

# SQS's maximum retention. The default is 4 days.
RETENTION = Duration.days(14)

# The permissions that an event source mapping needs in its function's role.
RECEIVE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

NO_DESTINATION = Acknowledgment(
    id="Serverless::Serverless-LambdaEventSourceMappingDestination",
    reason="An SQS mapping has no failure destination: the queue's redrive policy is used instead.",
)


def dead_letter_queue(scope: Construct, *, stage: Stage, consumer: str) -> sqs.Queue:
    """The dead-letter queue of a consumer and its rule. record-dead-letters receives its messages, and records them in
    the ledger. Restrict it to its senders (restrict_queue).
    """
    queue = sqs.Queue(
        scope,
        "DeadLetters",
        queue_name=stage.names.dead_letters(consumer),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=RETENTION,
        visibility_timeout=Duration.seconds(stage.dead_letters_timeout.to_seconds() * 3 // 2),
    )
    encrypt_queue(queue, stage=stage)
    Validations.of(queue).acknowledge(
        Acknowledgment(id="AwsSolutions-SQS3", reason="This is the dead-letter queue."),
        Acknowledgment(id="Serverless-SQSRedrivePolicy", reason="This is the dead-letter queue."),
    )
    return queue


class Listener(Construct):
    """Connects a bus to one consumer's function. Each listener scales, fails, is paused and is deployed on its own."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        consumer: str,
        bus: str,
        pattern: events.EventPattern,
        handler: str,
        code: lambda_.Code,
        layers: list[lambda_.ILayerVersion],
        environment: Mapping[str, str],
        timeout: Duration | None = None,
        batch_size: int = 10,
        audit: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self.consumer = consumer
        name = stage.names.of(consumer)
        timeout = timeout or stage.function_timeout
        self.dead_letters = dead_letter_queue(self, stage=stage, consumer=consumer)
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
        by_name = events.EventBus.from_event_bus_name(self, "Bus", bus)
        rule = events.Rule(
            self,
            "Rule",
            rule_name=name,
            event_bus=by_name,
            event_pattern=pattern,
            targets=[Target(self.queue.queue_arn, self.dead_letters)],
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
        arn = rule_arn(self, stage, consumer, bus)
        restrict_queue(self.queue, stage=stage, rules=[arn])
        restrict_queue(self.dead_letters, stage=stage, rules=[arn], consumers=[consumer], dead_letters_of=consumer)
        wait_for_policies(rule, self.queue, self.dead_letters)

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
