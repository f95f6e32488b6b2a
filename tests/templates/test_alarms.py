"""What the functions write is what the alarms read: namespace, dimensions, name, and a value that sets them off."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from daybook.consumers.effect import Effect
from daybook.runtime import observability
from functions.inventory import receive_stock
from functions.orders import place_order
from functions.orders.order_status import order_status_placed
from tests.templates.sources import consumers
from tests.templates.synthesis import Assembly
from tests.unit.builders import Message, a_change_of_the_store, an_order, from_the_bus, goods, recorded
from tests.unit.test_bury import buries
from tests.unit.test_timers import armed_long_ago, last_swept, sweeps
from tests.unit.world import World

_MEASURED_BY: Mapping[str, Callable[[Sequence[float]], float]] = {"Sum": sum, "Maximum": max}


@dataclass(frozen=True)
class Metric:
    """What CloudWatch makes of it: a metric is told from others by all of this."""

    namespace: str
    dimensions: frozenset[tuple[str, str]]
    name: str


Written = dict[Metric, list[float]]


def written(output: str) -> Written:
    """The metrics in what functions print, by the embedded metric format
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
    """
    found: Written = {}
    for line in (json.loads(line) for line in output.splitlines() if '"_aws"' in line):
        for metric in metrics_of(line):
            found.setdefault(metric, []).extend(line[metric.name])
    return found


def metrics_of(line: Mapping[str, Any]) -> Iterator[Metric]:
    for told in line["_aws"]["CloudWatchMetrics"]:
        for names in told["Dimensions"]:
            dimensions = frozenset((name, line[name]) for name in names)
            yield from (Metric(told["Namespace"], dimensions, metric["Name"]) for metric in told["Metrics"])


def read_by(alarm: Mapping[str, Any]) -> Metric:
    """The metric that an alarm reads."""
    dimensions = frozenset((each["Name"], each["Value"]) for each in alarm["Dimensions"])
    return Metric(alarm["Namespace"], dimensions, alarm["MetricName"])


def own_alarms(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """The alarms on what the functions write themselves, by what follows the stage in their names."""
    prefix = f"daybook-{assembly.stage}-"
    alarms = assembly.properties("AWS::CloudWatch::Alarm")
    own = [alarm for alarm in alarms if alarm["Namespace"] == observability.NAMESPACE]
    return {alarm["AlarmName"].removeprefix(prefix): alarm for alarm in own}


def set_off(alarms: Mapping[str, Mapping[str, Any]], metrics: Written) -> set[str]:
    """Which alarms these metrics, all of one minute, set off."""
    return {name for name, alarm in alarms.items() if breaches(alarm, metrics.get(read_by(alarm), []))}


def breaches(alarm: Mapping[str, Any], values: Sequence[float]) -> bool:
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return bool(values) and _MEASURED_BY[alarm["Statistic"]](values) >= alarm["Threshold"]


def test_the_alarms_are_these_and_those_on_what_functions_write_read_it(aws: Assembly) -> None:
    """Which alarms watch a consumer, and which the backbone, is a requirement. The consumers are found."""
    names = {consumer.name for consumer in consumers()}
    written_by_functions = {
        *(f"{name}-dead" for name in names | {"admit", "publish", "fire-timers", "bounces"}),
        *(f"{name}-newer-version" for name in names),  # admit does not wait for newer code: it refuses
        *(f"{consumer.name}-breaker-open" for consumer in consumers() if isinstance(consumer, Effect)),
        "publish-tampered",
        "fire-timers-late",
    }
    measured_by_aws = {
        *(f"{name}-not-recorded" for name in names | {"admit", "publish", "fire-timers", "bounces"}),
        *(f"{name}-{what}" for name in names | {"admit"} for what in ("too-old", "throttled")),
        *(f"publish-{what}" for what in ("lag", "throttled")),
        *(f"{name}-{what}" for name in ("fire-timers", "control-consumers") for what in ("errors", "silent")),
        "pager-fails",
    }

    prefix = f"daybook-{aws.stage}-"
    alarms = [alarm["AlarmName"] for alarm in aws.properties("AWS::CloudWatch::Alarm")]
    assert sorted(alarms) == sorted(f"{prefix}{name}" for name in written_by_functions | measured_by_aws)
    assert own_alarms(aws).keys() == written_by_functions


def test_a_buried_message_sets_off_the_alarm_of_its_consumer_and_no_other(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(aws)
    for name in (name for name in alarms if name.endswith("-dead")):
        assert buries("not JSON", of=name.removesuffix("-dead")) == []

        assert set_off(alarms, written(capsys.readouterr().out)) == {name}
    assert world.items("ledger")


def test_an_event_of_a_newer_version_sets_off_the_alarm_of_its_consumer_and_no_other(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(aws)
    for handler in consumers():
        event = handler.event_type.read(json.dumps(handler.event_type.example), version=1)
        envelope = recorded(event, version=99)
        world.append(envelope)  # an ordered consumer looks there
        message = Message(from_the_bus(envelope))
        assert world.deliver(handler, message) == [message]

        assert set_off(alarms, written(capsys.readouterr().out)) == {f"{handler.name}-newer-version"}


@pytest.mark.parametrize("change", ["MODIFY", "REMOVE"])
def test_a_change_of_the_past_sets_off_the_alarm(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    world.publish(a_change_of_the_store(recorded(), change))

    assert set_off(own_alarms(aws), written(capsys.readouterr().out)) == {"publish-tampered"}


@pytest.mark.parametrize(("minutes", "expected"), [(6, {"fire-timers-late"}), (4, set[str]())])
def test_a_timer_that_fires_five_minutes_late_sets_off_the_alarm(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str], minutes: int, expected: set[str]
) -> None:
    world.append(recorded(an_order()))
    late = timedelta(minutes=minutes)
    last_swept(world, late)
    armed_long_ago(world, late)
    capsys.readouterr()

    sweeps()

    metrics = written(capsys.readouterr().out)
    assert any(metric.name == observability.LATENESS for metric in metrics)
    assert set_off(own_alarms(aws), metrics) == expected


def test_what_goes_well_sets_off_no_alarm(world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]) -> None:
    world.open_bus()
    world.receive(place_order.handler, an_order())
    world.receive(receive_stock.handler, goods())
    world.receive(order_status_placed, an_order())
    world.publish(a_change_of_the_store(recorded()))

    metrics = written(capsys.readouterr().out)
    assert {metric.name for metric in metrics} >= {observability.COMMITTED, observability.PUBLISHED}
    assert set_off(own_alarms(aws), metrics) == set()
