"""The deployed equipment service: each alarm pages staff once at each level, and silence raises an alarm."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.local.faults import Fault, Faults
from daybook.store.cursor import Cursors
from events.vitals import KINDS
from samples.hospital.pager import Page, pages
from tests.deployed.deployed import Deployed, an_event, put_into_queue, short_visibility_timeout
from tests.local.processes import unique, until

SPO2 = "59408-5"
FINE, LOW = 97, 85
PAGER = "page-staff"


def test_a_saturation_that_stays_low_is_paged_and_can_be_acknowledged(system: Deployed) -> None:
    device = a_registered_device(system)
    now = datetime.now(UTC)

    system.receives(a_report(device, FINE, now - timedelta(seconds=40)))
    for seconds in (30, 20, 10):
        system.receives(a_report(device, LOW, now - timedelta(seconds=seconds)))

    (alarm,) = alarms(system, device)
    (page,) = pages_about(system, device)
    assert (page.ward, page.level, page.subject) == ("ICU-2", 1, "ICU-2: alarm, level 1")
    assert f"Oxygen saturation by pulse oximetry: {LOW} %, at or below the limit of 91" in page.text
    assert f"Alarm {alarm['id']}" in page.text
    row = system.row("devices", device, of="track-equipment")
    assert (row["ward"], row[SPO2]["value"]) == ("ICU-2", LOW)

    system.receives(an_acknowledgement(alarm["id"]))

    (alarm,) = alarms(system, device)
    assert (alarm["stage"], alarm["problem"]["limit"]) == ("acknowledged", 91)
    assert types_of(system, alarm["id"]) == ["EquipmentAlarmRaised", "StaffPaged", "EquipmentAlarmAcknowledged"]


def test_an_alarm_that_nobody_acknowledges_is_paged_once_at_each_level(system: Deployed) -> None:
    device = a_device_that_alarms_at_once(system, acknowledge_within=1)

    system.receives(a_report(device, LOW))
    until(lambda: fires_timers(system) and len(pages_about(system, device)) == 3, what="all levels are paged")
    fires_timers(system)
    system.finishes()

    assert [page.level for page in pages_about(system, device)] == [1, 2, 3]
    (alarm,) = alarms(system, device)
    assert alarm["level"] == 3
    assert types_of(system, alarm["id"]).count("AcknowledgementDue") == 2


def test_a_silent_device_is_paged_once_and_its_alarm_is_cleared_by_the_next_report(system: Deployed) -> None:
    device = a_registered_device(system, reports_every=1)
    system.receives(a_report(device, FINE))

    until(lambda: fires_timers(system) and pages_about(system, device), what="the silence is paged")
    fires_timers(system)
    system.finishes()
    (page,) = pages_about(system, device)
    assert "The device sends no reports" in page.text

    (raised,) = alarms(system, device)
    system.receives(a_report(device, FINE))
    # The device may be silent again by now, with another alarm.
    (cleared,) = [alarm for alarm in alarms(system, device) if alarm["id"] == raised["id"]]
    assert (cleared["problem"]["kind"], cleared["stage"]) == ("silence", "cleared")

    system.receives(a_retirement(device))
    until(lambda: fires_timers(system) and not timers(system, device), what="the last timer has fired")


def test_alarms_are_raised_while_the_pager_is_down_and_paged_later(system: Deployed, faults: Faults) -> None:
    device = a_device_that_alarms_at_once(system)
    down = Fault.throttled("Throttled", function=PAGER, operation="Publish", mentions=device, times=1_000)

    with faults.inject(down):
        system.sends(a_report(device, LOW))
        until(lambda: faults.injected_count(down) >= 2, what="the page was tried twice")
        assert [alarm["stage"] for alarm in alarms(system, device)] == ["raised"]
        assert pages_about(system, device) == []
    system.finishes()

    assert len(pages_about(system, device)) == 1


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (Fault.death("before", function=PAGER, operation="Publish"), 0),
        (Fault.death("after", function=PAGER, operation="Publish"), 1),
        (Fault.timeout("after", function=PAGER, operation="Publish"), 1),
    ],
    ids=["death before", "death after", "no answer"],
)
def test_a_page_with_an_unknown_outcome_is_a_dead_letter_and_is_not_sent_again(
    system: Deployed, faults: Faults, failure: Fault, sent: int
) -> None:
    device = a_device_that_alarms_at_once(system)

    with (
        short_visibility_timeout(system, PAGER, until_true=lambda: faults.injected_count(failure)),
        faults.inject(failure),
    ):
        system.sends(a_report(device, LOW))
        until(lambda: alarms(system, device), what="the alarm is raised")
        (alarm,) = alarms(system, device)
        raised = next(system.connection.store.stream(f"alarm/{alarm['id']}")).metadata.id
        dead = system.dead(raised, PAGER)
    assert faults.injected_count(failure) == 1
    assert dead.details["error"] == "OutcomeUnknown"
    assert len(pages_about(system, device)) == sent

    # To send the message again does not send the page again.
    put_into_queue(system, PAGER, dead.details["body"])
    system.drains(PAGER)

    assert len(pages_about(system, device)) == sent


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_alarm_is_raised_once_when_the_process_dies_at_the_commit(
    system: Deployed, faults: Faults, when: Any
) -> None:
    device = a_device_that_alarms_at_once(system)
    death = Fault.death(when, function="raise-alarm", operation="TransactWriteItems", mentions=f"alarm/{device}")

    with (
        short_visibility_timeout(system, "raise-alarm", until_true=lambda: faults.injected_count(death)),
        faults.inject(death),
    ):
        system.receives(a_report(device, LOW))

    assert faults.injected_count(death) == 1
    assert len(pages_about(system, device)) == 1
    (alarm,) = alarms(system, device)
    assert types_of(system, alarm["id"]) == ["EquipmentAlarmRaised", "StaffPaged"]


def test_a_hundred_reports_in_one_second_are_processed_in_order_and_page_once(system: Deployed) -> None:
    assert_reports_in_one_second_are_processed_in_order_and_page_once(system, reports=100)


def assert_reports_in_one_second_are_processed_in_order_and_page_once(system: Deployed, *, reports: int) -> None:
    """Send this many low readings of one device, measured within one second."""
    device = a_device_that_alarms_at_once(system)
    begin, apart = datetime.now(UTC) - timedelta(seconds=1), timedelta(seconds=1) / reports

    ids = system.sends(*[a_report(device, LOW, begin + number * apart) for number in range(reports)])
    system.finishes(*ids)

    stream = [
        envelope.metadata
        for envelope in system.connection.store.stream(f"device/{device}")
        if envelope.metadata.type == "EquipmentStatusReported"
    ]
    assert sorted(metadata.id for metadata in stream) == sorted(ids)
    for consumer in ("raise-alarm", "track-equipment"):
        entries = [system.connection.ledger.find(event, consumer) for event in ids]
        assert {entry.state for entry in entries if entry} == {"committed"}
        assert None not in entries
    here = system.connection
    cursors = Cursors(here.dynamodb, here.names.ledger, "raise-alarm", lambda: here.keyring.writer("raise-alarm"))
    cursor = cursors.read(f"device/{device}")
    assert (cursor.sequence, cursor.pending) == (stream[-1].sequence, None)
    newest = clock.timestamp(begin + (reports - 1) * apart)
    assert system.row("watch", device, of="raise-alarm")["last_measured_at"] == newest
    assert system.row("devices", device, of="track-equipment")["measured_at"] == newest
    assert len(alarms(system, device)) == len(pages_about(system, device)) == 1


def test_an_hourly_measurement_is_paged_when_its_delay_has_passed_and_odd_readings_are_reported(
    system: Deployed,
) -> None:
    device = a_registered_device(system)
    odd = {"code": "8741-1", "unit": "L/min/m2", "value": 2.5}
    low = {"code": "150021", "unit": "kPa", "value": 8}
    system.receives(limits_for(device, code="8480-6", delay=1))

    system.receives(a_report(device, 127, readings=[*readings_of(127), odd, low]))
    until(lambda: fires_timers(system) and pages_about(system, device), what="the low pressure is paged")
    system.finishes()

    (page,) = pages_about(system, device)
    assert "Systolic blood pressure: 60 mm[Hg], at or below the limit of 90" in page.text
    reported = [
        json.loads(envelope.data)
        for envelope in system.connection.store.stream(f"device/{device}")
        if envelope.metadata.type == "ReadingNotJudged"
    ]
    assert {each["code"]: each["reason"] for each in reported} == {SPO2: "impossible_value", "8741-1": "unknown_code"}


def test_admit_rejects_a_report_from_the_future(system: Deployed) -> None:
    (ahead,) = system.sends(a_report(unique("MON"), FINE, datetime.now(UTC) + timedelta(minutes=6)))

    assert system.refusals(ahead) == {ahead: "BadTime"}


def a_device(**other: Any) -> dict[str, Any]:
    return {"serial": "SN-4711", "type": "patient-monitor", "ward": "ICU-2", **other}


def a_registration(device: str, *, reports_every: int = 3600, revision: int = 1) -> dict[str, Any]:
    data = a_device(device_id=device, reports_every=reports_every, revision=revision)
    return an_event("EquipmentRegistered", data, source="hospital.assets")


def a_retirement(device: str, *, revision: int = 2) -> dict[str, Any]:
    return an_event("EquipmentRetired", {"device_id": device, "revision": revision}, source="hospital.assets")


def a_registered_device(system: Deployed, *, reports_every: int = 3600) -> str:
    """Register a new device. Returns its id."""
    device = unique("MON")
    system.receives(a_registration(device, reports_every=reports_every))
    return device


def a_device_that_alarms_at_once(system: Deployed, *, acknowledge_within: int = 3600) -> str:
    """Register a new device whose first low saturation raises an alarm. Returns its id."""
    device = a_registered_device(system)
    system.receives(limits_for(device, acknowledge_within=acknowledge_within))
    return device


def a_report(device: str, saturation: float, measured_at: datetime | None = None, **other: Any) -> dict[str, Any]:
    """An EquipmentStatusReported entry, measured now by default."""
    state = {"status": "on", "battery": 80, "measured_at": clock.timestamp(measured_at or datetime.now(UTC))}
    data = a_device(device_id=device, **({"readings": readings_of(saturation)} | state | other))
    return an_event("EquipmentStatusReported", data, source="hospital.devices")


def readings_of(saturation: float) -> list[dict[str, Any]]:
    """The readings of a report that has only a saturation."""
    return [{"code": SPO2, "unit": KINDS[SPO2].unit, "value": saturation}]


def limits_for(device: str, *, code: str = SPO2, delay: int = 0, acknowledge_within: int = 3600) -> dict[str, Any]:
    """An AlarmLimitsSet entry: the first low reading of the device raises an alarm, and an hour in range clears it."""
    times = {"margin": 0, "delay": delay, "hold": 3600, "acknowledge_within": acknowledge_within}
    data = {"applies_to": f"device:{device}", "code": code, "low": 90, "revision": 1, **times}
    return an_event("AlarmLimitsSet", data, source="hospital.clinical-engineering")


def an_acknowledgement(alarm: str, staff_id: str = "S-1024") -> dict[str, Any]:
    return an_event("EquipmentAlarmAcknowledged", {"alarm_id": alarm, "staff_id": staff_id}, source="hospital.ward")


def alarms(system: Deployed, device: str) -> list[dict[str, Any]]:
    """The rows of all alarms of the device."""
    rows = system.items(system.table("alarms", "raise-alarm"))
    return [row for row in rows if row["problem"]["device_id"] == device]


def types_of(system: Deployed, alarm: str) -> list[str]:
    """The types of the events of an alarm."""
    return [envelope.metadata.type for envelope in system.connection.store.stream(f"alarm/{alarm}")]


def pages_about(system: Deployed, device: str) -> list[Page]:
    """The pages about the device, in the order of arrival."""
    return [page for page in pages(system.cloud, system.connection) if f"{device} " in page.text]


def timers(system: Deployed, device: str) -> list[Mapping[str, Any]]:
    """The device's timers that have not fired."""
    return [item for item in system.items(system.connection.names.due) if item.get("stream") == f"device/{device}"]


def fires_timers(system: Deployed) -> bool:
    """Run fire-timers now. Its schedule runs it within a minute. Always true, for use in conditions."""
    system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    return True
