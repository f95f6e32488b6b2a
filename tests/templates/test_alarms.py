"""Each alarm goes off by what it watches, and by nothing else: the metrics that functions emit, and those of AWS as it
documents them.
"""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

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
from tests.metrics import Emitted, emitted
from tests.templates.cloudwatch import Series, key_of, states
from tests.templates.sources import consumers
from tests.templates.synthesis import Assembly
from tests.unit.builders import Message, a_change_of_the_store, an_order, from_the_bus, goods, recorded
from tests.unit.dead_letters import record
from tests.unit.test_timers import fire_due_timers, now, schedule_overdue, set_last_run
from tests.unit.world import World


def all_alarms(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """The alarms of a stage, by their names without stage."""
    prefix = f"daybook-{assembly.stage}-"
    return {alarm["AlarmName"].removeprefix(prefix): alarm for alarm in assembly.properties("AWS::CloudWatch::Alarm")}


def set_off(assembly: Assembly, series: Series, minutes: int = 1) -> set[str]:
    """The alarms that these metrics set off within so many minutes after a deployment."""
    return {name for name, alarm in all_alarms(assembly).items() if "ALARM" in states(alarm, series, minutes)}


def series_of(printed: Emitted) -> Series:
    """The metrics that functions have printed, all in minute 0."""
    return {
        (f"{metric.namespace}:{metric.name}", *sorted(f"{name}={value}" for name, value in metric.dimensions)): {
            0: values
        }
        for metric, values in printed.items()
    }


ON_EMITTED_METRICS = {
    "dead": observability.DEAD_LETTERS_RECORDED,
    "not-recorded": observability.NOT_RECORDED,
    "too-old": observability.WAITING,
    "paused": observability.PAUSED_TOO_LONG,
    "newer-version": observability.NEWER_VERSION,
    "forged": observability.FORGED,
    "breaker-open": observability.BREAKER_OPEN,
    "tampered": observability.TAMPERED,
    "not-proven": observability.NOT_PROVEN,
    "late": observability.LATENESS,
}
SCHEDULED = ("fire-timers", "control-consumers", "record-dead-letters")


def test_the_alarms_are_exactly_these(aws: Assembly) -> None:
    """The alarms of a stage are requirements, so they are listed here."""
    assert all_alarms(aws).keys() == {
        *ON_EMITTED_METRICS,
        *(f"{name}-silent" for name in SCHEDULED),
        *(f"{name}-errors" for name in (*SCHEDULED, "watch-ledger")),
        "throttled",
        "lag",
        "unpublished",
        "events-undelivered",
        "dead-letters-undelivered",
        "pager-fails",
        "bounces-undelivered",
    }


# --- metrics of AWS, as it documents them -----------------------------------------------------------------------------


def of_function(aws: Assembly, name: str, metric: str) -> tuple[str, ...]:
    """A metric of a function in AWS/Lambda."""
    (function,) = [
        each
        for each in aws.resources("AWS::Lambda::Function", "backbone")
        if each["Properties"]["FunctionName"] == f"daybook-{aws.stage}-{name}"
    ]
    dimensions = [{"Name": "FunctionName", "Value": {"Ref": function["Id"]}}]
    return key_of({"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions})


def each_minute(minutes: Iterable[int], value: float = 1) -> dict[int, list[float]]:
    return {minute: [value] for minute in minutes}


def running(aws: Assembly, minutes: Iterable[int]) -> dict[tuple[str, ...], dict[int, list[float]]]:
    """The metrics of the functions that run each minute."""
    minutes = list(minutes)
    return {of_function(aws, name, "Invocations"): each_minute(minutes) for name in SCHEDULED}


def written(aws: Assembly, minutes: Iterable[int]) -> dict[tuple[str, ...], dict[int, list[float]]]:
    key = ("AWS/DynamoDB:ConsumedWriteCapacityUnits", f"TableName=daybook-{aws.stage}-store")
    return {key: each_minute(minutes, 2)}


def by_rule(aws: Assembly, metric: str) -> tuple[str, ...]:
    stage = f"daybook-{aws.stage}"
    return (f"AWS/Events:{metric}", f"EventBusName={stage}-events", f"RuleName={stage}-place-order")


# The first run is in the third minute, and CloudWatch has the newest minute late.
FIRST_RUN, DAY = 3, 24 * 60


def test_an_idle_first_day_sets_off_no_alarm(aws: Assembly) -> None:
    assert set_off(aws, running(aws, range(FIRST_RUN, DAY)), DAY) == set()


def test_a_day_with_an_event_now_and_then_sets_off_no_alarm(aws: Assembly) -> None:
    # Some are stored in the last second of a period, and published in the next.
    stored = range(4, DAY, 45)
    invoked = each_minute(minute + 1 for minute in stored)
    traffic = written(aws, stored) | {
        of_function(aws, "publish", "Invocations"): invoked,
        of_function(aws, "publish", "IteratorAge"): each_minute(invoked, 800),
    }

    assert set_off(aws, running(aws, range(FIRST_RUN, DAY)) | traffic, DAY) == set()


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_function_that_no_longer_runs_sets_off_its_alarm_which_stays_on_until_it_runs_again(
    aws: Assembly, name: str
) -> None:
    runs = [*range(FIRST_RUN, 60), *range(600, 660)]
    series = running(aws, range(FIRST_RUN, 660)) | {of_function(aws, name, "Invocations"): each_minute(runs)}

    found = states(all_alarms(aws)[f"{name}-silent"], series, 660)

    assert "ALARM" not in found[:60]
    assert found[59] == "OK"
    assert set(found[66:600]) == {"ALARM"}
    assert found[-1] == "OK"
    assert set_off(aws, series, 660) == {f"{name}-silent"}


def test_events_that_are_stored_while_publish_does_not_run_set_off_an_alarm(aws: Assembly) -> None:
    assert set_off(aws, running(aws, range(60)) | written(aws, [10, 16]), 60) == {"unpublished"}


def test_events_that_are_published_late_set_off_an_alarm(aws: Assembly) -> None:
    invoked = {of_function(aws, "publish", "Invocations"): each_minute(range(10, 20))}
    age = {of_function(aws, "publish", "IteratorAge"): each_minute(range(10, 20), 60_000)}

    assert set_off(aws, running(aws, range(60)) | written(aws, range(10, 20)) | invoked | age, 60) == {"lag"}


@pytest.mark.parametrize(
    ("metric", "name"),
    [("FailedInvocations", "events-undelivered"), ("InvocationsFailedToBeSentToDlq", "dead-letters-undelivered")],
)
def test_an_event_that_eventbridge_cannot_deliver_sets_off_an_alarm(aws: Assembly, metric: str, name: str) -> None:
    assert set_off(aws, {by_rule(aws, metric): {0: [1]}}) == {name}


def test_a_bounce_that_eventbridge_cannot_deliver_sets_off_an_alarm(aws: Assembly) -> None:
    failed = key_of(all_alarms(aws)["bounces-undelivered"])

    assert failed[0] == "AWS/Events:FailedInvocations"
    assert set_off(aws, {failed: {0: [1]}}) == {"bounces-undelivered"}


def test_a_rule_of_another_stage_sets_off_nothing(aws: Assembly) -> None:
    other: tuple[str, ...] = (
        "AWS/Events:FailedInvocations",
        "EventBusName=daybook-other-events",
        "RuleName=daybook-other-place-order",
    )

    assert set_off(aws, {other: {0: [1]}}) == set()


@pytest.mark.parametrize("name", [*SCHEDULED, "watch-ledger"])
def test_a_function_that_fails_for_three_minutes_sets_off_its_alarm(aws: Assembly, name: str) -> None:
    errors = of_function(aws, name, "Errors")

    assert set_off(aws, {errors: each_minute(range(2))}, 10) == set()
    assert set_off(aws, {errors: each_minute(range(3))}, 10) == {f"{name}-errors"}


def test_throttling_for_five_minutes_sets_off_an_alarm(aws: Assembly) -> None:
    assert set_off(aws, {("AWS/Lambda:Throttles",): each_minute(range(5))}, 10) == {"throttled"}


def test_a_page_that_sns_cannot_deliver_sets_off_an_alarm(aws: Assembly) -> None:
    failed = key_of(all_alarms(aws)["pager-fails"])

    assert failed[0] == "AWS/SNS:NumberOfNotificationsFailed"
    assert set_off(aws, {failed: {0: [1]}}) == {"pager-fails"}


# --- metrics of the functions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "metric"), ON_EMITTED_METRICS.items())
def test_each_alarm_reads_one_metric_that_functions_emit(aws: Assembly, name: str, metric: str) -> None:
    alarm = all_alarms(aws)[name]

    assert key_of(alarm) == (f"{observability.NAMESPACE}:{metric}", f"stage={aws.stage}")
    assert set_off(aws, {key_of(alarm): each_minute(range(10), alarm["Threshold"])}, 10) == {name}


def test_a_dead_letter_that_cannot_be_recorded_sets_off_an_alarm_although_not_every_run_receives_it(
    aws: Assembly,
) -> None:
    not_recorded = key_of(all_alarms(aws)["not-recorded"])

    assert set_off(aws, {not_recorded: each_minute([3])}, 15) == set()
    assert set_off(aws, {not_recorded: each_minute(range(3, 15, 2))}, 15) == {"not-recorded"}


def test_a_dead_letter_sets_off_an_alarm_and_its_log_line_names_the_consumer(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("place-order", "admit", "publish", "fire-timers", "bounces"):
        assert record("not JSON", of=name) == []

        output = capsys.readouterr().out
        assert set_off(aws, series_of(emitted(output))) == {"dead"}
        assert consumers_of(output, observability.DEAD_LETTERS_RECORDED) == {name}
    assert world.items("ledger")


def consumers_of(output: str, metric: str) -> set[str]:
    """The consumers that the lines with this metric name."""
    return {line["service"] for line in map(json.loads, output.splitlines()) if metric in line}


def test_a_message_about_an_event_that_is_not_recorded_sets_off_an_alarm_and_its_log_line_names_the_consumer(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    for handler in consumers():
        event = handler.event_type.read(
            json.dumps(handler.event_type.example), version=handler.event_type.contract.version
        )
        assert world.deliver(handler, from_the_bus(recorded(event)), forged=True) == []

        output = capsys.readouterr().out
        assert set_off(aws, series_of(emitted(output))) == {"forged"}
        assert consumers_of(output, observability.FORGED) == {handler.name}


def test_an_event_of_a_newer_version_sets_off_an_alarm_and_its_log_line_names_the_consumer(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    for handler in consumers():
        event = handler.event_type.read(json.dumps(handler.event_type.example), version=1)
        envelope = recorded(event, version=99)
        world.append(envelope)  # an ordered consumer reads it from the store
        message = Message(from_the_bus(envelope))
        assert world.deliver(handler, message) == [message]

        output = capsys.readouterr().out
        assert set_off(aws, series_of(emitted(output))) == {"newer-version"}
        assert consumers_of(output, observability.NEWER_VERSION) == {handler.name}


@pytest.mark.parametrize("change", ["MODIFY", "REMOVE"])
def test_a_change_of_a_stored_event_sets_off_the_alarm(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    world.publish(a_change_of_the_store(recorded(), change))

    assert set_off(aws, series_of(emitted(capsys.readouterr().out))) == {"tampered"}


def test_an_event_and_a_timer_without_a_valid_proof_set_off_alarms(
    world: World, aws: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    world.open_bus()
    world.publish(a_change_of_the_store(recorded(), writer="reserve-stock"))
    assert set_off(aws, series_of(emitted(capsys.readouterr().out))) == {"not-proven"}

    set_last_run(world, timedelta(minutes=1))
    draft = a_draft(a_loan(), time=clock.timestamp(now()))
    row = to_item(Timer.proven(draft, Place.OPENS, writer(draft.producer)))
    world.client.put_item(TableName=NAMES.due, Item=row)
    fire_due_timers()
    assert set_off(aws, series_of(emitted(capsys.readouterr().out))) == {"not-proven"}


@pytest.mark.parametrize(("minutes", "expected"), [(6, {"late"}), (4, set[str]())])
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
    assert set_off(aws, series_of(metrics)) == expected


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
    assert set_off(aws, series_of(metrics)) == set()
