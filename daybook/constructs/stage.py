"""A stage: one deployment of the whole system, with its settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aws_cdk import App, Duration, RemovalPolicy
from aws_cdk import aws_logs as logs

from daybook.runtime.names import Names
from daybook.runtime.retry import BreakerSettings, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The settings of one stage. All differences between stages are defined here."""

    name: str
    context: Mapping[str, Any] = field(default_factory=dict)  # the CDK context, from cdk.json and the command line

    def __post_init__(self) -> None:
        _ = self.names  # raises BadStage

    @classmethod
    def of(cls, app: App) -> Self:
        """The stage in the app's context. Raises BadStage."""
        return cls(name=app.node.get_context("stage"), context=app.node.get_all_context())

    def option(self, name: str, default: str = "") -> str:
        """A value from the CDK context: `-c mail_from=shop@example.org`."""
        return self.context.get(name) or default

    @property
    def alarm_email(self) -> str:
        """The e-mail address that is subscribed to alarms; empty for none."""
        return self.option("alarm_email")

    @property
    def names(self) -> Names:
        """The stage's stable resource names."""
        return Names(self.name)

    @property
    def on_laptop(self) -> bool:
        """Whether it is the local cloud. Functions then use the virtual environment, and no layer is built."""
        return self.name == "local"

    @property
    def keeps_data(self) -> bool:
        """Whether tables are kept when their stack is deleted, and are protected against deletion."""
        return self.name not in {"local", "dev"}

    @property
    def table_removal(self) -> RemovalPolicy:
        """Whether a table is kept or deleted with its stack."""
        return RemovalPolicy.RETAIN if self.keeps_data else RemovalPolicy.DESTROY

    @property
    def log_retention(self) -> logs.RetentionDays:
        """How long logs are kept. The event store, not the log, is the permanent record."""
        return logs.RetentionDays.THREE_MONTHS if self.keeps_data else logs.RetentionDays.ONE_WEEK

    @property
    def concurrency(self) -> int:
        """How many batches of one queue are handled at once. 2 is the minimum of SQS mappings; on a laptop each batch
        is a process.
        """
        return 2 if self.on_laptop else 10

    @property
    def retry(self) -> Retry:
        """The retry settings: on a laptop, retries follow within seconds. The retry window must be long enough for 80
        functions that start at the same time on two busy cores.
        """
        if self.on_laptop:
            return Retry(attempts=3, crashes=2, first=1, longest=4, retry_window=60)
        return Retry(attempts=5, crashes=3, first=30, longest=900, retry_window=3600)

    @property
    def breaker(self) -> BreakerSettings:
        """The circuit breaker settings of effects."""
        if self.on_laptop:
            return BreakerSettings(failures=3, first=5, longest=20)
        return BreakerSettings(failures=5, first=60, longest=900)

    def visibility_timeout(self, function_timeout: Duration) -> Duration:
        """How long a message is hidden while it is handled; it is redelivered after that if its process has died.

        Six times the function's timeout, as AWS recommends
        (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html); on a laptop once.
        """
        return Duration.seconds((1 if self.on_laptop else 6) * function_timeout.to_seconds())

    @property
    def function_timeout(self) -> Duration:
        """How long a batch of ten messages may take, including conflicts and the cold start."""
        return Duration.seconds(10 if self.on_laptop else 30)

    @property
    def call_timeout(self) -> int:
        """How many seconds an effect waits for an answer from an external system."""
        return 2 if self.on_laptop else 6

    def effect_timeout(self, calls: int) -> Duration:
        """The timeout of an effect with that many calls. It is longer than the timeouts of all its calls together, so
        that the function can record how they ended.
        """
        return Duration.seconds(calls * self.call_timeout + (6 if self.on_laptop else 10))

    @property
    def deliveries(self) -> int:
        """The maximum receive count of a queue. It is high, because functions count failed delivery attempts: SQS also
        counts deliveries that end by throttling, by a pause, or by another message of the batch. The limit only ends
        messages whose process dies before it can record a failure.
        """
        return 60 if self.on_laptop else 500
