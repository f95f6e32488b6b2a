"""Devices at beds, deployed: who is on duty is paged once for each alarm, and silence is noticed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.local.faults import Fault, Faults
from daybook.store.cursor import Cursors
from events.vitals import KINDS
from samples.hospital.pager import Page, pages
from tests.deployed.deployed import Deployed, an_event, short_visibility_timeout, unique
from tests.deployed.test_shop import puts_into_queue
from tests.local.processes import until

SPO2 = "59408-5"
FINE, LOW = 97, 85
PAGER = "page-staff"


def test_a_saturation_that_stays_low_is_paged_and_acknowledged(system: Deployed) -> None:
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
    assert (alarm["stage"], alarm["about"]["limit"]) == ("acknowledged", 91)
    assert of(system, alarm["id"]) == ["EquipmentAlarmRaised", "StaffPaged", "EquipmentAlarmAcknowledged"]


def test_an_alarm_that_nobody_acknowledges_is_paged_on_each_level_and_then_no_more(system: Deployed) -> None:
    device = a_device_at_risk(system, acknowledge_within=1)

    system.receives(a_report(device, LOW))
    until(lambda: sweeps(system) and len(pages_about(system, device)) == 3, what="all levels are paged")
    sweeps(system)
    system.finishes()

    assert [page.level for page in pages_about(system, device)] == [1, 2, 3]
    (alarm,) = alarms(system, device)
    assert alarm["level"] == 3
    assert of(system, alarm["id"]).count("AcknowledgementDue") == 2


def test_a_device_that_falls_silent_is_paged_once_and_is_well_when_it_is_heard_again(system: Deployed) -> None:
    device = a_registered_device(system, reports_every=1)
    system.receives(a_report(device, FINE))

    until(lambda: sweeps(system) and pages_about(system, device), what="its silence is paged")
    sweeps(system)
    system.finishes()
    (page,) = pages_about(system, device)
    assert "Nothing is heard of the device" in page.text

    (raised,) = alarms(system, device)
    system.receives(a_report(device, FINE))
    # Since then it is silent again: another alarm may have been raised by now.
    (cleared,) = [alarm for alarm in alarms(system, device) if alarm["id"] == raised["id"]]
    assert (cleared["about"]["kind"], cleared["stage"]) == ("silence", "cleared")

    system.receives(a_retirement(device))
    until(lambda: sweeps(system) and not timers(system, device), what="its last timer has fired")


def test_alarms_go_on_while_the_pager_is_down_and_pages_follow(system: Deployed, faults: Faults) -> None:
    device = a_device_at_risk(system)
    down = Fault.throttled("Throttled", function=PAGER, operation="Publish", mentions=device, times=1_000)

    with faults.inject(down):
        system.sends(a_report(device, LOW))
        until(lambda: faults.injected_count(down) >= 2, what="the page was tried twice")
        assert [alarm["stage"] for alarm in alarms(system, device)] == ["raised"]
        assert pages_about(system, device) == []
    system.finishes()

    assert len(pages_about(system, device)) == 1


@pytest.mark.parametrize(
    ("mishap", "sent"),
    [
        (Fault.death("before", function=PAGER, operation="Publish"), 0),
        (Fault.death("after", function=PAGER, operation="Publish"), 1),
        (Fault.timeout("after", function=PAGER, operation="Publish"), 1),
    ],
    ids=["death before", "death after", "no answer"],
)
def test_a_page_of_which_nobody_knows_whether_it_was_sent_is_shown_and_not_sent_again(
    system: Deployed, faults: Faults, mishap: Fault, sent: int
) -> None:
    device = a_device_at_risk(system)

    with (
        short_visibility_timeout(system, PAGER, until_true=lambda: faults.injected_count(mishap)),
        faults.inject(mishap),
    ):
        system.sends(a_report(device, LOW))
        until(lambda: alarms(system, device), what="the alarm is raised")
        (alarm,) = alarms(system, device)
        raised = next(system.connection.store.stream(f"alarm/{alarm['id']}")).metadata.id
        dead = system.dead(raised, PAGER)
    assert faults.injected_count(mishap) == 1
    assert dead.details["error"] == "OutcomeUnknown"
    assert len(pages_about(system, device)) == sent

    # Somebody sends it again without having found out: that decides nothing.
    puts_into_queue(system, PAGER, dead.details["body"])
    system.drains(PAGER)

    assert len(pages_about(system, device)) == sent


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_dies_as_it_raises_an_alarm_raises_it_once(system: Deployed, faults: Faults, when: Any) -> None:
    device = a_device_at_risk(system)
    death = Fault.death(when, function="raise-alarm", operation="TransactWriteItems", mentions=f"alarm/{device}")

    with (
        short_visibility_timeout(system, "raise-alarm", until_true=lambda: faults.injected_count(death)),
        faults.inject(death),
    ):
        system.receives(a_report(device, LOW))

    assert faults.injected_count(death) == 1
    assert len(pages_about(system, device)) == 1
    (alarm,) = alarms(system, device)
    assert of(system, alarm["id"]) == ["EquipmentAlarmRaised", "StaffPaged"]


def test_a_hundred_reports_of_one_second_are_all_judged_in_order_and_page_once(system: Deployed) -> None:
    assert_all_are_judged_in_order_and_page_once(system, reports=100)


def assert_all_are_judged_in_order_and_page_once(system: Deployed, *, reports: int) -> None:
    """Send so many reports of one second of a device at risk. `tests/deep` sends a thousand."""
    device = a_device_at_risk(system)
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
    cursor = Cursors(system.connection.dynamodb, system.connection.names.ledger, "raise-alarm").read(f"device/{device}")
    assert (cursor.sequence, cursor.hold) == (stream[-1].sequence, None)
    newest = clock.timestamp(begin + (reports - 1) * apart)
    assert system.row("watch", device, of="raise-alarm")["judged"] == newest
    assert system.row("devices", device, of="track-equipment")["measured_at"] == newest
    assert len(alarms(system, device)) == len(pages_about(system, device)) == 1


def test_a_report_that_cannot_be_is_refused_at_the_door_with_what_it_could_be(system: Deployed) -> None:
    (impossible, ahead) = system.sends(
        a_report(unique("MON"), 140), a_report(unique("MON"), FINE, datetime.now(UTC) + timedelta(minutes=6))
    )

    assert system.refusals(impossible, ahead) == {impossible: "ContractBroken", ahead: "BadTime"}
    assert "is in %, from 0 to 100" in system.dead(impossible, "admit").details["reason"]


def a_device(**other: Any) -> dict[str, Any]:
    return {"serial": "SN-4711", "type": "patient-monitor", "ward": "ICU-2", **other}


def a_registration(device: str, *, reports_every: int = 3600, revision: int = 1) -> dict[str, Any]:
    data = a_device(device_id=device, reports_every=reports_every, revision=revision)
    return an_event("EquipmentRegistered", data, source="hospital.assets")


def a_retirement(device: str, *, revision: int = 2) -> dict[str, Any]:
    return an_event("EquipmentRetired", {"device_id": device, "revision": revision}, source="hospital.assets")


def a_registered_device(system: Deployed, *, reports_every: int = 3600) -> str:
    """A device of the test's own, which the asset register knows."""
    device = unique("MON")
    system.receives(a_registration(device, reports_every=reports_every))
    return device


def a_device_at_risk(system: Deployed, *, acknowledge_within: int = 3600) -> str:
    """Such a device, of which the first low saturation is an alarm."""
    device = a_registered_device(system)
    system.receives(limits_for(device, acknowledge_within=acknowledge_within))
    return device


def a_report(device: str, saturation: float, measured_at: datetime | None = None, **other: Any) -> dict[str, Any]:
    """An EquipmentStatusReported entry, of this moment unless told."""
    readings = [{"code": SPO2, "unit": KINDS[SPO2].unit, "value": saturation}]
    state = {"status": "on", "battery": 80, "measured_at": clock.timestamp(measured_at or datetime.now(UTC))}
    data = a_device(device_id=device, readings=readings, **(state | other))
    return an_event("EquipmentStatusReported", data, source="hospital.devices")


def limits_for(device: str, *, acknowledge_within: int = 3600) -> dict[str, Any]:
    """An AlarmLimitsSet entry: limits of one device that alarm at the first reading, and are well inside only after an
    hour.
    """
    patience = {"margin": 0, "delay": 0, "hold": 3600, "acknowledge_within": acknowledge_within}
    data = {"applies_to": f"device:{device}", "code": SPO2, "low": 90, "revision": 1, **patience}
    return an_event("AlarmLimitsSet", data, source="hospital.clinical-engineering")


def an_acknowledgement(alarm: str, who: str = "S-1024") -> dict[str, Any]:
    return an_event("EquipmentAlarmAcknowledged", {"alarm_id": alarm, "who": who}, source="hospital.ward")


def alarms(system: Deployed, device: str) -> list[dict[str, Any]]:
    """The rows of all alarms about the device."""
    rows = system.items(system.table("alarms", "raise-alarm"))
    return [row for row in rows if row["about"]["device_id"] == device]


def of(system: Deployed, alarm: str) -> list[str]:
    """What has happened to an alarm, event by event."""
    return [envelope.metadata.type for envelope in system.connection.store.stream(f"alarm/{alarm}")]


def pages_about(system: Deployed, device: str) -> list[Page]:
    """The pages about the device, in the order in which they came."""
    return [page for page in pages(system.cloud, system.connection) if f"{device} " in page.text]


def timers(system: Deployed, device: str) -> list[Mapping[str, Any]]:
    """The timers that wait to look for the device's silence."""
    return [item for item in system.items(system.connection.names.due) if item.get("stream") == f"device/{device}"]


def sweeps(system: Deployed) -> bool:
    """Let the sweep run now; its schedule would do so within the minute."""
    system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    return True
