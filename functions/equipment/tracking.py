"""The rows of the view of devices: the last status of each, and one row for each minute of the last hour."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Self

from daybook.contracts.contract import Part
from daybook.store.state import KEY, VERSION, State

_MINUTES: Final = 60  # rows of a device


class LastReading(Part):
    """The last reading of one code, as it was sent. `value` is None if it was not a number."""

    value: Decimal | None
    unit: str
    measured_at: str


class DeviceStatus(State, table="devices", key="device_id"):
    """The last status of a device. `readings` are by code.

    In the item each reading is an attribute named by its code, so that a newer reading of another code does not replace
    it.
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
    def attributes(cls) -> frozenset[str]:
        """The names of attributes that are not readings. A code with such a name has no place in the row."""
        return frozenset({*cls.model_fields, KEY, VERSION})

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        readings = {name: value for name, value in values.items() if isinstance(value, Mapping) and "unit" in value}
        return super().from_values({**values, "readings": readings})


class DeviceMinute(State, table="device-history", key="minute_id"):
    """The last report of a device in one minute of an hour; `measured_at` says of which hour.

    `readings` are by code. Each is a map of `value` and `unit`.
    """

    minute_id: str
    status: Literal["unknown", "on", "standby", "off", "fault"] = "unknown"
    battery: int | None = None
    measured_at: str = ""
    readings: dict[str, dict[str, Any]] = {}


def minute_id(device_id: str, measured_at: datetime) -> str:
    """The id of the row for a minute: `MON-7#05`. One hour later the same row is used again."""
    return f"{device_id}#{measured_at.minute % _MINUTES:02d}"
