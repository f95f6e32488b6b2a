"""A bedside device, and the functions that handle its events. Times are seconds after the tests' NOON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

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
    Problem,
    ReadingNotJudged,
)
from events.vitals import KINDS, kind_of
from functions.equipment import (
    raise_alarm,
    raise_pending_alarm,
    register_device,
    retire_device,
    set_limits,
    track_equipment,
)
from functions.equipment.alarm import Alarm
from functions.equipment.watch import Watch
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.test_timers import fire_due_timers
from tests.unit.world import Handler, World

E = TypeVar("E", bound=Event)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPO2, PULSE, BREATH, HEAT, DIASTOLIC = "59408-5", "8867-4", "9279-1", "8310-5", "8462-4"

MONITOR = {"udi": "(01)04012345678901(21)SN-4711", "serial": "SN-4711", "type": "patient-monitor", "ward": "ICU-2"}


def at(seconds: float) -> datetime:
    """The time this many seconds after NOON."""
    return NOON + timedelta(seconds=seconds)


# Values by code, or readings as they are sent.
Readings = Mapping[str, float] | Sequence[object]


def report_data(measured_at: datetime = NOON, readings: Readings | None = None, **other: Any) -> dict[str, Any]:
    """A report as the devices' gateway sends it. Values by code are sent in the unit of their vital sign."""
    listed = [reading(code, value) for code, value in readings.items()] if isinstance(readings, Mapping) else readings
    usual = {"device_id": "MON-7", **MONITOR, "status": "on", "readings": listed or [], "battery": 80}
    return {**usual, "measured_at": clock.timestamp(measured_at), **other}


def reading(code: str, value: object, unit: str | None = None) -> dict[str, Any]:
    """One reading as it is sent, by default in the unit of its vital sign."""
    kind = kind_of(code)
    return {"code": code, "unit": unit or (kind.unit if kind else "cm[H2O]"), "value": value}


def a_report(measured_at: datetime = NOON, readings: Readings | None = None, **other: Any) -> EquipmentStatusReported:
    return EquipmentStatusReported.read(json.dumps(report_data(measured_at, readings, **other)), version=1)


def a_registration(revision: int = 1, *, reports_every: int = 10, **other: Any) -> EquipmentRegistered:
    usual = {"device_id": "MON-7", **MONITOR, "reports_every": reports_every, "revision": revision}
    return EquipmentRegistered.model_validate({**usual, **other})


def a_retirement(revision: int = 2) -> EquipmentRetired:
    return EquipmentRetired(device_id="MON-7", revision=revision)


def limits(applies_to: str = "everywhere", code: str = SPO2, revision: int = 1, **other: Any) -> AlarmLimitsSet:
    """Limits without delay and hold by default: an alarm is raised and cleared at once."""
    usual = {"low": 90, "high": None, "margin": 2, "delay": 0, "hold": 0, "acknowledge_within": 60}
    return AlarmLimitsSet.model_validate(
        {"applies_to": applies_to, "code": code, "revision": revision, **usual, **other}
    )


def problem(**other: Any) -> Problem:
    """A saturation that is too low, by default."""
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
    return Problem.model_validate({**usual, **other})


class Bedside:
    """One device and its events in the world of a test."""

    def __init__(self, world: World, device_id: str = "MON-7") -> None:
        self.world = world
        self.device_id = device_id
        self.stream = f"device/{device_id}"

    # --- what happens -----------------------------------------------------------------------------------------------

    def has_limits(self, *events: AlarmLimitsSet) -> None:
        self.world.receive(set_limits.handler, *events)

    def is_registered(self, *, seconds: float = 0, **other: Any) -> Envelope:
        event = a_registration(device_id=self.device_id, **other)
        return self.receives(register_device.handler, event, recorded_at=at(seconds))

    def is_retired(self, revision: int = 2, *, seconds: float = 0) -> Envelope:
        event = EquipmentRetired(device_id=self.device_id, revision=revision)
        return self.receives(retire_device.handler, event, recorded_at=at(seconds))

    def reports(self, seconds: float, *, arrives: float | None = None, **other: Any) -> Envelope:
        """A report that is measured at `seconds` and recorded when it `arrives`, by default at once."""
        event = a_report(at(seconds), device_id=self.device_id, **other)
        return self.receives(raise_alarm.handler, event, recorded_at=at(seconds if arrives is None else arrives))

    def measures(self, code: str, *readings: tuple[float, float]) -> None:
        """Reports with one value each, given as seconds and value."""
        for seconds, value in readings:
            self.reports(seconds, readings={code: value})

    def delays_pass(self) -> None:
        """Fire the timers of pending alarms. Those fired before are delivered again, as duplicates."""
        fire_due_timers()
        for envelope in self.world.stream(self.stream):
            if envelope.metadata.type == "PendingAlarmDue":
                assert self.world.deliver(raise_pending_alarm.handler, self.message(envelope)) == []

    def receives(self, handler: Handler, event: Event, *, recorded_at: datetime) -> Envelope:
        """Append an event to the device's stream, and deliver it."""
        envelope = self.appended(event, recorded_at=recorded_at)
        assert self.world.deliver(handler, self.message(envelope)) == []
        return envelope

    def appended(self, event: Event, *, recorded_at: datetime) -> Envelope:
        now = clock.timestamp(recorded_at)
        envelope = recorded(event, after=self._last(now), now=now)
        self.world.append(envelope)
        return envelope

    def _last(self, now: str) -> Envelope | None:
        """The last event of the stream. Events that functions emitted have today's time: it is reduced to `now`."""
        last = next(iter(self.world.stream(self.stream)[-1:]), None)
        if last is None:
            return None
        return replace(last, metadata=replace(last.metadata, recorded_at=min(last.metadata.recorded_at, now)))

    @staticmethod
    def message(envelope: Envelope) -> Message:
        return Message(from_the_bus(envelope))

    # --- what is there afterwards -----------------------------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        return self.world.row(Watch, self.device_id) or Watch.blank(self.device_id)

    @property
    def alarms(self) -> list[Alarm]:
        """All alarms of the device, in the order in which they were raised."""
        rows = [Alarm.from_item(item) for item in self.world.client.scan(TableName="daybook-test-alarms")["Items"]]
        own = [row for row in rows if row.problem and row.problem.device_id == self.device_id]
        return sorted(own, key=lambda row: int(row.alarm_id.rpartition(":")[2]))

    def raised(self) -> list[Problem]:
        """The problems of its alarms, in the order in which they were raised."""
        events = (event for alarm in self.alarms for event in self.of(alarm))
        return [event.problem for event in events if isinstance(event, EquipmentAlarmRaised)]

    def cleared(self) -> list[str]:
        """The reasons of its alarms that were cleared."""
        events = (event for alarm in self.alarms for event in self.of(alarm))
        return [event.reason for event in events if isinstance(event, EquipmentAlarmCleared)]

    def of(self, alarm: Alarm) -> list[Event]:
        """The events of an alarm."""
        return self.world.events(f"alarm/{alarm.alarm_id}")

    def emitted(self, event: type[E]) -> list[E]:
        """The events of this type in the device's stream."""
        return [each for each in self.world.events(self.stream) if isinstance(each, event)]

    def not_judged(self) -> dict[str, str]:
        """The reason of each ReadingNotJudged, by code. Each code has one."""
        events = self.emitted(ReadingNotJudged)
        reasons = {event.code: event.reason for event in events}
        assert len(reasons) == len(events)
        return dict(reasons)

    def types(self) -> list[str]:
        """The types of all events of the device's stream."""
        return [envelope.metadata.type for envelope in self.world.stream(self.stream)]


def tracked(world: World, events: Iterable[EquipmentStatusReported]) -> None:
    """Deliver these reports to the view, one after the other."""
    for number, event in enumerate(events):
        assert world.deliver(track_equipment.handler, from_the_bus(recorded(event, id=f"e{number}"))) == []


def due(world: World, event: str = "SilenceCheckDue") -> list[dict[str, Any]]:
    """The timers that have not fired."""
    return [item for item in world.items("due") if item.get("type") == event]
