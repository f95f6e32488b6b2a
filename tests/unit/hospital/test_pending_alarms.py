"""A value that is out of limits raises an alarm when the delay has passed, without another measurement."""

from datetime import timedelta

import pytest

from daybook.contracts import clock
from functions.equipment import raise_pending_alarm
from tests.unit import faults
from tests.unit.hospital.bedside import PULSE, SPO2, Bedside, at, due, limits, problem
from tests.unit.test_delivery_attempts import later
from tests.unit.world import World

SYSTOLIC = "8480-6"
FINE, LOW = 97, 85


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A registered device that measures once an hour, with a delay of 15 seconds."""
    bedside = Bedside(world)
    bedside.has_limits(limits(low=90, delay=15, hold=30))
    bedside.is_registered(seconds=-60, reports_every=3600)
    return bedside


def test_one_measurement_an_hour_raises_an_alarm_when_the_delay_has_passed(bedside: Bedside) -> None:
    bedside.measures(SYSTOLIC, (0, 60))
    assert bedside.raised() == []
    assert len(due(bedside.world, "PendingAlarmDue")) == 1

    bedside.delays_pass()

    expected = problem(code=SYSTOLIC, name="systolic blood pressure", unit="mm[Hg]", value=60, limit=90, since=at(0))
    assert bedside.raised() == [expected]
    assert [alarm.stage for alarm in bedside.alarms] == ["raised"]
    assert len(due(bedside.world, "AcknowledgementDue")) == 1


def test_the_next_measurement_raises_no_second_alarm(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW))
    bedside.delays_pass()
    bedside.measures(SPO2, (3600, LOW))
    bedside.delays_pass()

    assert len(bedside.raised()) == 1


def test_the_alarm_is_due_the_delay_after_the_report_was_recorded(bedside: Bedside) -> None:
    recorded = (clock.moment(clock.now()) - at(0)).total_seconds() + 3600

    bedside.reports(recorded - 200, arrives=recorded, readings={SPO2: LOW})

    (timer,) = due(bedside.world, "PendingAlarmDue")
    assert clock.moment(timer["time"]) == at(recorded) + timedelta(seconds=15)


@pytest.mark.parametrize("code", [SPO2, PULSE])
def test_a_code_that_is_measured_rarely_alarms_while_the_device_reports_other_codes(
    bedside: Bedside, code: str
) -> None:
    bedside.measures(SYSTOLIC, (0, 60))
    bedside.measures(code, (10, 97), (20, 97), (30, 97))

    bedside.delays_pass()

    assert [problem.code for problem in bedside.raised()] == [SYSTOLIC]


# Guards: the last reading must be out of limits.
@pytest.mark.parametrize("next_values", [[FINE], [91], [FINE, FINE], [FINE, FINE, LOW], [LOW, FINE]])
def test_a_value_that_was_followed_by_others_alarms_only_if_the_last_one_is_out_of_limits(
    bedside: Bedside, next_values: list[float]
) -> None:
    bedside.measures(SPO2, (0, LOW), *((number + 1, value) for number, value in enumerate(next_values)))

    bedside.delays_pass()

    assert bool(bedside.raised()) is (next_values[-1] == LOW)


# Guards: `since` of PendingAlarmDue.
def test_the_timer_of_a_problem_that_has_ended_does_not_raise_the_alarm_of_the_next_one(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW), (1, FINE), (2, FINE))
    bedside.delays_pass()
    bedside.measures(SPO2, (3, LOW))

    first, *_ = [each for each in bedside.world.stream(bedside.stream) if each.metadata.type == "PendingAlarmDue"]
    assert bedside.world.deliver(raise_pending_alarm.handler, later(bedside.message(first))) == []

    assert bedside.raised() == []


def test_each_problem_has_one_timer_for_any_number_of_reports(bedside: Bedside) -> None:
    bedside.measures(SPO2, *((number, LOW) for number in range(10)))

    assert len(due(bedside.world, "PendingAlarmDue")) == 1


def test_an_alarm_without_delay_needs_no_timer(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(delay=0))

    bedside.measures(SPO2, (0, LOW))

    assert len(bedside.raised()) == 1
    assert due(world, "PendingAlarmDue") == []


def test_limits_that_were_changed_during_the_delay_apply_to_the_value(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW))
    bedside.has_limits(limits(low=80, delay=15, revision=2))

    bedside.delays_pass()

    assert bedside.raised() == []


def test_a_retired_device_raises_no_pending_alarm(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW))
    bedside.is_retired()

    bedside.delays_pass()

    assert bedside.raised() == []


def test_a_timer_that_is_delivered_three_times_raises_one_alarm(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW))
    bedside.delays_pass()
    bedside.delays_pass()
    (envelope,) = [each for each in bedside.world.stream(bedside.stream) if each.metadata.type == "PendingAlarmDue"]
    assert bedside.world.deliver(raise_pending_alarm.handler, later(bedside.message(envelope))) == []

    (alarm,) = bedside.alarms
    assert len(bedside.of(alarm)) == 1


def test_a_reading_in_range_that_arrives_during_the_timer_ends_the_problem(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW), (1, FINE), (2, LOW))
    faults.meanwhile("TransactWriteItems", lambda: None, lambda: bedside.measures(SPO2, (3, FINE)))

    bedside.delays_pass()

    assert bedside.raised() == []
