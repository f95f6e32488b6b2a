"""What a hospital may send about its devices: identified, in known units, of possible size, and not from the future."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken, personal_fields
from daybook.contracts.envelope import MAX_EVENT_BYTES
from events.equipment import (
    MOST_READINGS,
    AlarmLimitsSet,
    EquipmentAlarmAcknowledged,
    EquipmentRegistered,
    EquipmentStatusReported,
)
from events.vitals import KINDS, UNITS
from tests.unit.bedside import HEAT, SPO2, a_registration, report_data
from tests.unit.builders import sent
from tests.unit.world import World, errors

DEVICES = "hospital.devices"


def read(data: dict[str, Any]) -> EquipmentStatusReported:
    return EquipmentStatusReported.read(json.dumps(data), version=1)


def reading(code: str, value: object, unit: str) -> dict[str, Any]:
    return report_data() | {"readings": [{"code": code, "unit": unit, "value": value}]}


def now(**later: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(**later))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_reading_at_the_limits_of_the_possible_is_taken_and_one_beyond_is_not(kind: Any) -> None:
    for value in (kind.lowest, kind.highest):
        assert read(reading(kind.code, int(value), kind.unit)).readings[0].value == value
    for value in (kind.lowest - 1, kind.highest + 1):
        with pytest.raises(ContractBroken, match=f"{kind.code}.*{kind.name}.*to {kind.highest}"):
            read(reading(kind.code, int(value), kind.unit))


def test_a_saturation_of_140_percent_is_refused_with_what_it_can_be_and_nothing_of_what_was_sent(world: World) -> None:
    world.admit(sent(reading(SPO2, 140.25, "%"), type="EquipmentStatusReported", source=DEVICES))

    (dead,) = world.dead_letters()
    assert dead.error == "ContractBroken"
    assert dead.attributes["reason"] == (
        "EquipmentStatusReported: readings.0: 59408-5 (oxygen saturation by pulse oximetry) is in %, from 0 to 100"
    )


@pytest.mark.parametrize(
    ("code", "unit", "told"),
    [(HEAT, "[degF]", "is in Cel"), (SPO2, "1", "is in %"), ("20077-4", "furlong", "must be one of these: %")],
)
def test_a_unit_that_is_not_the_codes_own_or_not_known_is_refused_by_the_units_that_are(
    code: str, unit: str, told: str
) -> None:
    with pytest.raises(ContractBroken, match=told) as refused:
        read(reading(code, 98.6, unit))
    assert "furlong" not in str(refused.value)


def test_a_code_that_is_not_known_is_taken_in_any_known_unit() -> None:
    for unit in UNITS:
        assert read(reading("20077-4", -3.5, unit)).readings[0].value == Decimal("-3.5")


@pytest.mark.parametrize("digits", ["36.6", "0.1", "-12.345678", "123456.654321", "97", "97.0", "1e2"])
def test_a_value_keeps_its_digits_on_the_whole_way(digits: str) -> None:
    text = json.dumps(reading("20077-4", 0, "%")).replace('"value": 0', f'"value": {digits}')

    report = EquipmentStatusReported.read(text, version=1)

    assert report.readings[0].value == Decimal(digits)
    written = json.loads(report.to_json(), parse_float=Decimal)["readings"][0]["value"]
    assert not isinstance(written, str)
    assert written == Decimal(digits)


@pytest.mark.parametrize("value", ["36.6", None, True, [36.6], 1e300, 0.1234567, 10**13])
def test_a_value_that_is_no_number_of_12_digits_is_refused(value: object) -> None:
    with pytest.raises(ContractBroken, match=r"readings\.0\.value"):
        read(reading("20077-4", value, "%"))


def test_two_readings_of_one_code_are_refused() -> None:
    data = report_data(readings={SPO2: 97})
    with pytest.raises(ContractBroken, match="of each code a report has one reading at most"):
        read(data | {"readings": data["readings"] * 2})


@pytest.mark.parametrize("given", [{"udi": "(01)04012345678901"}, {"serial": "SN 4711/b"}])
def test_one_of_udi_and_serial_is_enough(given: dict[str, str]) -> None:
    data = {"udi": None, "serial": None} | given

    assert read(report_data() | data)
    assert EquipmentRegistered.read(json.dumps(json.loads(a_registration().to_json()) | data), version=1)


def test_a_device_that_does_not_say_which_it_is_is_refused() -> None:
    data = {"udi": None, "serial": None}
    with pytest.raises(ContractBroken, match="identified by its udi, its serial or both"):
        read(report_data() | data)
    with pytest.raises(ContractBroken, match="identified by its udi, its serial or both"):
        EquipmentRegistered.read(json.dumps(json.loads(a_registration().to_json()) | data), version=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("udi", "(01)" + "0" * 252),
        ("udi", "(01)\n"),
        ("udi", ""),
        ("udi", "(01)ä"),
        ("ward", "ICU 2"),
        ("device_id", "MON#7"),
        ("status", "asleep"),
        ("battery", 101),
        ("battery", -1),
        ("battery", 50.5),
        ("measured_at", "2026-03-01T12:00:00"),
        ("readings", [{"code": f"{n}-0", "unit": "%", "value": 1} for n in range(MOST_READINGS + 1)]),
        ("readings", [{"code": "heart-rate", "unit": "%", "value": 1}]),
    ],
)
def test_what_is_out_of_its_limits_is_refused(field: str, value: object) -> None:
    with pytest.raises(ContractBroken, match=rf"EquipmentStatusReported: {field}"):
        read(report_data() | {field: value})


# Guards: the contract names the field that says when it happened.
@pytest.mark.parametrize(("minutes", "admitted"), [(4.9, True), (5.1, False)])
def test_a_measurement_more_than_five_minutes_ahead_is_refused(world: World, minutes: float, *, admitted: bool) -> None:
    data = report_data() | {"measured_at": now(minutes=minutes)}

    # The sender's own word on the time does not help it.
    world.admit(sent(data, type="EquipmentStatusReported", source=DEVICES, metadata={"time": now()}))

    assert errors(world.dead_letters()) == ([] if admitted else ["BadTime"])
    assert len(world.stream("device/MON-7")) == admitted


def test_a_report_counts_as_of_when_it_was_measured(world: World) -> None:
    measured_at = now(minutes=-3)

    world.admit(sent(report_data() | {"measured_at": measured_at}, type="EquipmentStatusReported", source=DEVICES))

    (stored,) = world.stream("device/MON-7")
    assert stored.metadata.time == measured_at


@pytest.mark.parametrize("source", ["hospital.assets", "daybook.equipment", "shop.checkout"])
def test_only_the_devices_gateway_reports(world: World, source: str) -> None:
    world.admit(sent(report_data(), type="EquipmentStatusReported", source=source))

    assert errors(world.dead_letters()) == ["SourceNotAllowed"]


def limits_data(**other: Any) -> dict[str, Any]:
    return {**AlarmLimitsSet.example, **other}


@pytest.mark.parametrize("applies_to", ["everywhere", "ward:ICU-2", "device:MON-7", "device:" + "x" * 64])
def test_limits_apply_to_a_device_a_ward_or_everywhere(applies_to: str) -> None:
    limits = AlarmLimitsSet.read(json.dumps(limits_data(applies_to=applies_to)), version=1)

    assert limits.stream == f"limits/{applies_to}"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"applies_to": "ICU-2"}, "applies_to"),
        ({"applies_to": "ward:"}, "applies_to"),
        ({"applies_to": "ward:ICU-2\n"}, "applies_to"),
        ({"applies_to": "everywhere:x"}, "applies_to"),
        ({"low": None}, "a low limit, a high one or both"),
        ({"low": 95, "high": 95}, "low must be below high"),
        ({"low": 90, "high": 95, "margin": 2.5}, "room between their margins"),
        ({"low": 101}, "is in %, from 0 to 100"),
        ({"margin": -1}, "margin"),
        ({"delay": -1}, "delay"),
        ({"acknowledge_within": 0}, "acknowledge_within"),
        ({"revision": 0}, "revision"),
        ({"code": "20077-4"}, "these codes alone: 19891-1, 59408-5"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractBroken, match=complaint):
        AlarmLimitsSet.read(json.dumps(limits_data(**given)), version=1)


def test_the_largest_report_is_far_from_the_limit_of_an_event() -> None:
    readings = [{"code": f"{n:08d}-0", "unit": "mL/cm[H2O]", "value": -123456.654321} for n in range(MOST_READINGS)]
    device = {"device_id": "d" * 64, "udi": "u" * 255, "serial": "s" * 64, "type": "t" * 64, "ward": "w" * 64}

    assert len(read(report_data() | device | {"readings": readings}).to_json().encode()) < MAX_EVENT_BYTES / 4


def test_who_acknowledges_is_marked_as_being_about_a_person_and_hides_from_printing() -> None:
    assert personal_fields(EquipmentAlarmAcknowledged) == {"who"}
    assert "S-1024" not in repr(EquipmentAlarmAcknowledged(alarm_id="MON-7:fault:1", who="S-1024"))
