"""One odd value never discards its neighbours: it is left out or rounded, reported once, and the rest is judged."""

from decimal import Decimal
from typing import Any

import pytest

from daybook.store.transaction import MAX_WRITES
from events.equipment import MAX_READINGS, ReadingNotJudged, ReadingRounded
from events.vitals import KINDS, NO_CODE, Kind, Reading
from functions.equipment import raise_alarm
from functions.equipment.interpretation import Measured, NotJudged, interpret
from functions.equipment.tracking import DeviceStatus
from functions.equipment.unjudged import MAX_EVENTS, UnjudgedReadings
from tests.unit import faults
from tests.unit.hospital.bedside import (
    DIASTOLIC,
    HEAT,
    PULSE,
    SPO2,
    Bedside,
    a_report,
    at,
    limits,
    reading,
    tracked,
)
from tests.unit.test_delivery_attempts import later
from tests.unit.world import World

INDEX = "8741-1"  # left ventricular cardiac output: nobody judges it


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A registered device. A saturation of 90 % or a pulse of 40 raises an alarm at once."""
    bedside = Bedside(world)
    bedside.has_limits(limits(low=90), limits(code=PULSE, low=40))
    bedside.is_registered(seconds=-60)
    return bedside


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (reading(INDEX, 2.5, "L/min/m2"), "unknown_code"),
        (reading("20077-4", 12, "furlong"), "unknown_code"),
        (reading("heart rate", 70, "/min"), "unknown_code"),
        (reading(PULSE, 32767), "impossible_value"),
        (reading(PULSE, 8388607), "impossible_value"),
        (reading(PULSE, 999_999_999_999.999), "impossible_value"),
        (reading(PULSE, -1), "impossible_value"),
        (reading(PULSE, 1e300), "not_a_number"),
        (reading(PULSE, None), "not_a_number"),
        (reading(PULSE, "72"), "not_a_number"),
        (reading(PULSE, True), "not_a_number"),
        (reading(PULSE, [72]), "not_a_number"),
        (reading(PULSE, 72, "mm[Hg]"), "other_unit"),
        (reading(PULSE, 72, "furlong"), "other_unit"),
        ({"code": PULSE, "value": 72}, "other_unit"),
        ({"code": PULSE, "unit": "/min"}, "not_a_number"),
        ({"unit": "/min", "value": 72}, "unknown_code"),
        ("72", "unknown_code"),
        (None, "unknown_code"),
    ],
)
def test_an_odd_reading_is_reported_and_its_neighbour_raises_the_alarm(bedside: Bedside, odd: Any, reason: str) -> None:
    bedside.reports(0, readings=[odd, reading(SPO2, 80)])

    assert [problem.code for problem in bedside.raised()] == [SPO2]
    assert list(bedside.not_judged().values()) == [reason]
    assert bedside.watch.last_seen_at == at(0)


def test_an_impossible_saturation_counts_as_missing_beside_a_pulse_that_alarms(bedside: Bedside) -> None:
    bedside.reports(0, readings={PULSE: 30, SPO2: 127})

    assert [problem.code for problem in bedside.raised()] == [PULSE]
    (event,) = bedside.emitted(ReadingNotJudged)
    assert event == ReadingNotJudged(
        device_id="MON-7",
        type="patient-monitor",
        ward="ICU-2",
        code=SPO2,
        name="oxygen saturation by pulse oximetry",
        unit="%",
        value=Decimal(127),
        reason="impossible_value",
        expected="59408-5 (oxygen saturation by pulse oximetry) is in %, from 0 to 100; "
        "leave a reading without a value out",
    )


def test_a_missing_value_changes_no_alarm_of_its_vital_sign(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, 80), (10, 127), (20, 127), (30, 127))

    assert (len(bedside.raised()), bedside.cleared()) == (1, [])


def test_an_impossible_charge_of_the_battery_is_reported_beside_readings_that_are_judged(bedside: Bedside) -> None:
    bedside.reports(0, readings={SPO2: 80}, battery=255)

    assert len(bedside.raised()) == 1
    assert bedside.not_judged() == {"battery": "impossible_value"}


@pytest.mark.parametrize(("battery", "charge"), [(80, 80), (79.6, 80), (101, None), (-1, None), ("80", None)])
def test_the_view_has_no_impossible_charge(world: World, battery: object, charge: int | None) -> None:
    tracked(world, [a_report(battery=battery)])

    row = world.row(DeviceStatus, "MON-7")
    assert row
    assert row.battery == charge


# Guards: the row of the codes that were reported.
def test_an_odd_code_is_reported_once_for_each_device(world: World) -> None:
    first, second = Bedside(world), Bedside(world, "MON-8")
    for seconds in range(5):
        first.reports(seconds, readings=[reading(INDEX, seconds), reading(SPO2, 127)])
    second.reports(9, readings=[reading(INDEX, 1)])

    assert first.not_judged() == {INDEX: "unknown_code", SPO2: "impossible_value"}
    assert second.not_judged() == {INDEX: "unknown_code"}


def test_an_odd_code_is_reported_once_when_its_report_is_delivered_three_times(bedside: Bedside) -> None:
    message = bedside.message(bedside.reports(0, readings={INDEX: 1}))

    assert bedside.world.deliver(raise_alarm.handler, message, message) == []
    assert bedside.world.deliver(raise_alarm.handler, later(message)) == []

    assert bedside.not_judged() == {INDEX: "unknown_code"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_odd_code_is_reported_once_when_the_process_dies_at_the_commit(bedside: Bedside, when: str) -> None:
    envelope = bedside.appended(a_report(at(0), {INDEX: 1}), recorded_at=at(0))
    message = bedside.message(envelope)
    faults.die("TransactWriteItems", when)
    with pytest.raises(faults.Death):
        bedside.world.deliver(raise_alarm.handler, message)

    assert bedside.world.deliver(raise_alarm.handler, later(message)) == []

    assert bedside.not_judged() == {INDEX: "unknown_code"}


def test_two_workers_report_an_odd_code_once(bedside: Bedside) -> None:
    envelopes = [bedside.appended(a_report(at(seconds), {INDEX: 1}), recorded_at=at(seconds)) for seconds in range(2)]

    def other_worker() -> None:
        assert bedside.world.deliver(raise_alarm.handler, bedside.message(envelopes[1])) == []

    faults.meanwhile("TransactWriteItems", other_worker)
    bedside.world.deliver(raise_alarm.handler, bedside.message(envelopes[0]))
    bedside.world.deliver(raise_alarm.handler, later(bedside.message(envelopes[0])))

    assert bedside.not_judged() == {INDEX: "unknown_code"}


def test_a_code_that_was_odd_is_judged_again_and_is_then_not_listed(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, 127), (10, 80))
    assert [problem.code for problem in bedside.raised()] == [SPO2]
    row = bedside.world.row(UnjudgedReadings, "MON-7")
    assert row
    assert row.lines == []

    bedside.measures(SPO2, (20, 127))

    row = bedside.world.row(UnjudgedReadings, "MON-7")
    assert row
    assert row.lines == [f"{SPO2}: impossible value"]
    assert bedside.not_judged() == {SPO2: "impossible_value"}


def test_a_vital_sign_without_limits_is_reported_until_limits_are_set(bedside: Bedside) -> None:
    bedside.measures(DIASTOLIC, (0, 20))
    assert bedside.raised() == []
    assert bedside.not_judged() == {DIASTOLIC: "no_limits"}

    bedside.has_limits(limits(code=DIASTOLIC, low=50))
    bedside.measures(DIASTOLIC, (10, 20))

    assert [problem.code for problem in bedside.raised()] == [DIASTOLIC]
    row = bedside.world.row(UnjudgedReadings, "MON-7")
    assert row
    assert row.lines == []


def test_a_value_with_more_than_six_decimal_places_is_rounded_judged_and_reported_once(bedside: Bedside) -> None:
    bedside.has_limits(limits(code=HEAT, low=None, high=37.9, margin=0.2))

    bedside.measures(HEAT, (0, 36.888888888888886), (10, 37.94444444444444), (20, 37.94444444444444))

    assert [str(problem.value) for problem in bedside.raised()] == ["37.9"]
    (event,) = bedside.emitted(ReadingRounded)
    assert (event.code, event.value) == (HEAT, Decimal("36.888889"))
    assert bedside.not_judged() == {}


@pytest.mark.parametrize("value", [0.1234567, 1e-200, 36.888888888888886])
def test_the_view_stores_a_value_with_at_most_six_decimal_places(world: World, value: float) -> None:
    tracked(world, [a_report(at(0), {HEAT: value})])

    row = world.row(DeviceStatus, "MON-7")
    assert row
    assert row.readings[HEAT].value == round(Decimal(str(value)), 6)


def test_the_view_stores_a_value_that_is_not_a_number_as_none(world: World) -> None:
    tracked(world, [a_report(at(0), [reading(PULSE, "72"), reading(SPO2, 97), None])])

    row = world.row(DeviceStatus, "MON-7")
    assert row
    assert {code: each.value for code, each in row.readings.items()} == {PULSE: None, SPO2: 97, NO_CODE: None}


# Guards: the names that have no place among the readings.
@pytest.mark.parametrize("name", ["status", "id", "version", "measured_at", "readings"])
def test_a_code_cannot_overwrite_another_attribute_of_the_view(world: World, name: str) -> None:
    tracked(world, [a_report(at(0), [reading(name, 1, "%"), reading(SPO2, 97)])])

    row = world.row(DeviceStatus, "MON-7")
    assert row
    assert (row.status, list(row.readings)) == ("on", [SPO2])


# The saturations of NEWS2's chart, at its limit of 91.
@pytest.mark.parametrize(("value", "alarms"), [(91, True), (91.4, True), (91.49, True), (91.5, False), (92, False)])
def test_a_value_is_judged_as_it_is_read_on_the_chart(world: World, value: float, *, alarms: bool) -> None:
    bedside = Bedside(world)
    bedside.measures(SPO2, (0, value), (15, value))

    assert [problem.value for problem in bedside.raised()] == ([Decimal(91)] if alarms else [])


@pytest.mark.parametrize(
    ("value", "alarms"), [(35, True), (35.04, True), (35.05, False), (39.04, False), (39.05, True)]
)
def test_a_temperature_is_judged_with_one_decimal_place(world: World, value: float, *, alarms: bool) -> None:
    bedside = Bedside(world)
    bedside.measures(HEAT, (0, value), (15, value))

    assert bool(bedside.raised()) is alarms


# Guards: the decimal places of the limits.
@pytest.mark.parametrize(("value", "alarms"), [(90.5, True), (90.54, True), (90.6, False)])
def test_a_value_has_at_least_the_decimal_places_of_its_limits(world: World, value: float, *, alarms: bool) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(low=90.5))

    bedside.measures(SPO2, (0, value))

    assert bool(bedside.raised()) is alarms


@pytest.mark.parametrize("values", [(80, 97), (97, 80)])
def test_a_code_that_is_twice_in_a_report_is_judged_by_the_worst_value(
    bedside: Bedside, values: tuple[int, int]
) -> None:
    bedside.reports(0, readings=[reading(SPO2, value) for value in values])

    assert [problem.value for problem in bedside.raised()] == [80]


def test_a_report_with_more_odd_codes_than_fit_is_processed_and_later_reports_emit_the_rest(bedside: Bedside) -> None:
    bedside.has_limits(*(limits(code=code, low=10, high=30, margin=0, revision=2) for code in KINDS))
    bedside.reports(0, readings=dict.fromkeys(KINDS, 5.00000001))
    odd = {f"{n:05d}-0": 1.0 for n in range(MAX_READINGS - len(KINDS))}
    written = faults.requests("TransactWriteItems")

    bedside.reports(1, readings={**dict.fromkeys(KINDS, 40), **odd}, status="fault", battery=255)
    bedside.reports(2, readings=odd, battery=255)

    assert len(bedside.emitted(ReadingRounded)) == len(KINDS)
    assert bedside.not_judged() == dict.fromkeys((*odd, "battery"), "unknown_code") | {"battery": "impossible_value"}
    assert max(len(each["TransactItems"]) for each in written) + 4 <= MAX_WRITES
    assert len(odd) > MAX_EVENTS


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_value_is_possible_up_to_the_ends_of_its_range(kind: Kind) -> None:
    for value in (kind.lowest, kind.highest):
        assert isinstance(interpret(Reading(code=kind.code, unit=kind.unit, value=value)), Measured)
    for value in (kind.lowest - 1, kind.highest + 1):
        meaning = interpret(Reading(code=kind.code, unit=kind.unit, value=value))
        assert isinstance(meaning, NotJudged)
        assert meaning.expected.startswith(str(kind))
