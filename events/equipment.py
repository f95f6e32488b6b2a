"""What happens to bedside devices, and to the alarms about them. Nothing here tells of a patient."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from daybook.contracts.contract import PERSONAL, Event, Part
from daybook.contracts.values import Identifier, UtcTime
from events.vitals import KINDS, Code, Number, Reading

MOST_READINGS: Final = 50  # in one report

DeviceId = Annotated[Identifier, Field(description="The device's number in the hospital's own inventory: MON-7.")]
DeviceType = Annotated[Identifier, Field(description="What kind of device it is: patient-monitor.")]
Ward = Annotated[Identifier, Field(description="Where it stands: ICU-2.")]
Revision = Annotated[
    int, Field(ge=1, le=2**53 - 1, description="The sender's version: a later one wins, whichever comes first.")
]

_PRINTABLE: Final = r"^[\x21-\x7e][\x20-\x7e]*$"
# Both carriers of a UDI, GS1's with its parentheses and HIBC's with its slashes, are plain ASCII.
Udi = Annotated[str, Field(max_length=255, pattern=_PRINTABLE)]
Serial = Annotated[str, Field(max_length=64, pattern=_PRINTABLE)]

_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Scope = Annotated[
    str,
    Field(
        max_length=71,
        pattern=rf"^(everywhere|ward:{_ID}|device:{_ID})$",
        description="Which devices it is for: `everywhere`, `ward:ICU-2` or `device:MON-7`.",
    ),
]
# Colons stand in neither of its parts, so no two alarms have one name.
AlarmId = Annotated[
    str,
    Field(
        max_length=96,
        pattern=rf"^{_ID}:([0-9]+-[0-9]|fault|silence):[0-9]+$",
        description="Names one alarm: device, what it is about, and the place in the device's stream where it arose.",
    ),
]
Level = Annotated[int, Field(ge=1, le=3, description="1 as it is raised; one more each time nobody has acknowledged.")]


class Device(Part):
    """A device as it describes itself and as the register knows it."""

    udi: Udi | None = Field(default=None, description="Unique Device Identification, as its carrier is read.")
    serial: Serial | None = Field(default=None, description="The maker's serial number.")
    type: DeviceType
    ward: Ward

    @model_validator(mode="after")
    def _is_identified(self) -> Self:
        if self.udi is None and self.serial is None:
            msg = "a device is identified by its udi, its serial or both"
            raise ValueError(msg)
        return self


_MONITOR = {
    "udi": "(01)04012345678901(21)SN-4711",
    "serial": "SN-4711",
    "type": "patient-monitor",
    "ward": "ICU-2",
}


class EquipmentRegistered(Event, Device, joins="device/{device_id}", sources=("hospital.assets",)):
    """A device is in use and is to be watched. Comes from outside: the asset register sends it."""

    device_id: DeviceId
    reports_every: int = Field(ge=1, le=86_400, description="Seconds between two of its reports, as a rule.")
    revision: Revision

    example = {"device_id": "MON-7", **_MONITOR, "reports_every": 10, "revision": 1}


class EquipmentRetired(Event, joins="device/{device_id}", sources=("hospital.assets",)):
    """A device is no longer in use, and no longer watched. Comes from outside: the asset register sends it."""

    device_id: DeviceId
    revision: Revision

    example = {"device_id": "MON-7", "revision": 2}


class EquipmentStatusReported(
    Event, Device, joins="device/{device_id}", sources=("hospital.devices",), happened="measured_at"
):
    """A device tells how it is, and what it measures. Comes from outside: the devices' gateway sends it."""

    device_id: DeviceId
    status: Literal["on", "standby", "off", "fault"] = Field(description="How the device is.")
    readings: tuple[Reading, ...] = Field(
        default=(), max_length=MOST_READINGS, description="What it measures; of each code one value at most."
    )
    battery: int | None = Field(default=None, ge=0, le=100, description="Percent; none, if it has no battery.")
    measured_at: UtcTime

    @model_validator(mode="after")
    def _has_one_reading_of_each_code(self) -> Self:
        if len({reading.code for reading in self.readings}) < len(self.readings):
            msg = "of each code a report has one reading at most"
            raise ValueError(msg)
        return self

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
    """A device reports that the asset register does not know. Told once; its readings are judged all the same."""

    device_id: DeviceId
    device: Device

    example = {"device_id": "MON-7", "device": _MONITOR}


class AlarmLimits(Part):
    """When a reading of one kind is alarming, and how patiently. In the unit of its kind, and in seconds."""

    low: Number | None = Field(default=None, description="Alarming at this value and below.")
    high: Number | None = Field(default=None, description="Alarming at this value and above.")
    margin: Number = Field(ge=0, description="Well inside is what is further inside than this.")
    delay: int = Field(ge=0, le=3_600, description="Seconds that it must have been alarming before anybody is paged.")
    hold: int = Field(ge=0, le=86_400, description="Seconds that it must have been well inside to clear the alarm.")
    acknowledge_within: int = Field(ge=1, le=86_400, description="Seconds, after which the alarm goes a level up.")

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.low is None and self.high is None:
            msg = "there must be a low limit, a high one or both"
            raise ValueError(msg)
        if self.low is not None and self.high is not None and self.low + self.margin >= self.high - self.margin:
            msg = "low must be below high, with room between their margins"
            raise ValueError(msg)
        return self


class AlarmLimitsSet(Event, AlarmLimits, joins="limits/{applies_to}", sources=("hospital.clinical-engineering",)):
    """Limits of one kind of reading are set: for one device, a ward, or everywhere. Comes from outside.

    The narrowest that there are apply whole: a device's before its ward's before those of everywhere.
    """

    applies_to: Scope
    code: Code
    revision: Revision

    @model_validator(mode="after")
    def _is_of_a_known_kind(self) -> Self:
        kind = KINDS.get(self.code)
        if kind is None:
            msg = f"limits can be set for these codes alone: {', '.join(sorted(KINDS))}"
            raise ValueError(msg)
        if not all(kind.holds(limit) for limit in (self.low, self.high) if limit is not None):
            raise ValueError(str(kind))
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
    """Nothing was heard of a device for so long that something must be wrong with it, or on its way here."""

    device_id: DeviceId
    type: DeviceType
    ward: Ward
    since: UtcTime = Field(description="When it was last heard of.")

    example = {"device_id": "MON-7", "type": "patient-monitor", "ward": "ICU-2", "since": "2026-03-01T12:00:00.000000Z"}


class SilenceCheckDue(Event, joins="device/{device_id}", timer=True):
    """A device should have reported by now. Whether it has, its row knows."""

    device_id: DeviceId
    round: int = Field(ge=1, description="Which of the device's chains of timers it is of: the last one goes on.")

    example = {"device_id": "MON-7", "round": 1}


class Trouble(Part):
    """What an alarm is about: all that somebody who is paged must know."""

    device_id: DeviceId
    type: DeviceType
    ward: Ward
    kind: Literal["reading", "fault", "silence"] = Field(description="What is wrong: a reading, or the device itself.")
    code: Code | None = None
    name: str = Field(max_length=64, description="What is measured, in words; else what is wrong.")
    value: Number | None = None
    unit: str | None = None
    side: Literal["low", "high"] | None = Field(default=None, description="Which of its limits it has reached.")
    limit: Number | None = None
    since: UtcTime = Field(description="When it began, by the device's clock; of a silence, by ours.")


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
    """Somebody must look after a device, or after who depends on it. Opens the alarm."""

    alarm_id: AlarmId
    about: Trouble

    example = {"alarm_id": "MON-7:59408-5:42", "about": _LOW_SATURATION}


class EquipmentAlarmCleared(Event, continues="alarm/{alarm_id}"):
    """What the alarm was about is over, whether somebody has acknowledged it or not."""

    alarm_id: AlarmId
    about: Trouble
    because: Literal["well_inside", "works_again", "heard_again", "retired"] = Field(description="Why it is over.")

    example = {"alarm_id": "MON-7:59408-5:42", "about": _LOW_SATURATION, "because": "well_inside"}


class EquipmentAlarmAcknowledged(Event, continues="alarm/{alarm_id}", sources=("hospital.ward",)):
    """Somebody sees to the alarm. Comes from outside: the ward's devices send it."""

    alarm_id: AlarmId
    who: Annotated[Identifier, PERSONAL] = Field(repr=False, description="The staff's number for who it is.")

    example = {"alarm_id": "MON-7:59408-5:42", "who": "S-1024"}


class AcknowledgementDue(Event, continues="alarm/{alarm_id}", timer=True):
    """The alarm should have been acknowledged by now. Whether it was, or is over, its row knows."""

    alarm_id: AlarmId
    level: Level

    example = {"alarm_id": "MON-7:59408-5:42", "level": 2}


class EquipmentAlarmEscalated(Event, continues="alarm/{alarm_id}"):
    """Nobody has acknowledged the alarm in time: more people must know of it."""

    alarm_id: AlarmId
    about: Trouble
    level: Level

    example = {"alarm_id": "MON-7:59408-5:42", "about": _LOW_SATURATION, "level": 2}


class StaffPaged(Event, continues="alarm/{alarm_id}"):
    """The pager has taken a page about the alarm. Whether somebody reads it is another matter."""

    alarm_id: AlarmId
    level: Level
    message_id: str = Field(max_length=255, description="The pager's id of the page.")

    example = {"alarm_id": "MON-7:59408-5:42", "level": 1, "message_id": "94f20ce6-13c5-43a0-9a9e-ca52d816e90b"}
