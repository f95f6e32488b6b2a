"""How a ward is: its devices with what they tell and what is wrong with them, and the patients who are there."""

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
from events.vitals import KINDS
from functions.equipment.alarm import Alarm
from functions.equipment.tracking import DeviceStatus
from functions.equipment.watch import Watch

R = TypeVar("R", bound=State)

_NOT_OVER = ("raised", "acknowledged")


@dataclass(frozen=True, slots=True)
class Device:
    """One device: what it has told last, how it is watched, and its alarms that are not over, the oldest first.

    A device that never reported has told nothing, and one that was never registered is not watched: blank rows.
    """

    device_id: str
    told: DeviceStatus
    watch: Watch
    alarms: tuple[Alarm, ...]

    @property
    def type(self) -> str:
        """What kind of device it is."""
        return self.told.type or self.watch.type

    @property
    def status(self) -> str | None:
        """What it has told last of how it is; None if it never reported."""
        return None if self.told.status == "unknown" else self.told.status

    @property
    def measured_at(self) -> datetime | None:
        """When it measured what it has told last."""
        return clock.moment(self.told.measured_at) if self.told.measured_at else None

    @property
    def readings(self) -> list[str]:
        """The last value of each kind that it measures: `heart rate 71 /min`."""
        return [
            f"{KINDS[code].name if code in KINDS else code} {reading.value} {reading.unit}"
            for code, reading in sorted(self.told.readings.items())
        ]

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it: each alarm, with how far it has come, and who watches it."""
        unwatched = {"unknown": ["not registered"], "retired": ["retired"]}.get(self.watch.stage, [])
        return [*unwatched, *map(_told, self.alarms)]

    def as_data(self) -> dict[str, Any]:
        """The device for programs."""
        return {
            "device_id": self.device_id,
            "type": self.type,
            "status": self.status,
            "battery": self.told.battery,
            "measured_at": self.told.measured_at or None,
            "readings": self.readings,
            "troubles": self.troubles,
        }


def devices(connection: Connection, ward: str) -> Iterator[Device]:
    """The devices on a ward, by their ids: those registered there, and those that say that they are. Reads all rows."""
    deployed = consumers(connection)
    told = _by_id(DeployedTable.of_view(connection, DeviceStatus, deployed=deployed), ward)
    watches = _by_id(DeployedTable.of(connection, Watch, deployed=deployed), ward)
    alarms = DeployedTable.of(connection, Alarm, deployed=deployed)
    for device_id in sorted(told.keys() | watches.keys()):
        watch = watches.get(device_id) or Watch.blank(device_id)
        standing = [alarm for alarm in alarms.rows(watch.open_alarms).values() if alarm.stage in _NOT_OVER]
        standing.sort(key=lambda alarm: str(alarm.raised_at))
        yield Device(device_id, told.get(device_id) or DeviceStatus.blank(device_id), watch, tuple(standing))


def _by_id(table: DeployedTable[R], ward: str) -> dict[str, R]:
    return {row.row_id: row for row in table.scan(Attr("ward").eq(ward))}


def _told(alarm: Alarm) -> str:
    about = alarm.about
    if about is None:
        return alarm.stage
    what = about.name if about.value is None else f"{about.name} {about.value} {about.unit}"
    return f"{what}: {alarm.stage}, level {alarm.level}"
