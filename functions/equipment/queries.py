"""How a ward is: its devices with what they tell and what is wrong with them, and the patients who are there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from boto3.dynamodb.conditions import Attr

from daybook.contracts import clock
from daybook.operate.connection import Connection
from daybook.operate.tables import DeployedTable, Row
from events.vitals import KINDS

_NOT_OVER = ("raised", "acknowledged")


@dataclass(frozen=True, slots=True)
class Device:
    """One device: what it has told last, how it is watched, and its alarms that are not over, the oldest first."""

    device_id: str
    told: Row
    watch: Row
    alarms: tuple[Row, ...]

    @property
    def type(self) -> str:
        """What kind of device it is."""
        return str(self.told.get("type") or self.watch.get("type", ""))

    @property
    def measured_at(self) -> datetime | None:
        """When it measured what it has told last."""
        return clock.moment(self.told["measured_at"]) if self.told.get("measured_at") else None

    @property
    def readings(self) -> list[str]:
        """The last value of each kind that it measures: `heart rate 71 /min`."""
        values = {code: told for code, told in self.told.items() if isinstance(told, Mapping) and "unit" in told}
        names = {code: KINDS[code].name if code in KINDS else code for code in values}
        return [f"{names[code]} {told['value']} {told['unit']}" for code, told in sorted(values.items())]

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it: each alarm, with how far it has come, and who watches it."""
        unwatched = {"unknown": ["not registered"], "retired": ["retired"]}.get(self.watch.get("stage", "unknown"), [])
        return [*unwatched, *map(_told, self.alarms)]

    def as_data(self) -> dict[str, Any]:
        """The device for programs."""
        return {
            "device_id": self.device_id,
            "type": self.type,
            "status": self.told.get("status"),
            "battery": self.told.get("battery"),
            "measured_at": self.told.get("measured_at"),
            "readings": self.readings,
            "troubles": self.troubles,
        }


def devices(connection: Connection, ward: str) -> Iterator[Device]:
    """The devices on a ward, by their ids: those registered there, and those that say that they are. Reads all rows."""
    told = _by_id(DeployedTable.of_view(connection, "devices", function="track-equipment"), ward)
    watches = _by_id(DeployedTable.of(connection, "watch", function="raise-alarm"), ward)
    alarms = DeployedTable.of(connection, "alarms", function="raise-alarm")
    for device_id in sorted(told.keys() | watches.keys()):
        watch = watches.get(device_id, {})
        names = [course["alarm_id"] for course in watch.get("courses", {}).values() if course["alarm_id"]]
        standing = [row for row in alarms.rows(names).values() if row["stage"] in _NOT_OVER]
        standing.sort(key=lambda row: str(row["raised_at"]))
        yield Device(device_id, told.get(device_id, {}), watch, tuple(standing))


def _by_id(table: DeployedTable, ward: str) -> dict[str, Row]:
    return {row["id"]: row for row in table.scan(Attr("ward").eq(ward))}


def _told(alarm: Row) -> str:
    about = alarm["about"]
    what = about["name"] if about["value"] is None else f"{about['name']} {about['value']} {about['unit']}"
    return f"{what}: {alarm['stage']}, level {alarm['level']}"
