"""What the functions write is what the alarms read: namespace, dimensions, name, and a value that sets them off."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest

from backbone import observability
from backbone.consumer import Consumer, Effect
from functions.inventory import receive_stock
from functions.orders import order_status_placed, place_order
from tests.templates.synthesis import Assembly
from tests.templates.test_wiring import handlers
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


def consumers() -> list[Consumer[Any]]:
    found = [import_module(name.removesuffix(".handler")).handler for name in sorted(handlers())]
    return [handler for handler in found if isinstance(handler, Consumer)]


def test_each_alarm_on_what_functions_write_is_one_of_these(of_the_world: Assembly) -> None:
    names = {handler.name for handler in consumers()}

    assert own_alarms(of_the_world).keys() == {
        *(f"{name}-dead" for name in names | {"admit", "publish", "sweep", "bounces"}),
        *(f"{name}-newer-version" for name in names),
        *(f"{handler.name}-breaker-open" for handler in consumers() if isinstance(handler, Effect)),
        "publish-tampered",
        "sweep-late",
    }


def test_a_buried_message_sets_off_the_alarm_of_its_consumer_and_no_other(
    world: World, of_the_world: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(of_the_world)
    for name in (name for name in alarms if name.endswith("-dead")):
        assert buries("not JSON", of=name.removesuffix("-dead")) == []

        assert set_off(alarms, written(capsys.readouterr().out)) == {name}
    assert world.items("ledger")


def test_an_event_of_a_newer_version_sets_off_the_alarm_of_its_consumer_and_no_other(
    world: World, of_the_world: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(of_the_world)
    for handler in consumers():
        event = handler.event_type.read(json.dumps(handler.event_type.example), version=1)
        envelope = recorded(event, version=99)
        world.append(envelope)  # an ordered consumer looks there
        message = Message(from_the_bus(envelope))
        assert world.deliver(handler, message) == [message]

        assert set_off(alarms, written(capsys.readouterr().out)) == {f"{handler.name}-newer-version"}


@pytest.mark.parametrize("change", ["MODIFY", "REMOVE"])
def test_a_change_of_the_past_sets_off_the_alarm(
    world: World, of_the_world: Assembly, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    world.publish(a_change_of_the_store(recorded(), change))

    assert set_off(own_alarms(of_the_world), written(capsys.readouterr().out)) == {"publish-tampered"}


@pytest.mark.parametrize(("minutes", "expected"), [(6, {"sweep-late"}), (4, set[str]())])
def test_a_timer_that_fires_five_minutes_late_sets_off_the_alarm(
    world: World, of_the_world: Assembly, capsys: pytest.CaptureFixture[str], minutes: int, expected: set[str]
) -> None:
    world.append(recorded(an_order()))
    late = timedelta(minutes=minutes)
    last_swept(world, late)
    armed_long_ago(world, late)
    capsys.readouterr()

    sweeps()

    metrics = written(capsys.readouterr().out)
    assert any(metric.name == observability.LATENESS for metric in metrics)
    assert set_off(own_alarms(of_the_world), metrics) == expected


def test_what_goes_well_sets_off_no_alarm(
    world: World, of_the_world: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    world.open_bus()
    world.receive(place_order.handler, an_order())
    world.receive(receive_stock.handler, goods())
    world.receive(order_status_placed.handler, an_order())
    world.publish(a_change_of_the_store(recorded()))

    metrics = written(capsys.readouterr().out)
    assert {metric.name for metric in metrics} >= {observability.COMMITTED, observability.PUBLISHED}
    assert set_off(own_alarms(of_the_world), metrics) == set()
