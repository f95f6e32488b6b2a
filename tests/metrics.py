"""Reads the metrics that functions print, in CloudWatch's embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """What identifies a metric in CloudWatch."""

    namespace: str
    dimensions: frozenset[tuple[str, str]]
    name: str


Emitted = dict[Metric, list[float]]


def emitted(output: str) -> Emitted:
    """The values of each metric in the output of functions."""
    found: Emitted = {}
    for line in (json.loads(line) for line in output.splitlines() if '"_aws"' in line):
        for metric in metrics_of(line):
            found.setdefault(metric, []).extend(line[metric.name])
    return found


def metrics_of(line: Mapping[str, Any]) -> Iterator[Metric]:
    """The metrics in one line of the output."""
    for group in line["_aws"]["CloudWatchMetrics"]:
        for names in group["Dimensions"]:
            dimensions = frozenset((name, line[name]) for name in names)
            yield from (Metric(group["Namespace"], dimensions, metric["Name"]) for metric in group["Metrics"])
