"""The one row that decides about a device: whether it is watched, when it was last heard, what is wrong with it.

What a report means for it is worked out here, without any of AWS.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from daybook.contracts.contract import Part
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.equipment import AlarmLimits, EquipmentStatusReported, Trouble
from events.vitals import KINDS, Reading
from functions.equipment.limits import ACKNOWLEDGE_WITHIN, LimitsRow, in_force

# A report that took longer to arrive says nothing of now. As far as a device's clock may be ahead of ours.
TOO_OLD: Final = timedelta(minutes=5)
# One reading may be noise; two in a row are not.
ENOUGH_CALM: Final = 2
# One report may be lost and the next one late, without anything being wrong. No source: the house's own.
MISSED: Final = 3

FAULT: Final = "fault"
SILENCE: Final = "silence"

Because = Literal["well_inside", "works_again", "heard_again", "retired"]
Side = Literal["low", "high"]


class Course(Part):
    """How something goes on that is wrong, or may be: it is pending until it has an alarm."""

    since: UtcTime
    calm: int = 0  # readings in a row that were well inside
    well_since: UtcTime | None = None  # the first of them
    alarm_id: str = ""

    def after(self, at: datetime, *, well_inside: bool, hold: timedelta) -> "Course | None":
        """The course after one more reading; None if nothing is wrong any more."""
        if not well_inside:
            return Course(since=self.since, alarm_id=self.alarm_id)
        well_since = self.well_since or at
        over = at - well_since >= hold if self.alarm_id else self.calm + 1 >= ENOUGH_CALM
        if over:
            return None
        return Course(since=self.since, calm=self.calm + 1, well_since=well_since, alarm_id=self.alarm_id)


class Watch(State, table="watch", key="device_id"):
    """What is known of one device.

    `courses` are by what is wrong: `59408-5:low`, `fault`, `silence`. `round` names the one chain of timers that looks
    for its silence; timers of other rounds have nothing to say any more.
    """

    device_id: str
    stage: Literal["unknown", "registered", "retired"] = "unknown"
    revision: int = 0
    type: str = ""
    ward: str = ""
    reports_every: int = 0  # seconds
    round: int = 0
    noticed: bool = False  # that it reports without being registered
    judged: UtcTime | None = None  # when the newest report that counts was measured
    alive: UtcTime | None = None  # when that was recorded; before the first one, when it was registered
    courses: dict[str, Course] = {}

    @property
    def open_alarms(self) -> list[str]:
        """The ids of all alarms about it that are not over."""
        return [course.alarm_id for course in self.courses.values() if course.alarm_id]

    @property
    def patience(self) -> timedelta:
        """How long it may be silent."""
        return timedelta(seconds=MISSED * self.reports_every)

    def counts(self, report: EquipmentStatusReported, recorded_at: datetime) -> bool:
        """Whether the report says anything of now.

        One that does not moves no alarm, and is no sign of life: so a device whose clock has jumped back is soon
        silent, and somebody looks after it.
        """
        newer = self.judged is None or report.measured_at > self.judged
        return newer and report.measured_at >= recorded_at - TOO_OLD


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm to be raised."""

    alarm_id: str
    about: Trouble
    acknowledge_within: int = ACKNOWLEDGE_WITHIN


@dataclass(slots=True)
class Judgement:
    """What a report means: how things go on, and which alarms begin and end with it."""

    report: EquipmentStatusReported
    sequence: int  # the report's, in its device's stream: it makes the names of alarms
    courses: dict[str, Course]
    raised: list[Raised] = field(default_factory=list)
    cleared: dict[str, Because] = field(default_factory=dict)

    def hear(self) -> None:
        """It is not silent any more."""
        if course := self.courses.pop(SILENCE, None):
            self.cleared[course.alarm_id] = "heard_again"

    def look_at_status(self) -> None:
        """Faults alarm at once. One that is switched off with its fault may have it still."""
        fault, status = self.courses.get(FAULT), self.report.status
        if status == "fault" and not fault:
            about = self._trouble(FAULT, "fault", self.report.measured_at)
            self._raise(FAULT, Course(since=self.report.measured_at), Raised(self._name(FAULT), about))
        elif fault and status in {"on", "standby"}:
            del self.courses[FAULT]
            self.cleared[fault.alarm_id] = "works_again"

    def look_at(self, reading: Reading, limits: AlarmLimits) -> None:
        """Each limit is judged by itself: who was too slow and is too fast now is in trouble anew."""
        at = self.report.measured_at
        for side, limit, alarming, well_inside in _sides(reading.value, limits):
            key = f"{reading.code}:{side}"
            course = self.courses.get(key)
            if course is None and not alarming:
                continue
            if course is None:
                course = Course(since=at)
            after = course.after(at, well_inside=well_inside, hold=timedelta(seconds=limits.hold))
            if after is None:
                del self.courses[key]
                if course.alarm_id:
                    self.cleared[course.alarm_id] = "well_inside"
                continue
            self.courses[key] = after
            if alarming and not after.alarm_id and at - after.since >= timedelta(seconds=limits.delay):
                measured = {"code": reading.code, "value": reading.value, "unit": reading.unit}
                about = self._trouble(
                    "reading", KINDS[reading.code].name, after.since, side=side, limit=limit, **measured
                )
                self._raise(key, after, Raised(self._name(reading.code), about, limits.acknowledge_within))

    def _raise(self, key: str, course: Course, raised: Raised) -> None:
        self.courses[key] = Course(since=course.since, alarm_id=raised.alarm_id)
        self.raised.append(raised)

    def _name(self, what: str) -> str:
        return alarm_name(self.report.device_id, what, self.sequence)

    def _trouble(self, kind: Literal["reading", "fault"], name: str, since: datetime, **measured: object) -> Trouble:
        device = {"device_id": self.report.device_id, "type": self.report.type, "ward": self.report.ward}
        return Trouble(**device, kind=kind, name=name, since=since, **measured)


def alarm_name(device_id: str, what: str, sequence: int) -> str:
    """The id of an alarm that arises from the event at this place of the device's stream.

    No counter of our own: the store's sequence outlives this service's tables, and so no alarm is named twice.
    """
    return f"{device_id}:{what}:{sequence}"


def judge(watch: Watch, report: EquipmentStatusReported, rows: Sequence[LimitsRow], *, sequence: int) -> Judgement:
    """What a report that counts means for a device. `rows` are the limits of its scopes, the narrowest first."""
    judgement = Judgement(report, sequence, dict(watch.courses))
    judgement.hear()
    judgement.look_at_status()
    for reading in report.readings:
        judgement.look_at(reading, in_force(reading.code, rows))
    return judgement


def _sides(value: Decimal, limits: AlarmLimits) -> Iterator[tuple[Side, Decimal | None, bool, bool]]:
    """Of each side: its limit, whether the value is alarming there, whether it is well inside."""
    low, high, margin = limits.low, limits.high, limits.margin
    yield "low", low, low is not None and value <= low, low is None or value > low + margin
    yield "high", high, high is not None and value >= high, high is None or value < high - margin
