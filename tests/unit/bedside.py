"""A device at a bed, and the functions that hear of it. Times are seconds after the test's own noon."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from events.equipment import (
    AlarmLimitsSet,
    EquipmentAlarmCleared,
    EquipmentAlarmRaised,
    EquipmentRegistered,
    EquipmentRetired,
    EquipmentStatusReported,
    Trouble,
)
from events.vitals import KINDS
from functions.equipment import raise_alarm, register_device, retire_device, set_limits, track_equipment
from functions.equipment.alarm import Alarm
from functions.equipment.watch import Watch
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import Handler, World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPO2, PULSE, BREATH, HEAT, DIASTOLIC = "59408-5", "8867-4", "9279-1", "8310-5", "8462-4"

MONITOR = {"udi": "(01)04012345678901(21)SN-4711", "serial": "SN-4711", "type": "patient-monitor", "ward": "ICU-2"}


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def report_data(
    measured_at: datetime = NOON, readings: Mapping[str, float] | None = None, **other: Any
) -> dict[str, Any]:
    """What the devices' gateway sends. `readings` are values by code, in the unit of their kind."""
    told = [
        {"code": code, "unit": KINDS[code].unit if code in KINDS else "cm[H2O]", "value": value}
        for code, value in (readings or {}).items()
    ]
    usual = {"device_id": "MON-7", **MONITOR, "status": "on", "readings": told, "battery": 80}
    return {**usual, "measured_at": clock.timestamp(measured_at), **other}


def a_report(
    measured_at: datetime = NOON, readings: Mapping[str, float] | None = None, **other: Any
) -> EquipmentStatusReported:
    return EquipmentStatusReported.model_validate(report_data(measured_at, readings, **other))


def a_registration(revision: int = 1, *, reports_every: int = 10, **other: Any) -> EquipmentRegistered:
    usual = {"device_id": "MON-7", **MONITOR, "reports_every": reports_every, "revision": revision}
    return EquipmentRegistered.model_validate({**usual, **other})


def a_retirement(revision: int = 2) -> EquipmentRetired:
    return EquipmentRetired(device_id="MON-7", revision=revision)


def limits(applies_to: str = "everywhere", code: str = SPO2, revision: int = 1, **other: Any) -> AlarmLimitsSet:
    """Limits that alarm at once and are patient with nobody, unless told."""
    usual = {"low": 90, "high": None, "margin": 2, "delay": 0, "hold": 0, "acknowledge_within": 60}
    return AlarmLimitsSet.model_validate(
        {"applies_to": applies_to, "code": code, "revision": revision, **usual, **other}
    )


def trouble(**other: Any) -> Trouble:
    """A saturation that is too low, unless told."""
    usual: dict[str, Any] = {"device_id": "MON-7", "type": "patient-monitor", "ward": "ICU-2", "kind": "reading"}
    usual |= {
        "code": SPO2,
        "name": KINDS[SPO2].name,
        "value": 88,
        "unit": "%",
        "side": "low",
        "limit": 91,
        "since": NOON,
    }
    return Trouble.model_validate({**usual, **other})


class Bedside:
    """One device in the world."""

    def __init__(self, world: World, device_id: str = "MON-7") -> None:
        self.world = world
        self.device_id = device_id
        self.stream = f"device/{device_id}"

    # --- acts -------------------------------------------------------------------------------------------------------

    def has_limits(self, *events: AlarmLimitsSet) -> None:
        self.world.receive(set_limits.handler, *events)

    def is_registered(self, *, seconds: float = 0, **other: Any) -> Envelope:
        event = a_registration(device_id=self.device_id, **other)
        return self.hears(register_device.handler, event, recorded_at=at(seconds))

    def is_retired(self, revision: int = 2, *, seconds: float = 0) -> Envelope:
        event = EquipmentRetired(device_id=self.device_id, revision=revision)
        return self.hears(retire_device.handler, event, recorded_at=at(seconds))

    def reports(self, seconds: float, *, arrives: float | None = None, **other: Any) -> Envelope:
        """A report of that time, recorded as it `arrives`, at once unless told. Readings are named by their code."""
        event = a_report(at(seconds), device_id=self.device_id, **other)
        return self.hears(raise_alarm.handler, event, recorded_at=at(seconds if arrives is None else arrives))

    def measures(self, code: str, *readings: tuple[float, float]) -> None:
        """Reports of one value each: seconds, value."""
        for seconds, value in readings:
            self.reports(seconds, readings={code: value})

    def hears(self, handler: Handler, event: Event, *, recorded_at: datetime) -> Envelope:
        """Append the event to the device's stream, and deliver it."""
        envelope = self.appended(event, recorded_at=recorded_at)
        assert self.world.deliver(handler, self.message(envelope)) == []
        return envelope

    def appended(self, event: Event, *, recorded_at: datetime) -> Envelope:
        now = clock.timestamp(recorded_at)
        envelope = recorded(event, after=self._last(now), now=now)
        self.world.append(envelope)
        return envelope

    def _last(self, now: str) -> Envelope | None:
        """The last event of its stream, never of later than now: what functions say themselves is of today."""
        last = next(iter(self.world.stream(self.stream)[-1:]), None)
        if last is None:
            return None
        return replace(last, metadata=replace(last.metadata, recorded_at=min(last.metadata.recorded_at, now)))

    @staticmethod
    def message(envelope: Envelope) -> Message:
        return Message(from_the_bus(envelope))

    # --- what there is afterwards -----------------------------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        return self.world.row(Watch, self.device_id) or Watch.blank(self.device_id)

    @property
    def alarms(self) -> list[Alarm]:
        """All alarms about it, in the order in which they were raised."""
        rows = [Alarm.from_item(item) for item in self.world.client.scan(TableName="daybook-test-alarms")["Items"]]
        own = [row for row in rows if row.about and row.about.device_id == self.device_id]
        return sorted(own, key=lambda row: int(row.alarm_id.rpartition(":")[2]))

    def raised(self) -> list[Trouble]:
        """What its alarms are about, in the order in which they were raised."""
        return [
            event.about for alarm in self.alarms for event in self.of(alarm) if isinstance(event, EquipmentAlarmRaised)
        ]

    def cleared(self) -> list[str]:
        """Why its alarms are over, those that are."""
        events = (event for alarm in self.alarms for event in self.of(alarm))
        return [event.because for event in events if isinstance(event, EquipmentAlarmCleared)]

    def of(self, alarm: Alarm) -> list[Event]:
        """What has happened to an alarm."""
        return self.world.events(f"alarm/{alarm.alarm_id}")

    def types(self) -> list[str]:
        """The types of all events of its stream."""
        return [envelope.metadata.type for envelope in self.world.stream(self.stream)]


def tracked(world: World, events: Iterable[EquipmentStatusReported]) -> None:
    """Let the view see these reports, one after the other."""
    for number, event in enumerate(events):
        assert world.deliver(track_equipment.handler, from_the_bus(recorded(event, id=f"e{number}"))) == []


def due(world: World, event: str = "SilenceCheckDue") -> list[dict[str, Any]]:
    """The timers that wait."""
    return [item for item in world.items("due") if item.get("type") == event]
