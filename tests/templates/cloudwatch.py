"""Evaluates CloudWatch alarms of a template on given metrics, as far as this project uses alarms.

What it follows: how an alarm judges missing data
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html), metric math
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html), and queries
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-metrics-insights-querylanguage.html).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

Value = float | None

# The values of each metric by minute. The first part of the key is namespace and name, the others are dimensions.
Series = Mapping[tuple[str, ...], Mapping[int, Sequence[float]]]

_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {"Sum": sum, "Maximum": max}
_QUERY = re.compile(r'SELECT SUM\((\w+)\) FROM SCHEMA\("([\w/]+)", EventBusName, RuleName\) WHERE (.*)')


def key_of(metric: Mapping[str, Any]) -> tuple[str, ...]:
    """The key of a metric. A dimension's value is its text in the template, also if that is a reference."""
    dimensions = sorted(
        f"{each['Name']}={each['Value'] if isinstance(each['Value'], str) else json.dumps(each['Value'])}"
        for each in metric.get("Dimensions", [])
    )
    return (f"{metric['Namespace']}:{metric['MetricName']}", *dimensions)


@dataclass(frozen=True)
class Line:
    """The values of an expression, one for each period."""

    values: tuple[Value, ...]

    __hash__ = object.__hash__

    def _with(self, other: "Line | float", apply: Callable[[float, float], float]) -> Self:
        others = other.values if isinstance(other, Line) else (other,) * len(self.values)
        both = zip(self.values, others, strict=True)
        return type(self)(tuple(None if a is None or b is None else apply(a, b) for a, b in both))

    def __gt__(self, other: float) -> Self:
        return self._with(other, lambda a, b: a > b)

    def __eq__(self, other: object) -> Self:  # type: ignore[override]
        assert isinstance(other, int)
        return self._with(other, lambda a, b: a == b)

    def __and__(self, other: "Line") -> Self:
        return self._with(other, lambda a, b: bool(a) and bool(b))

    def fill(self, by: object) -> Self:
        """FILL(metric, 0) or FILL(metric, REPEAT)."""
        filled: list[Value] = []
        for value in self.values:
            previous = filled[-1] if filled else None
            filled.append(value if value is not None else previous if by == "REPEAT" else float(str(by)))
        return type(self)(tuple(filled))

    def chosen(self, yes: float, no: float) -> Self:
        """IF(condition, yes, no)."""
        return type(self)(tuple(None if value is None else yes if value else no for value in self.values))


def states(alarm: Mapping[str, Any], series: Series, minutes: int) -> list[str]:
    """The state of an alarm after each of its periods, if it is created in minute 0."""
    period = _period(alarm)
    needed, among = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]), alarm["EvaluationPeriods"]
    found, state = [], "INSUFFICIENT_DATA"
    for end in range(period, minutes + 1, period):
        span = range(end - among * period, end, period)
        values = _values(alarm, series, span, period)
        state = _state(values, alarm["Threshold"], needed, alarm["TreatMissingData"], state)
        found.append(state)
    return found


def _state(values: Sequence[Value], threshold: float, needed: int, missing: str, state: str) -> str:
    breaching = sum(value is not None and value >= threshold for value in values)
    absent = sum(value is None for value in values)
    if breaching >= needed:
        return "ALARM"
    if missing == "ignore":
        return "OK" if breaching + absent < needed else state
    assert missing == "notBreaching"
    return "OK"


def _period(alarm: Mapping[str, Any]) -> int:
    """The period in minutes."""
    if "Period" in alarm:
        return int(alarm["Period"]) // 60
    periods = (each.get("Period") or each["MetricStat"]["Period"] for each in alarm["Metrics"] if _has_period(each))
    return int(max(periods)) // 60


def _has_period(metric: Mapping[str, Any]) -> bool:
    return "Period" in metric or "MetricStat" in metric


def _values(alarm: Mapping[str, Any], series: Series, span: range, period: int) -> tuple[Value, ...]:
    def line(metric: Mapping[str, Any], statistic: str) -> Line:
        return Line(tuple(_statistic(series.get(key_of(metric), {}), start, period, statistic) for start in span))

    if "MetricName" in alarm:
        return line(alarm, alarm["Statistic"]).values
    (expression,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    if query := _QUERY.fullmatch(expression):
        return _queried(query, series, span, period)
    names: dict[str, Any] = {
        each["Id"]: line(each["MetricStat"]["Metric"], each["MetricStat"]["Stat"])
        for each in alarm["Metrics"]
        if "MetricStat" in each
    }
    names |= {"FILL": Line.fill, "IF": Line.chosen, "REPEAT": "REPEAT"}
    # In Python, & binds closer than a comparison.
    python = re.sub(r"\((.*) AND (.*), 1, 0\)", r"((\1) & (\2), 1, 0)", expression)
    result = eval(python, {"__builtins__": {}}, names)  # noqa: S307 - the project's own expressions
    assert isinstance(result, Line)
    return result.values


def _queried(query: re.Match[str], series: Series, span: range, period: int) -> tuple[Value, ...]:
    metric, namespace, condition = query.groups()
    buses = re.findall(r"EventBusName = '([\w-]+)'", condition)
    assert " OR ".join(f"EventBusName = '{bus}'" for bus in buses) == condition
    matching = [
        values
        for key, values in series.items()
        if key[0] == f"{namespace}:{metric}"
        and any(f"EventBusName={bus}" in key for bus in buses)
        and any(part.startswith("RuleName=") for part in key)
    ]
    merged = {
        minute: [value for values in matching for value in values.get(minute, ())]
        for minute in {minute for values in matching for minute in values}
    }
    return tuple(_statistic(merged, start, period, "Sum") for start in span)


def _statistic(values: Mapping[int, Sequence[float]], start: int, period: int, statistic: str) -> Value:
    inside = [value for minute in range(start, start + period) for value in values.get(minute, ())]
    return _STATISTICS[statistic](inside) if inside else None
