"""What people see of devices: one row each, and a ring of rows for the last hour."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Self

from daybook.contracts.contract import Part
from daybook.store.state import State

_MINUTES: Final = 60  # rows in a ring


class LastReading(Part):
    """The last reading of one code."""

    value: Decimal
    unit: str
    measured_at: str


class DeviceStatus(State, table="devices", key="device_id"):
    """What a device has told last. `readings` are by code.

    In its item each reading is an attribute of its own, named by the code, so that a newer one of another code does
    not replace it.
    """

    device_id: str
    status: Literal["unknown", "on", "standby", "off", "fault"] = "unknown"
    battery: int | None = None
    type: str = ""
    ward: str = ""
    udi: str | None = None
    serial: str | None = None
    measured_at: str = ""
    readings: dict[str, LastReading] = {}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        readings = {code: told for code, told in values.items() if isinstance(told, Mapping) and "unit" in told}
        return super().from_values({**values, "readings": readings})


class DeviceMinute(State, table="device-history", key="place"):
    """The last that a device has told in one minute; `measured_at` says of which hour. `readings` are by code, each a
    map of `value` and `unit`.
    """

    place: str
    status: Literal["unknown", "on", "standby", "off", "fault"] = "unknown"
    battery: int | None = None
    measured_at: str = ""
    readings: dict[str, dict[str, Any]] = {}


def place_of(device_id: str, measured_at: datetime) -> str:
    """The row of a minute in the device's ring: `MON-7#05`. An hour later it is another minute's."""
    return f"{device_id}#{measured_at.minute % _MINUTES:02d}"
