"""The contracts of bedside devices: identity, units, possible values, and times."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken, personal_fields
from daybook.contracts.envelope import MAX_EVENT_BYTES
from events.equipment import (
    MAX_READINGS,
    AlarmLimitsSet,
    EquipmentAlarmAcknowledged,
    EquipmentRegistered,
    EquipmentStatusReported,
)
from events.vitals import NO_CODE
from tests.unit.builders import sent
from tests.unit.hospital.bedside import SPO2, a_registration, report_data
from tests.unit.world import World, errors

DEVICES = "hospital.devices"


def read(data: dict[str, Any]) -> EquipmentStatusReported:
    return EquipmentStatusReported.read(json.dumps(data), version=1)


def reading(code: str, value: object, unit: str) -> dict[str, Any]:
    return report_data(readings=[{"code": code, "unit": unit, "value": value}])


def now(**later: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(**later))


def test_admit_accepts_a_report_with_an_impossible_reading(world: World) -> None:
    world.admit(sent(reading(SPO2, 140.25, "%"), type="EquipmentStatusReported", source=DEVICES))

    assert world.dead_letters() == []
    assert len(world.stream("device/MON-7")) == 1


@pytest.mark.parametrize("digits", ["36.6", "0.1", "-12.345678", "123456.654321", "97", "97.0", "1e2"])
def test_a_value_keeps_its_digits_from_json_to_json(digits: str) -> None:
    text = json.dumps(reading("20077-4", 0, "%")).replace('"value": 0', f'"value": {digits}')

    report = EquipmentStatusReported.read(text, version=1)

    assert report.readings[0].value == Decimal(digits)
    written = json.loads(report.to_json(), parse_float=Decimal)["readings"][0]["value"]
    assert not isinstance(written, str)
    assert written == Decimal(digits)


@pytest.mark.parametrize("value", ["36.6", None, True, [36.6], {}, 1e300, 10**13, -(10**12)])
def test_a_value_that_cannot_be_measured_is_read_as_no_value(value: object) -> None:
    assert read(reading(SPO2, value, "%")).readings[0].value is None


@pytest.mark.parametrize("given", [None, 7, "x", [], {}, {"code": None, "unit": None}, {"code": "   "}])
def test_a_reading_without_a_code_is_read_as_one_that_nobody_judges(given: object) -> None:
    (only,) = read(report_data() | {"readings": [given]}).readings

    assert (only.code, only.unit, only.value) == (NO_CODE, "", None)


@pytest.mark.parametrize(
    ("sent_as", "code"),
    [(150456, "150456"), (" 59408-5 ", SPO2), ("150456^X^MDC", "150456_X_MDC"), ("x" * 70, "x" * 64)],
)
def test_a_code_is_read_as_text_without_spaces_and_unusual_characters(sent_as: object, code: str) -> None:
    assert read(report_data() | {"readings": [{"code": sent_as, "unit": "%", "value": 97}]}).readings[0].code == code


@pytest.mark.parametrize("given", [{"udi": "(01)04012345678901"}, {"serial": "SN 4711/b"}])
def test_one_of_udi_and_serial_is_enough(given: dict[str, str]) -> None:
    data = {"udi": None, "serial": None} | given

    assert read(report_data() | data)
    assert EquipmentRegistered.read(json.dumps(json.loads(a_registration().to_json()) | data), version=1)


def test_a_device_without_udi_and_serial_is_rejected() -> None:
    data = {"udi": None, "serial": None}
    with pytest.raises(ContractBroken, match="udi and serial are missing"):
        read(report_data() | data)
    with pytest.raises(ContractBroken, match="udi and serial are missing"):
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
        ("measured_at", "2026-03-01T12:00:00"),
        ("readings", [{"code": f"{n}-0", "unit": "%", "value": 1} for n in range(MAX_READINGS + 1)]),
    ],
)
def test_a_field_outside_its_limits_is_rejected(field: str, value: object) -> None:
    with pytest.raises(ContractBroken, match=rf"EquipmentStatusReported: {field}"):
        read(report_data() | {field: value})


# Guards: `happened` of the contract.
@pytest.mark.parametrize(("minutes", "admitted"), [(4.9, True), (5.1, False)])
def test_a_measurement_more_than_five_minutes_ahead_is_rejected(
    world: World, minutes: float, *, admitted: bool
) -> None:
    data = report_data() | {"measured_at": now(minutes=minutes)}

    # The time in the sender's metadata is not used.
    world.admit(sent(data, type="EquipmentStatusReported", source=DEVICES, metadata={"time": now()}))

    assert errors(world.dead_letters()) == ([] if admitted else ["BadTime"])
    assert len(world.stream("device/MON-7")) == admitted


def test_the_time_of_a_report_is_the_time_of_measurement(world: World) -> None:
    measured_at = now(minutes=-3)

    world.admit(sent(report_data() | {"measured_at": measured_at}, type="EquipmentStatusReported", source=DEVICES))

    (stored,) = world.stream("device/MON-7")
    assert stored.metadata.time == measured_at


@pytest.mark.parametrize("source", ["hospital.assets", "daybook.equipment", "shop.checkout"])
def test_only_the_devices_gateway_may_send_reports(world: World, source: str) -> None:
    world.admit(sent(report_data(), type="EquipmentStatusReported", source=source))

    assert errors(world.dead_letters()) == ["SourceNotAllowed"]


def limits_data(**other: Any) -> dict[str, Any]:
    return {**AlarmLimitsSet.example, **other}


@pytest.mark.parametrize("applies_to", ["everywhere", "ward:ICU-2", "device:MON-7", "device:" + "x" * 64])
def test_limits_apply_to_a_device_a_ward_or_everywhere(applies_to: str) -> None:
    limits = AlarmLimitsSet.read(json.dumps(limits_data(applies_to=applies_to)), version=1)

    assert limits.stream == f"limits/{applies_to}"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"applies_to": "ICU-2"}, "applies_to"),
        ({"applies_to": "ward:"}, "applies_to"),
        ({"applies_to": "ward:ICU-2\n"}, "applies_to"),
        ({"applies_to": "everywhere:x"}, "applies_to"),
        ({"low": None}, "low and high are missing"),
        ({"low": 95, "high": 95}, "must be less than high - margin"),
        ({"low": 90, "high": 95, "margin": 2.5}, "must be less than high - margin"),
        ({"low": 101}, "low is 101, but 59408-5 .* is in %, from 0 to 100"),
        ({"code": "2708-6", "low": -1}, "low is -1, but 59408-5 .* is in %, from 0 to 100"),
        ({"margin": -1}, "margin"),
        ({"delay": -1}, "delay"),
        ({"acknowledge_within": 0}, "acknowledge_within"),
        ({"revision": 0}, "revision"),
        ({"code": "20077-4"}, "code is 20077-4: .* only for these and their equivalents: 19891-1, 59408-5"),
    ],
)
def test_contradictory_limits_are_rejected(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContractBroken, match=reason):
        AlarmLimitsSet.read(json.dumps(limits_data(**given)), version=1)


def test_the_largest_report_is_much_smaller_than_the_limit_of_an_event() -> None:
    readings = [{"code": f"{n:08d}-0", "unit": "mL/cm[H2O]", "value": -123456.654321} for n in range(MAX_READINGS)]
    device = {"device_id": "d" * 64, "udi": "u" * 255, "serial": "s" * 64, "type": "t" * 64, "ward": "w" * 64}

    assert len(read(report_data() | device | {"readings": readings}).to_json().encode()) < MAX_EVENT_BYTES / 4


def test_the_staff_id_is_personal_and_hidden_in_repr() -> None:
    assert personal_fields(EquipmentAlarmAcknowledged) == {"staff_id"}
    assert "S-1024" not in repr(EquipmentAlarmAcknowledged(alarm_id="MON-7:fault:1", staff_id="S-1024"))
