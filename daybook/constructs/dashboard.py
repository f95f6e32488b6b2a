"""The stage's dashboard: what a whole stage does, on one page. An account has three dashboards of up to 50 metrics free
(https://aws.amazon.com/cloudwatch/pricing/).
"""

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from daybook.constructs.alarms import MINUTE, own_metric
from daybook.constructs.stage import Stage
from daybook.runtime import observability

_WIDTH = 8  # of the 24 columns of a dashboard


def dashboard(scope: Construct, *, stage: Stage, name: str) -> cloudwatch.Dashboard:
    """A dashboard without widgets. Its name has the region, because dashboards are global to an account
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html).
    """
    region = Stack.of(scope).region
    return cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=f"{stage.names.of(name)}-{region}")


def stage_dashboard(
    scope: Construct,
    *,
    stage: Stage,
    admit_queue: sqs.IQueue,
    publish: lambda_.IFunction,
    tables: list[dynamodb.ITable],
) -> None:
    """Create the dashboard."""

    def own(title: str, *names: str, statistic: str = "sum") -> cloudwatch.IWidget:
        return _graph(title, [own_metric(stage, name, statistic) for name in names])

    o = observability
    dashboard(scope, stage=stage, name="overview").add_widgets(
        own("Recorded and published", o.ADMITTED, o.REJECTED, o.PUBLISHED, o.FIRED),
        own("Consumers", o.COMMITTED, o.FAILED, o.DEAD_LETTERS_RECORDED),
        own("Milliseconds from recording to commit, slowest of 100", o.AGE, statistic="p99"),
        own("Stopped", o.WAITING, o.BREAKER_OPEN, o.PAUSED_TOO_LONG, o.NEWER_VERSION, o.NOT_RECORDED),
        own("Attacks", o.FORGED, o.TAMPERED, o.NOT_PROVEN),
        own("Milliseconds after the scheduled time, latest timer", o.LATENESS, statistic="max"),
        _graph(
            "Publish: lag in milliseconds",
            [publish.metric("IteratorAge", period=MINUTE, statistic="max")],
        ),
        _graph(
            "Admit: waiting, age in seconds",
            [
                admit_queue.metric_approximate_number_of_messages_visible(period=MINUTE),
                admit_queue.metric_approximate_age_of_oldest_message(period=MINUTE),
            ],
        ),
        _graph(
            "Lambda, whole account",
            [
                cloudwatch.Metric(namespace="AWS/Lambda", metric_name=name, statistic=statistic, period=MINUTE)
                for name, statistic in (
                    ("Invocations", "sum"),
                    ("Errors", "sum"),
                    ("Throttles", "sum"),
                    ("ConcurrentExecutions", "max"),
                )
            ],
        ),
        _graph(
            "Write units",
            [each.metric_consumed_write_capacity_units(period=MINUTE, statistic="sum") for each in tables],
        ),
    )


def _graph(title: str, metrics: list[cloudwatch.IMetric]) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(title=title, width=_WIDTH, left=metrics)
