"""What people see of devices: one row each, and a ring of rows for the last hour."""

from datetime import datetime
from typing import Any, Final, Literal

from daybook.store.state import State

_MINUTES: Final = 60  # rows in a ring


class DeviceStatus(State, table="devices", key="device_id"):
    """What a device has told last.

    Beside these fields there is one for each code that it has ever told a reading of, named by the code: a map of
    `value`, `unit` and `measured_at`.
    """

    device_id: str
    status: Literal["unknown", "on", "standby", "off", "fault"] = "unknown"
    battery: int | None = None
    type: str = ""
    ward: str = ""
    udi: str | None = None
    serial: str | None = None
    measured_at: str = ""


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
