"""Events of bedside devices and of the alarms about them. None of them names a patient."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from daybook.contracts.contract import NUMERIC_ID, PERSONAL, Event, Part
from daybook.contracts.values import Identifier, UtcTime
from events.vitals import KINDS, AnyNumber, Code, Number, Reading, kind_of

MAX_READINGS: Final = 50  # in one report

DeviceId = Annotated[Identifier, Field(description="The device's number in the hospital's own inventory: MON-7.")]
DeviceType = Annotated[Identifier, Field(description="The kind of device: patient-monitor.")]
Ward = Annotated[Identifier, Field(description="The ward where the device is: ICU-2.")]
Revision = Annotated[
    int, Field(ge=1, le=2**53 - 1, description="The sender's version. The highest one counts, in any order of arrival.")
]

_PRINTABLE: Final = r"^[\x21-\x7e][\x20-\x7e]*$"
# GS1 writes a UDI with parentheses, HIBC with slashes. Both are plain ASCII.
# It contains a GTIN.
Udi = Annotated[str, NUMERIC_ID, Field(max_length=255, pattern=_PRINTABLE)]
Serial = Annotated[str, NUMERIC_ID, Field(max_length=64, pattern=_PRINTABLE)]

_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Scope = Annotated[
    str,
    Field(
        max_length=71,
        pattern=rf"^(everywhere|ward:{_ID}|device:{_ID})$",
        description="The devices that the limits are for: `everywhere`, `ward:ICU-2` or `device:MON-7`.",
    ),
]
# No part contains a colon, so two alarms never have the same id.
AlarmId = Annotated[
    str,
    Field(
        max_length=96,
        pattern=rf"^{_ID}:([0-9]+-[0-9]|fault|silence):[0-9]+$",
        description="The alarm's id: the device, the problem, and the sequence of the event that raised the alarm.",
    ),
]
Level = Annotated[int, Field(ge=1, le=3, description="1 for a new alarm, one more for each escalation.")]


class Device(Part):
    """The identity, type and place of a device, as a report and the asset register give them."""

    udi: Udi | None = Field(default=None, description="Unique Device Identification, as its label is read.")
    serial: Serial | None = Field(default=None, description="The manufacturer's serial number.")
    type: DeviceType
    ward: Ward

    @model_validator(mode="after")
    def _is_identified(self) -> Self:
        if self.udi is None and self.serial is None:
            msg = "udi and serial are missing: give at least one of them"
            raise ValueError(msg)
        return self


_MONITOR = {
    "udi": "(01)04012345678901(21)SN-4711",
    "serial": "SN-4711",
    "type": "patient-monitor",
    "ward": "ICU-2",
}


class EquipmentRegistered(Event, Device, joins="device/{device_id}", sources=("hospital.assets",)):
    """A device is in use and is monitored from now on. Comes from outside: the asset register sends it."""

    device_id: DeviceId
    reports_every: int = Field(ge=1, le=86_400, description="Usual time between two reports of the device, in seconds.")
    revision: Revision

    example = {"device_id": "MON-7", **_MONITOR, "reports_every": 10, "revision": 1}


class EquipmentRetired(Event, joins="device/{device_id}", sources=("hospital.assets",)):
    """A device is no longer in use and no longer monitored. Comes from outside: the asset register sends it."""

    device_id: DeviceId
    revision: Revision

    example = {"device_id": "MON-7", "revision": 2}


class EquipmentStatusReported(
    Event, Device, joins="device/{device_id}", sources=("hospital.devices",), occurred_at="measured_at"
):
    """A device has reported its status and its readings. Comes from outside: the devices' gateway sends it."""

    device_id: DeviceId
    status: Literal["on", "standby", "off", "fault"] = Field(description="The state of the device itself.")
    readings: tuple[Reading, ...] = Field(
        default=(),
        max_length=MAX_READINGS,
        description="The measured values. Send more of them as a second report with the same measured_at.",
    )
    battery: AnyNumber = Field(default=None, description="Charge in percent. Null without a battery.")
    measured_at: UtcTime

    example = {
        "device_id": "MON-7",
        **_MONITOR,
        "status": "on",
        "readings": [
            {"code": "59408-5", "unit": "%", "value": 97},
            {"code": "8310-5", "unit": "Cel", "value": 36.6},
        ],
        "battery": 80,
        "measured_at": "2026-03-01T12:00:00.000000Z",
    }


class UnregisteredEquipmentReported(Event, joins="device/{device_id}"):
    """A device that the asset register does not know has sent a report. Emitted once for each device.

    Alarms are raised for such a device as for any other.
    """

    device_id: DeviceId
    device: Device

    example = {"device_id": "MON-7", "device": _MONITOR}


UnjudgedReason = Literal["unknown_code", "no_limits", "other_unit", "impossible_value", "not_a_number"]


class ReadingNotJudged(Event, joins="device/{device_id}"):
    """A device sends a reading that raises no alarm, whatever its value. Emitted once for each device and code.

    The other readings of the report are judged, and the report shows that the device works.
    """

    device_id: DeviceId
    type: DeviceType
    ward: Ward
    code: str = Field(max_length=64, description="The code as it was sent, or `battery`.")
    name: str = Field(max_length=64, description="The name of the vital sign. Empty for an unknown code.")
    unit: str = Field(max_length=32, description="The unit as it was sent.")
    value: AnyNumber = Field(description="The first such value, to 6 decimal places. Null if it is not a number.")
    reason: UnjudgedReason = Field(description="Why the reading is not judged.")
    expected: str = Field(max_length=512, description="What would be judged.")

    example = {
        "device_id": "MON-7",
        "type": "patient-monitor",
        "ward": "ICU-2",
        "code": "59408-5",
        "name": "oxygen saturation by pulse oximetry",
        "unit": "%",
        "value": 127,
        "reason": "impossible_value",
        "expected": "59408-5 (oxygen saturation by pulse oximetry) is in %, from 0 to 100",
    }


class ReadingRounded(Event, joins="device/{device_id}"):
    """A device sends values with more than 6 decimal places. They are rounded and judged. Emitted once for each device
    and code.
    """

    device_id: DeviceId
    type: DeviceType
    ward: Ward
    code: str = Field(max_length=64, description="The code as it was sent.")
    value: Number = Field(description="The first such value, rounded.")

    example = {"device_id": "MON-7", "type": "patient-monitor", "ward": "ICU-2", "code": "8310-5", "value": 36.888889}


class AlarmLimits(Part):
    """The limits of one kind of reading, in its unit, and how long alarms of it wait, in seconds."""

    low: Number | None = Field(default=None, description="A value at or below this is out of limits.")
    high: Number | None = Field(default=None, description="A value at or above this is out of limits.")
    margin: Number = Field(ge=0, description="A value is back in range when it is inside the limit by more than this.")
    delay: int = Field(ge=0, le=3_600, description="Seconds that values are out of limits before an alarm is raised.")
    hold: int = Field(ge=0, le=86_400, description="Seconds that values are back in range before an alarm is cleared.")
    acknowledge_within: int = Field(ge=1, le=86_400, description="Seconds until an unacknowledged alarm is escalated.")

    @model_validator(mode="after")
    def _limits_leave_a_range(self) -> Self:
        if self.low is None and self.high is None:
            msg = "low and high are missing: give at least one of them"
            raise ValueError(msg)
        if self.low is not None and self.high is not None and self.low + self.margin >= self.high - self.margin:
            msg = "low + margin must be less than high - margin"
            raise ValueError(msg)
        return self


class AlarmLimitsSet(Event, AlarmLimits, joins="limits/{applies_to}", sources=("hospital.clinical-engineering",)):
    """Alarm limits of one vital sign were set for a device, a ward or everywhere. Comes from outside.

    Limits of a device replace those of its ward, and limits of a ward replace those for everywhere. They apply to all
    codes of the vital sign, in the unit of the vital sign.
    """

    applies_to: Scope
    code: Code
    revision: Revision

    @model_validator(mode="after")
    def _limits_are_possible_values(self) -> Self:
        kind = kind_of(self.code)
        if kind is None:
            codes = ", ".join(sorted(KINDS))
            msg = f"code is {self.code}: no limits can be set for it, only for these and their equivalents: {codes}"
            raise ValueError(msg)
        for name, limit in (("low", self.low), ("high", self.high)):
            if limit is not None and not kind.can_be(limit):
                msg = f"{name} is {limit}, but {kind}"
                raise ValueError(msg)
        return self

    example = {
        "applies_to": "ward:ICU-2",
        "code": "59408-5",
        "low": 88,
        "high": None,
        "margin": 1,
        "delay": 15,
        "hold": 30,
        "acknowledge_within": 120,
        "revision": 1,
    }


class EquipmentFellSilent(Event, joins="device/{device_id}"):
    """No report of a device has arrived for three of its usual intervals."""

    device_id: DeviceId
    type: DeviceType
    ward: Ward
    since: UtcTime = Field(description="When its last report was recorded.")

    example = {"device_id": "MON-7", "type": "patient-monitor", "ward": "ICU-2", "since": "2026-03-01T12:00:00.000000Z"}


class SilenceCheckDue(Event, joins="device/{device_id}", timer=True):
    """It is time to check whether a device still sends reports."""

    device_id: DeviceId
    timer_chain: int = Field(ge=1, description="The device's chain of timers. Only the timers of the newest one apply.")

    example = {"device_id": "MON-7", "timer_chain": 1}


Side = Literal["low", "high"]


class PendingAlarmDue(Event, joins="device/{device_id}", timer=True):
    """The delay of an alarm has passed: raise it, unless a newer reading is back in range. So a value that is measured
    once an hour needs no second measurement.
    """

    device_id: DeviceId
    code: Code
    side: Side = Field(description="Which limit the value had reached.")
    since: UtcTime = Field(description="When that began, by the device's clock.")

    example = {"device_id": "MON-7", "code": "8480-6", "side": "low", "since": "2026-03-01T12:00:00.000000Z"}


class Problem(Part):
    """The reason of an alarm, with everything that staff who are paged must know."""

    device_id: DeviceId
    type: DeviceType
    ward: Ward
    kind: Literal["reading", "fault", "silence"] = Field(description="What is wrong: a reading, or the device itself.")
    code: Code | None = None
    name: str = Field(max_length=64, description="The name of the reading, or of the problem of the device.")
    value: Number | None = Field(default=None, description="The value in this unit, rounded as on a chart.")
    unit: str | None = None
    side: Side | None = Field(default=None, description="Which limit the value has reached.")
    limit: Number | None = None
    since: UtcTime = Field(description="When it began, by the device's clock. For a silence, by ours.")


_LOW_SATURATION = {
    "device_id": "MON-7",
    "type": "patient-monitor",
    "ward": "ICU-2",
    "kind": "reading",
    "code": "59408-5",
    "name": "oxygen saturation by pulse oximetry",
    "value": 88,
    "unit": "%",
    "side": "low",
    "limit": 91,
    "since": "2026-03-01T12:00:00.000000Z",
}


class EquipmentAlarmRaised(Event, opens="alarm/{alarm_id}"):
    """Staff must check a device or its patient. Opens the alarm's stream."""

    alarm_id: AlarmId
    problem: Problem

    example = {"alarm_id": "MON-7:59408-5:42", "problem": _LOW_SATURATION}


class EquipmentAlarmCleared(Event, continues="alarm/{alarm_id}"):
    """The problem has ended. The alarm may have been acknowledged before, or not."""

    alarm_id: AlarmId
    problem: Problem
    reason: Literal["back_in_range", "fault_ended", "reports_again", "retired"] = Field(
        description="Why the alarm was cleared."
    )

    example = {"alarm_id": "MON-7:59408-5:42", "problem": _LOW_SATURATION, "reason": "back_in_range"}


class EquipmentAlarmAcknowledged(Event, continues="alarm/{alarm_id}", sources=("hospital.ward",)):
    """A member of staff takes care of the alarm. Comes from outside: the ward's devices send it."""

    alarm_id: AlarmId
    staff_id: Annotated[Identifier, PERSONAL] = Field(repr=False, description="The staff number of that person.")

    example = {"alarm_id": "MON-7:59408-5:42", "staff_id": "S-1024"}


class AcknowledgementDue(Event, continues="alarm/{alarm_id}", timer=True):
    """The time to acknowledge the alarm has ended: escalate it to this level, unless it was acknowledged or cleared."""

    alarm_id: AlarmId
    level: Level

    example = {"alarm_id": "MON-7:59408-5:42", "level": 2}


class EquipmentAlarmEscalated(Event, continues="alarm/{alarm_id}"):
    """Nobody has acknowledged the alarm in time, so more people are paged."""

    alarm_id: AlarmId
    problem: Problem
    level: Level

    example = {"alarm_id": "MON-7:59408-5:42", "problem": _LOW_SATURATION, "level": 2}


class StaffPaged(Event, continues="alarm/{alarm_id}"):
    """The pager has accepted a page about the alarm. This does not say that anybody has read it."""

    alarm_id: AlarmId
    level: Level
    message_id: str = Field(max_length=255, description="The pager's id of the page.")

    example = {"alarm_id": "MON-7:59408-5:42", "level": 1, "message_id": "94f20ce6-13c5-43a0-9a9e-ca52d816e90b"}
