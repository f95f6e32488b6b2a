"""Each alarm reads a metric that a function emits: the same namespace, dimensions and name, and values that reach the
threshold.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from daybook.consumers.effect import Effect
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.runtime import observability
from daybook.store.timers import Timer, to_item
from daybook.testing.keys import writer
from daybook.testing.world import NAMES
from functions.inventory import receive_stock
from functions.orders import place_order
from functions.orders.order_status import order_status_placed
from tests.application.builders import a_draft, a_loan
from tests.metrics import Emitted, Metric, emitted
from tests.templates.sources import consumers
from tests.templates.synthesis import Assembly
from tests.unit.builders import Message, a_change_of_the_store, an_order, from_the_bus, goods, recorded
from tests.unit.dead_letters import record
from tests.unit.test_timers import fire_due_timers, now, schedule_overdue, set_last_run
from tests.unit.world import World

_MEASURED_BY: Mapping[str, Callable[[Sequence[float]], float]] = {"Sum": sum, "Maximum": max}


def read_by(alarm: Mapping[str, Any]) -> Metric:
    """The metric that an alarm reads."""
    dimensions = frozenset((each["Name"], each["Value"]) for each in alarm["Dimensions"])
    return Metric(alarm["Namespace"], dimensions, alarm["MetricName"])


def own_alarms(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """The alarms on metrics that functions emit, by their names without stage."""
    prefix = f"daybook-{assembly.stage}-"
    alarms = assembly.properties("AWS::CloudWatch::Alarm")
    own = [alarm for alarm in alarms if alarm["Namespace"] == observability.NAMESPACE]
    return {alarm["AlarmName"].removeprefix(prefix): alarm for alarm in own}


def set_off(alarms: Mapping[str, Mapping[str, Any]], metrics: Emitted) -> set[str]:
    """The alarms that these metrics set off, if all are of one minute."""
    return {name for name, alarm in alarms.items() if breaches(alarm, metrics.get(read_by(alarm), []))}


def breaches(alarm: Mapping[str, Any], values: Sequence[float]) -> bool:
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return bool(values) and _MEASURED_BY[alarm["Statistic"]](values) >= alarm["Threshold"]


def test_the_alarms_are_exactly_these(aws: Assembly) -> None:
    """The alarms of a consumer and of the backbone are requirements, so they are listed here."""
    names = {consumer.name for consumer in consumers()}
    on_emitted_metrics = {
        *(f"{name}-dead" for name in names | {"admit", "publish", "fire-timers", "bounces"}),
        *(f"{name}-forged" for name in names | {"admit"}),
        *(f"{name}-newer-version" for name in names),  # admit rejects newer versions
        *(f"{consumer.name}-breaker-open" for consumer in consumers() if isinstance(consumer, Effect)),
        "publish-tampered",
        "publish-not-proven",
        "fire-timers-not-proven",
        "watch-ledger-tampered",
        "fire-timers-late",
    }
    on_aws_metrics = {
        *(f"{name}-not-recorded" for name in names | {"admit", "publish", "fire-timers", "bounces"}),
        *(f"{name}-{what}" for name in names | {"admit"} for what in ("too-old", "throttled")),
        *(f"publish-{what}" for what in ("lag", "throttled")),
        *(f"{name}-{what}" for name in ("fire-timers", "control-consumers") for what in ("errors", "silent")),
        "watch-ledger-errors",
        "pager-fails",
    }

    prefix = f"daybook-{aws.stage}-"
    alarms = [alarm["AlarmName"] for alarm in aws.properties("AWS::CloudWatch::Alarm")]
    assert sorted(alarms) == sorted(f"{prefix}{name}" for name in on_emitted_metrics | on_aws_metrics)
    assert own_alarms(aws).keys() == on_emitted_metrics


def test_a_dead_letter_sets_off_only_the_alarm_of_its_consumer(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(aws)
    for name in (name for name in alarms if name.endswith("-dead")):
        assert record("not JSON", of=name.removesuffix("-dead")) == []

        assert set_off(alarms, emitted(capsys.readouterr().out)) == {name}
    assert world.items("ledger")


def test_a_message_about_an_event_that_is_not_recorded_sets_off_only_the_alarm_of_its_consumer(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(aws)
    for handler in consumers():
        event = handler.event_type.read(
            json.dumps(handler.event_type.example), version=handler.event_type.contract.version
        )
        assert world.deliver(handler, from_the_bus(recorded(event)), forged=True) == []

        assert set_off(alarms, emitted(capsys.readouterr().out)) == {f"{handler.name}-forged"}


def test_an_event_of_a_newer_version_sets_off_only_the_alarm_of_its_consumer(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = own_alarms(aws)
    for handler in consumers():
        event = handler.event_type.read(json.dumps(handler.event_type.example), version=1)
        envelope = recorded(event, version=99)
        world.append(envelope)  # an ordered consumer reads it from the store
        message = Message(from_the_bus(envelope))
        assert world.deliver(handler, message) == [message]

        assert set_off(alarms, emitted(capsys.readouterr().out)) == {f"{handler.name}-newer-version"}


@pytest.mark.parametrize("change", ["MODIFY", "REMOVE"])
def test_a_change_of_a_stored_event_sets_off_the_alarm(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    world.publish(a_change_of_the_store(recorded(), change))

    assert set_off(own_alarms(aws), emitted(capsys.readouterr().out)) == {"publish-tampered"}


def test_an_event_and_a_timer_without_a_valid_proof_set_off_alarms(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    world.open_bus()
    world.publish(a_change_of_the_store(recorded(), writer="reserve-stock"))
    assert set_off(own_alarms(aws), emitted(capsys.readouterr().out)) == {"publish-not-proven"}

    set_last_run(world, timedelta(minutes=1))
    draft = a_draft(a_loan(), time=clock.timestamp(now()))
    row = to_item(Timer.proven(draft, Place.OPENS, writer(draft.producer)))
    world.client.put_item(TableName=NAMES.due, Item=row)
    fire_due_timers()
    assert set_off(own_alarms(aws), emitted(capsys.readouterr().out)) == {"fire-timers-not-proven"}


@pytest.mark.parametrize(("minutes", "expected"), [(6, {"fire-timers-late"}), (4, set[str]())])
def test_a_timer_that_fires_five_minutes_late_sets_off_the_alarm(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str], minutes: int, expected: set[str]
) -> None:
    world.append(recorded(a_loan()))
    late = timedelta(minutes=minutes)
    set_last_run(world, late)
    schedule_overdue(world, late)
    capsys.readouterr()

    fire_due_timers()

    metrics = emitted(capsys.readouterr().out)
    assert any(metric.name == observability.LATENESS for metric in metrics)
    assert set_off(own_alarms(aws), metrics) == expected


def test_successful_processing_sets_off_no_alarm(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    world.open_bus()
    world.receive(place_order.handler, an_order())
    world.receive(receive_stock.handler, goods())
    world.receive(order_status_placed, an_order())
    world.publish(a_change_of_the_store(recorded()))

    metrics = emitted(capsys.readouterr().out)
    assert {metric.name for metric in metrics} >= {observability.COMMITTED, observability.PUBLISHED}
    assert set_off(own_alarms(aws), metrics) == set()
