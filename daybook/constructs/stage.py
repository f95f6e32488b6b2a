"""A stage: one deployment of the whole system, and what differs between stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aws_cdk import App, Duration, RemovalPolicy
from aws_cdk import aws_logs as logs

from daybook.runtime.names import Names
from daybook.runtime.retry import BreakerSettings, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The settings of one stage. All that a stage may vary stands here."""

    name: str
    context: Mapping[str, Any] = field(default_factory=dict)  # what cdk.json and the command line say beside the name

    def __post_init__(self) -> None:
        _ = self.names  # raises BadStage

    @classmethod
    def of(cls, app: App) -> Self:
        """The stage that the app's context names. Raises BadStage."""
        return cls(name=app.node.get_context("stage"), context=app.node.get_all_context())

    def option(self, name: str, default: str = "") -> str:
        """What the context says of something: `-c mail_from=shop@example.org`."""
        return self.context.get(name) or default

    @property
    def alarm_email(self) -> str:
        """Who is told of alarms by mail, besides those who subscribe by themselves."""
        return self.option("alarm_email")

    @property
    def names(self) -> Names:
        """The names that users and tools may rely on."""
        return Names(self.name)

    @property
    def on_laptop(self) -> bool:
        """The local cloud: functions find their packages in the virtual environment, so that no layer is built."""
        return self.name == "local"

    @property
    def keeps_data(self) -> bool:
        """Whether tables outlive their stack, and cannot be deleted by mistake."""
        return self.name not in {"local", "dev"}

    @property
    def table_removal(self) -> RemovalPolicy:
        """What becomes of a table whose stack is deleted."""
        return RemovalPolicy.RETAIN if self.keeps_data else RemovalPolicy.DESTROY

    @property
    def log_retention(self) -> logs.RetentionDays:
        """How long logs are kept. What must be kept for ever is in the event store."""
        return logs.RetentionDays.THREE_MONTHS if self.keeps_data else logs.RetentionDays.ONE_WEEK

    @property
    def concurrency(self) -> int:
        """How many batches of one queue are handled at once. 2 is the least that SQS mappings take; on a laptop each is
        a process.
        """
        return 2 if self.on_laptop else 10

    @property
    def retry(self) -> Retry:
        """How failed deliveries come again: on a laptop within seconds. What an event waits for may itself wait there
        until eighty functions have started at once on two busy cores.
        """
        if self.on_laptop:
            return Retry(tries=3, crashes=2, first=1, longest=4, patience=60)
        return Retry(tries=5, crashes=3, first=30, longest=900, patience=3600)

    @property
    def breaker(self) -> BreakerSettings:
        """How effects leave alone what does not answer: on a laptop for seconds."""
        if self.on_laptop:
            return BreakerSettings(failures=3, first=5, longest=20)
        return BreakerSettings(failures=5, first=60, longest=900)

    def visibility_timeout(self, function_timeout: Duration) -> Duration:
        """After which time a message comes again whose process has died: six times the function's, as AWS advises
        (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html); on a laptop sooner.
        """
        return Duration.seconds((1 if self.on_laptop else 6) * function_timeout.to_seconds())

    @property
    def function_timeout(self) -> Duration:
        """How long one batch of ten may take, conflicts and cold start included."""
        return Duration.seconds(10 if self.on_laptop else 30)

    @property
    def call_timeout(self) -> int:
        """How many seconds an effect waits for one answer from the world outside."""
        return 2 if self.on_laptop else 6

    def effect_timeout(self, calls: int) -> Duration:
        """How long an effect may take that makes so many calls, none of which is answered, with all else that it does:
        the function always outlives its calls, and can note how they ended.
        """
        return Duration.seconds(calls * self.call_timeout + (6 if self.on_laptop else 10))

    @property
    def deliveries(self) -> int:
        """How often SQS delivers a message before it gives it up. Only for what dies before it can note anything: the
        functions count tries themselves, since throttling, pauses and neighbours raise SQS's own count too.
        """
        return 60 if self.on_laptop else 500
