"""Alarms: each notifies the stage's topic, once something is wrong and again when it is well, and names the section of
the runbook that says what to do.
"""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

MINUTE = Duration.minutes(1)

# The sections of docs/runbook.md: what the names of alarms end in.
_SECTIONS = (
    "dead",
    "not-recorded",
    "too-old",
    "throttled",
    "newer-version",
    "breaker-open",
    "lag",
    "tampered",
    "late",
    "errors",
    "silent",
    "fails",
)


class NoSection(ValueError):
    """An alarm's name ends in nothing that the runbook has a section for. Write one, and add it here."""


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
    """Alarm when the metric, minute by minute, has been at `at_least` or above for so many minutes."""
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=f"{meaning} What to do: {_section(name)}",
        metric=metric,
        threshold=at_least,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluation_periods=minutes,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    return _told(made, topic)


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
    """Alarm when the metric has been below 1 for so many minutes; when it is missing too, if that is `breaching`."""
    missing = cloudwatch.TreatMissingData
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=f"{meaning} What to do: {_section(name)}",
        metric=metric,
        threshold=1,
        comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        evaluation_periods=minutes,
        treat_missing_data=missing.BREACHING if breaching else missing.NOT_BREACHING,
    )
    return _told(made, topic)


def _section(name: str) -> str:
    """Where the runbook says what to do. Raises NoSection."""
    for section in _SECTIONS:
        if name.endswith(f"-{section}"):
            return f"docs/runbook.md#{section}"
    raise NoSection(name)


def _told(made: cloudwatch.Alarm, topic: sns.ITopic) -> cloudwatch.Alarm:
    made.add_alarm_action(actions.SnsAction(topic))
    made.add_ok_action(actions.SnsAction(topic))
    return made
