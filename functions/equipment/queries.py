"""The devices of a ward: their last status, and their alarms."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from boto3.dynamodb.conditions import Attr

from daybook.contracts import clock
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.tables import DeployedTable
from daybook.store.state import State
from events.vitals import Reading, kind_of
from functions.equipment.alarm import Alarm
from functions.equipment.interpretation import NotJudged, interpret
from functions.equipment.tracking import DeviceStatus, LastReading
from functions.equipment.unjudged import UnjudgedReadings
from functions.equipment.watch import Watch

R = TypeVar("R", bound=State)

_OPEN_STAGES = ("raised", "acknowledged")


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its last status, its state as a monitored device, and its open alarms, the oldest first.

    `last` is blank for a device that never reported, `watch` for one that was never registered.
    """

    device_id: str
    last: DeviceStatus
    watch: Watch
    alarms: tuple[Alarm, ...]
    unjudged: UnjudgedReadings

    @property
    def type(self) -> str:
        """The kind of device."""
        return self.last.type or self.watch.type

    @property
    def status(self) -> str | None:
        """The last status that it reported. None if it never reported."""
        return None if self.last.status == "unknown" else self.last.status

    @property
    def measured_at(self) -> datetime | None:
        """The time of measurement of its last report."""
        return clock.moment(self.last.measured_at) if self.last.measured_at else None

    @property
    def readings(self) -> list[str]:
        """The last value of each code: `heart rate 71 /min`. A value that cannot be judged is marked."""
        return [_reading(code, last) for code, last in sorted(self.last.readings.items())]

    @property
    def problems(self) -> list[str]:
        """Why it is not monitored, if so; its open alarms, with stage and level; and the codes that are not judged."""
        unmonitored = {"unknown": ["not registered"], "retired": ["retired"]}.get(self.watch.stage, [])
        not_judged = [f"not judged: {line}" for line in self.unjudged.lines]
        return [*unmonitored, *map(_description, self.alarms), *not_judged]

    def as_data(self) -> dict[str, Any]:
        """The device as JSON data."""
        return {
            "device_id": self.device_id,
            "type": self.type,
            "status": self.status,
            "battery": self.last.battery,
            "measured_at": self.last.measured_at or None,
            "readings": self.readings,
            "problems": self.problems,
        }


def devices(connection: Connection, ward: str) -> Iterator[Device]:
    """The devices that are registered on a ward or report from it, by id. Reads all rows of devices."""
    deployed = consumers(connection)
    statuses = _by_id(DeployedTable.of_view(connection, DeviceStatus, deployed=deployed), ward)
    watches = _by_id(DeployedTable.of(connection, Watch, deployed=deployed), ward)
    alarms = DeployedTable.of(connection, Alarm, deployed=deployed)
    unjudged = DeployedTable.of(connection, UnjudgedReadings, deployed=deployed)
    device_ids = sorted(statuses.keys() | watches.keys())
    unjudged_rows = unjudged.rows(device_ids)
    for device_id in device_ids:
        watch = watches.get(device_id) or Watch.blank(device_id)
        open_alarms = [alarm for alarm in alarms.rows(watch.open_alarms).values() if alarm.stage in _OPEN_STAGES]
        open_alarms.sort(key=lambda alarm: str(alarm.raised_at))
        last = statuses.get(device_id) or DeviceStatus.blank(device_id)
        row = unjudged_rows.get(device_id) or UnjudgedReadings.blank(device_id)
        yield Device(device_id, last, watch, tuple(open_alarms), row)


def _by_id(table: DeployedTable[R], ward: str) -> dict[str, R]:
    return {row.row_id: row for row in table.scan(Attr("ward").eq(ward))}


def _reading(code: str, last: LastReading) -> str:
    kind, meaning = kind_of(code), interpret(Reading(code=code, unit=last.unit, value=last.value))
    name = code if kind is None else kind.name if kind.code == code else f"{kind.name} ({code})"
    mark = " (not judged)" if isinstance(meaning, NotJudged) else ""
    return f"{name} {'?' if last.value is None else last.value} {last.unit}{mark}"


def _description(alarm: Alarm) -> str:
    problem = alarm.problem
    if problem is None:
        return alarm.stage
    what = problem.name if problem.value is None else f"{problem.name} {problem.value} {problem.unit}"
    return f"{what}: {alarm.stage}, level {alarm.level}"
