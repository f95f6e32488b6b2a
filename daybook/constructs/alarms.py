"""CloudWatch alarms: one for each thing that can go wrong in a stage, not one for each consumer, because alarms cost by
the metric. Log lines name the consumer, and so does `daybook status`.

Each alarm notifies the stage's topic when it goes off and when it returns to OK, and names the section of the runbook
that says what to do.
"""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from daybook.constructs.stage import Stage
from daybook.runtime import observability

MINUTE = Duration.minutes(1)
_FIVE_MINUTES = Duration.minutes(5)

# The sections of docs/runbook.md. An alarm's name ends with the name of its section.
_SECTIONS = (
    "dead",
    "not-recorded",
    "too-old",
    "paused",
    "throttled",
    "newer-version",
    "forged",
    "breaker-open",
    "lag",
    "unpublished",
    "undelivered",
    "tampered",
    "not-proven",
    "late",
    "errors",
    "silent",
    "fails",
)

_ALLOWED_LATENESS = 300_000  # milliseconds from a timer's scheduled time to the recording of its event
_ALLOWED_LAG = 60_000  # milliseconds from recording to publishing


class NoSection(ValueError):
    """An alarm's name ends with no section of the runbook. Write the section, and add it to _SECTIONS."""


def own_metric(stage: Stage, name: str, statistic: str = "sum", period: Duration = MINUTE) -> cloudwatch.Metric:
    """A metric that functions emit themselves, added up over the consumers of the stage."""
    return cloudwatch.Metric(
        namespace=observability.NAMESPACE,
        metric_name=name,
        dimensions_map={"stage": stage.name},
        statistic=statistic,
        period=period,
    )


def alarm(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    metric: cloudwatch.IMetric,
    meaning: str,
    topic: sns.ITopic,
    at_least: float = 1,
    periods: int = 1,
    among: int | None = None,
    missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
) -> cloudwatch.Alarm:
    """An alarm that goes off when the metric was `at_least` or more in `periods` of the last `among` periods. Without
    `among`: in each of the last `periods`. Raises NoSection.
    """
    section = next((each for each in _SECTIONS if name.endswith(f"-{each}")), None)
    if section is None:
        raise NoSection(name)
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=f"{meaning} What to do: docs/runbook.md#{section}",
        metric=metric,
        threshold=at_least,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluation_periods=among or periods,
        datapoints_to_alarm=periods if among else None,
        treat_missing_data=missing,
    )
    made.add_alarm_action(actions.SnsAction(topic))
    made.add_ok_action(actions.SnsAction(topic))
    return made


class StageAlarms(Construct):
    """The alarms of a stage. `scheduled` are the functions that run each minute, and what is missing without them."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        topic: sns.ITopic,
        store: dynamodb.ITable,
        publish: lambda_.IFunction,
        watch_ledger: lambda_.IFunction,
        scheduled: Mapping[str, tuple[lambda_.IFunction, str]],
    ) -> None:
        super().__init__(scope, "StageAlarms")
        self._stage = stage
        self._topic = topic
        self._on_own_metrics()
        self._on_publishing(store, publish)
        self._on_lambda(watch_ledger, scheduled)

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        meaning: str,
        *,
        at_least: float = 1,
        periods: int = 1,
        among: int | None = None,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        if self._stage.is_local and isinstance(metric, cloudwatch.MathExpression):
            return  # the local cloud has neither metric math nor the metrics
        alarm(
            self,
            "".join(word.capitalize() for word in name.split("-")),
            name=self._stage.names.of(name),
            metric=metric,
            meaning=meaning,
            topic=self._topic,
            at_least=at_least,
            periods=periods,
            among=among,
            missing=missing,
        )

    def _own(self, name: str, metric: str, meaning: str) -> None:
        self._alarm(name, own_metric(self._stage, metric), meaning)

    def _on_own_metrics(self) -> None:
        self._own(
            "dead",
            observability.DEAD_LETTERS_RECORDED,
            "A message could not be processed. The ledger has the dead letter, with the reason.",
        )
        self._alarm(
            "not-recorded",
            # A message that could not be recorded is hidden for more than a minute, so not every run finds it.
            own_metric(self._stage, observability.NOT_RECORDED, period=_FIVE_MINUTES),
            "record-dead-letters could not record some dead letters for 10 minutes.",
            periods=2,
        )
        self._alarm(
            "too-old",
            # control-consumers looks once in five minutes.
            own_metric(self._stage, observability.WAITING, period=_FIVE_MINUTES),
            "A consumer's messages have waited 5 minutes or more, or it makes no progress: it fails, or is too slow.",
        )
        self._own(
            "paused",
            observability.PAUSED_TOO_LONG,
            "A consumer has been paused for more than 10 days. SQS deletes its messages 14 days after they were sent.",
        )
        self._own(
            "newer-version",
            observability.NEWER_VERSION,
            "A consumer has received events of a version that it does not know. They wait for newer code.",
        )
        self._own(
            "forged",
            observability.FORGED,
            "Severity: high. A consumer, or admit, has received a message about an event that is not in the store, or "
            "has found a row of the ledger that it has not proven. Somebody else may have sent the message, or written "
            "the row. The function did not act on it.",
        )
        self._own(
            "breaker-open",
            observability.BREAKER_OPEN,
            "An external system does not answer. The circuit breaker of an effect is open and messages wait; trial "
            "calls find out when it answers again, and processing then continues automatically.",
        )
        self._own(
            "tampered",
            observability.TAMPERED,
            "Severity: high. An event in the store, or a row of the ledger, was changed or deleted. No code of this "
            "system does it in this way.",
        )
        self._own(
            "not-proven",
            observability.NOT_PROVEN,
            "Severity: high. An event in the store, or a row in the due table, was not written by the function that it "
            "names. It was not published, or not recorded.",
        )
        self._alarm(
            "late",
            own_metric(self._stage, observability.LATENESS, "max"),
            f"A timer was fired {_ALLOWED_LATENESS // 1000} s or more after its scheduled time.",
            at_least=_ALLOWED_LATENESS,
        )

    def _on_publishing(self, store: dynamodb.ITable, publish: lambda_.IFunction) -> None:
        self._alarm(
            "lag",
            publish.metric("IteratorAge", period=MINUTE, statistic="max"),
            f"Events are published {_ALLOWED_LAG // 1000} s or more after they were stored. The change stream keeps "
            "them for 24 hours; after that they must be republished.",
            at_least=_ALLOWED_LAG,
            periods=5,
        )
        # IteratorAge exists only while batches are processed. An event that is stored at the end of a period may be
        # published in the next, so one period is not enough.
        self._alarm(
            "unpublished",
            cloudwatch.MathExpression(
                expression="IF(written > 0 AND FILL(invoked, 0) == 0, 1, 0)",
                using_metrics={
                    "written": store.metric_consumed_write_capacity_units(period=_FIVE_MINUTES, statistic="sum"),
                    "invoked": publish.metric_invocations(period=_FIVE_MINUTES, statistic="sum"),
                },
                period=_FIVE_MINUTES,
                label="stored, and nothing published",
            ),
            "Events were stored, and publish did not run: they reach no consumer. The change stream keeps them for 24 "
            "hours; after that they must be republished.",
            periods=2,
            among=6,
        )
        # EventBridge has these metrics by rule only, and only while they are not zero: a query costs by what it finds
        # (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html).
        buses = " OR ".join(
            f"EventBusName = '{bus}'" for bus in (self._stage.names.event_bus, self._stage.names.ingress_bus)
        )
        for name, metric, meaning in (
            ("events-undelivered", "FailedInvocations", "an event to a queue"),
            (
                "dead-letters-undelivered",
                "InvocationsFailedToBeSentToDlq",
                "an event to a queue, nor to its dead-letter queue",
            ),
        ):
            query = f'SELECT SUM({metric}) FROM SCHEMA("AWS/Events", EventBusName, RuleName) WHERE {buses}'  # noqa: S608 - not SQL
            self._alarm(
                name,
                cloudwatch.MathExpression(expression=query, using_metrics={}, period=MINUTE),
                f"Severity: high. EventBridge could not deliver {meaning}.",
            )

    def _on_lambda(
        self, watch_ledger: lambda_.IFunction, scheduled: Mapping[str, tuple[lambda_.IFunction, str]]
    ) -> None:
        self._alarm(
            "throttled",
            cloudwatch.Metric(namespace="AWS/Lambda", metric_name="Throttles", statistic="sum", period=MINUTE),
            "Lambda throttled functions of this account in each of the last 5 minutes: its concurrency is used up.",
            periods=5,
        )
        watched = "illegal changes of the ledger are not reported"
        for name, (function, without) in {**scheduled, "watch-ledger": (watch_ledger, watched)}.items():
            self._alarm(
                f"{name}-errors",
                function.metric_errors(period=MINUTE, statistic="sum"),
                f"{name} failed in each of the last 3 minutes: {without}.",
                periods=3,
            )
        for name, (function, without) in scheduled.items():
            self._alarm(
                f"{name}-silent",
                _silence(function),
                f"{name} did not run in the last 5 minutes: {without}.",
                periods=5,
                among=15,
                missing=cloudwatch.TreatMissingData.IGNORE,
            )


def _silence(function: lambda_.IFunction) -> cloudwatch.MathExpression:
    """1 for each minute in which the function did not run, although it had run before. A metric has no value before the
    first run, nor long after the last one: then the alarm keeps its state
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html, on FILL).
    """
    return cloudwatch.MathExpression(
        expression="IF(FILL(invoked, REPEAT) > 0 AND FILL(invoked, 0) == 0, 1, 0)",
        using_metrics={"invoked": function.metric_invocations(period=MINUTE, statistic="sum")},
        period=MINUTE,
        label="did not run",
    )
