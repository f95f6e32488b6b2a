"""What a stage costs in a month without any events, by its templates and by what its scheduled functions do.

Included are resources that cost by the month, polling of queues, and the functions that run each minute. Each row names
how it is counted; what is estimated says so.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_cdk import App
from rich import box
from rich.table import Table

from bench import prices
from bench.bill import GB
from bench.targets import Target
from daybook.backbone.waiting import LOOK_EACH
from daybook.constructs.app import add_stacks
from daybook.constructs.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.prices import Price
    from daybook.local.progress import Progress

_MONTH = timedelta(days=30)
_MINUTES = _MONTH / timedelta(minutes=1)

# An account has three dashboards of up to 50 metrics free (https://aws.amazon.com/cloudwatch/pricing/).
_FREE_DASHBOARDS = 3
_KEY = prices.Price(1.00, 1, "https://aws.amazon.com/kms/pricing/")  # a month

# Lambda polls a queue with five connections, each with long polling of 20 seconds, and an idle queue with two, unless
# its mapping has a maximum concurrency (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
_POLLERS, _IDLE_POLLERS = 5, 2
_POLL = timedelta(seconds=20)

_CALL = 0.010  # seconds of a call to AWS from Lambda: an estimate

_TARGETS = {"prod": 20.0, "dev": 8.0}  # dollars a month


@dataclass(frozen=True, slots=True)
class _Row:
    """One part of the cost in a month."""

    what: str
    number: float
    price: Price

    @property
    def dollars(self) -> float:
        """Its cost."""
        return self.price.of(self.number)


def measure(progress: Progress) -> list[Target]:
    """Synthesize `prod` and `dev`, and print what each costs without events. Keys have a row of their own."""
    targets = []
    for stage, maximum in _TARGETS.items():
        with progress.step(f"synthesizing {stage}"):
            resources = list(_resources(stage))
        rows = list(_rows(resources))
        keys = _Row("KMS keys, not in the sum", _count(resources, "AWS::KMS::Key"), _KEY)
        total = sum(row.dollars for row in rows)
        progress.console.print(_table(stage, rows, keys, total))
        targets.append(Target(f"a month of {stage} without events", total, maximum=maximum, unit="USD"))
    progress.say("  Not included: storage, logs, backups, free tiers but that of dashboards, discounts.")
    return targets


def _resources(stage: str) -> Iterator[Mapping[str, Any]]:
    context = json.loads(Path("cdk.json").read_text())["context"]
    with tempfile.TemporaryDirectory(prefix="daybook-") as folder:
        app = App(outdir=folder, context={**context, "stage": stage, "aws:cdk:disable-asset-staging": True})
        add_stacks(app, Stage.of(app))
        app.synth()
        for template in Path(folder).glob("*.template.json"):
            yield from json.loads(template.read_text())["Resources"].values()


def _rows(resources: list[Mapping[str, Any]]) -> Iterator[_Row]:
    alarms = [each["Properties"] for each in resources if each["Type"] == "AWS::CloudWatch::Alarm"]
    yield _Row(f"metrics of {len(alarms)} alarms", sum(map(_metrics, alarms)), prices.ALARM)
    dashboards = _count(resources, "AWS::CloudWatch::Dashboard")
    yield _Row(
        f"{dashboards} dashboards, {_FREE_DASHBOARDS} free", max(dashboards - _FREE_DASHBOARDS, 0), prices.DASHBOARD
    )
    yield _Row("secrets", _count(resources, "AWS::SecretsManager::Secret"), prices.SECRET)
    queues = [each["Properties"]["QueueName"] for each in resources if each["Type"] == "AWS::SQS::Queue"]
    dead = sum(name.endswith("-dead") for name in queues)
    pollers = sum(
        _pollers(each["Properties"]) for each in resources if each["Type"] == "AWS::Lambda::EventSourceMapping"
    )
    yield _Row(f"empty receives by {pollers} pollers", pollers * (_MONTH / _POLL), prices.QUEUE_REQUEST)
    looks = (1 + len(queues) - dead) / LOOK_EACH
    calls = {"record-dead-letters": 1 + dead, "control-consumers": looks}
    yield _Row("requests to queues by scheduled functions", sum(calls.values()) * _MINUTES, prices.QUEUE_REQUEST)
    scheduled = sum(
        "ScheduleExpression" in each["Properties"] for each in resources if each["Type"] == "AWS::Events::Rule"
    )
    yield _Row(f"runs of {scheduled} scheduled functions", scheduled * _MINUTES, prices.RUN)
    consumers = len(queues) - dead
    seconds = (sum(calls.values()) + 10 * scheduled) * _CALL  # ten other calls each: an estimate
    yield _Row("their GB seconds, estimated", seconds * GB * _MINUTES, prices.GB_SECOND)
    yield _Row("their traces", scheduled * _MINUTES, prices.TRACE)
    yield _Row("read units for switches", consumers * _MINUTES, prices.READ_UNIT)


def _metrics(alarm: Mapping[str, Any]) -> int:
    """The number of metrics that an alarm is billed for. A query costs by what it finds, and finds nothing here."""
    return 1 if "MetricName" in alarm else sum("MetricStat" in each for each in alarm["Metrics"])


def _pollers(mapping: Mapping[str, Any]) -> int:
    """The number of connections that poll an idle queue. Reads of change streams are free."""
    if "StartingPosition" in mapping:
        return 0
    return _POLLERS if "ScalingConfig" in mapping else _IDLE_POLLERS


def _count(resources: list[Mapping[str, Any]], kind: str) -> int:
    return Counter(each["Type"] for each in resources)[kind]


def _table(stage: str, rows: list[_Row], keys: _Row, total: float) -> Table:
    table = Table(
        title=f"{stage}: a month without events", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD
    )
    table.add_column("what", no_wrap=True)
    for column in ("number", "US dollars"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row.what, f"{row.number:,.0f}", f"{row.dollars:.2f}")
    table.add_section()
    table.add_row("all", "", f"{total:.2f}")
    table.add_row(keys.what, f"{keys.number:,.0f}", f"{keys.dollars:.2f}")
    return table
