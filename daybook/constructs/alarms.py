"""CloudWatch alarms. Each notifies the stage's topic when it goes off and when it returns to OK, and names the section
of the runbook that says what to do.
"""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

MINUTE = Duration.minutes(1)

# The sections of docs/runbook.md. An alarm's name ends with the name of its section.
_SECTIONS = (
    "dead",
    "not-recorded",
    "too-old",
    "throttled",
    "newer-version",
    "forged",
    "breaker-open",
    "lag",
    "tampered",
    "not-proven",
    "late",
    "errors",
    "silent",
    "fails",
)


class NoSection(ValueError):
    """An alarm's name ends with no section of the runbook. Write the section, and add it to _SECTIONS."""


def alarm(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    metric: cloudwatch.IMetric,
    at_least: float,
    minutes: int,
    meaning: str,
    topic: sns.ITopic,
) -> cloudwatch.Alarm:
    """An alarm that goes off when the metric was `at_least` or more in each of `minutes` consecutive minutes."""
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=_description(name, meaning),
        metric=metric,
        threshold=at_least,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluation_periods=minutes,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    return _notifying(made, topic)


def throttled_alarm(
    scope: Construct, construct_id: str, *, name: str, function: lambda_.IFunction, topic: sns.ITopic
) -> cloudwatch.Alarm:
    """An alarm that goes off when Lambda throttled the function with this name in each of 5 consecutive minutes."""
    return alarm(
        scope,
        construct_id,
        name=f"{name}-throttled",
        metric=function.metric_throttles(period=MINUTE, statistic="sum"),
        at_least=1,
        minutes=5,
        meaning=f"Lambda throttled {name} in each of the last 5 minutes: the account's concurrency is used up.",
        topic=topic,
    )


def silence_alarm(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    metric: cloudwatch.IMetric,
    minutes: int,
    breaching: bool,
    meaning: str,
    topic: sns.ITopic,
) -> cloudwatch.Alarm:
    """An alarm that goes off when the metric was below 1 in each of `minutes` consecutive minutes.

    `breaching`: minutes without data count as below 1.
    """
    missing = cloudwatch.TreatMissingData
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=_description(name, meaning),
        metric=metric,
        threshold=1,
        comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        evaluation_periods=minutes,
        treat_missing_data=missing.BREACHING if breaching else missing.NOT_BREACHING,
    )
    return _notifying(made, topic)


def _description(name: str, meaning: str) -> str:
    """The alarm's meaning, and the runbook's section on it. Raises NoSection."""
    for section in _SECTIONS:
        if name.endswith(f"-{section}"):
            return f"{meaning} What to do: docs/runbook.md#{section}"
    raise NoSection(name)


def _notifying(made: cloudwatch.Alarm, topic: sns.ITopic) -> cloudwatch.Alarm:
    made.add_alarm_action(actions.SnsAction(topic))
    made.add_ok_action(actions.SnsAction(topic))
    return made
