"""The state of a monitored device: when it was last seen, and which problems it has.

The assessment of a report is pure code, without AWS.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal

from daybook.contracts.contract import Part
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.equipment import AlarmLimits, EquipmentStatusReported, Problem, Side
from events.vitals import Kind, Number, places_of
from functions.equipment.interpretation import Measured, NotJudged, battery_not_judged, interpret, no_limits
from functions.equipment.limits import ACKNOWLEDGE_WITHIN, UNLIMITED, ScopeLimits, limits_for

# A report that took longer to arrive does not describe the present. A device's clock may be ahead of ours by as much.
TOO_OLD: Final = timedelta(minutes=5)
# One reading that is back in range may be noise. Two in a row are not.
READINGS_THAT_END_PENDING: Final = 2
# One report may be lost and the next one late without a problem. No source: this hospital's own value.
MISSED_REPORTS: Final = 3

FAULT: Final = "fault"
SILENCE: Final = "silence"

ClearReason = Literal["back_in_range", "fault_ended", "reports_again", "retired"]
SIDES: Final[tuple[Side, Side]] = ("low", "high")


class Condition(Part):
    """A condition that may need an alarm. It is pending until it has an alarm."""

    since: UtcTime
    in_range: int = 0  # readings in a row that were back in range
    in_range_since: UtcTime | None = None  # the time of the first of them
    value: Number | None = None  # the last reading, if it was out of limits
    alarm_id: str = ""

    def after(self, at: datetime, value: Decimal, *, range_: "Range", hold: timedelta) -> "Condition | None":
        """The condition after one more reading. None if it has ended."""
        if not range_.includes(value):
            last = value if range_.is_left_by(value) else None
            return Condition(since=self.since, value=last, alarm_id=self.alarm_id)
        since = self.in_range_since or at
        ended = at - since >= hold if self.alarm_id else self.in_range + 1 >= READINGS_THAT_END_PENDING
        if ended:
            return None
        return Condition(since=self.since, in_range=self.in_range + 1, in_range_since=since, alarm_id=self.alarm_id)


class Watch(State, table="watch", key="device_id"):
    """The state of one device.

    `conditions` are by problem: `59408-5:low`, `fault`, `silence`. `timer_chain` is the number of the chain of timers
    that checks for silence; timers of older chains are ignored.
    """

    device_id: str
    stage: Literal["unknown", "registered", "retired"] = "unknown"
    revision: int = 0
    type: str = ""
    ward: str = ""
    reports_every: int = 0  # seconds
    timer_chain: int = 0
    unregistered_emitted: bool = False  # that UnregisteredEquipmentReported was emitted
    last_measured_at: UtcTime | None = None  # the time of measurement of the newest report
    last_seen_at: UtcTime | None = None  # when that report was recorded; before the first one, the registration
    judged_at: dict[str, UtcTime] = {}  # the time of measurement of the last judged reading of each code
    conditions: dict[str, Condition] = {}

    @property
    def open_alarms(self) -> list[str]:
        """The ids of its alarms that are not cleared."""
        return [condition.alarm_id for condition in self.conditions.values() if condition.alarm_id]

    @property
    def longest_silence(self) -> timedelta:
        """How long it may send no report before an alarm is raised."""
        return timedelta(seconds=MISSED_REPORTS * self.reports_every)

    def is_newest(self, report: EquipmentStatusReported) -> bool:
        """Whether the report was measured after all that counted.

        Only such a report ends a silence. So a device whose clock has jumped back is soon silent, and staff check it.
        """
        return self.last_measured_at is None or report.measured_at > self.last_measured_at

    def has_judged(self, code: str, at: datetime) -> bool:
        """Whether a reading of this code that was measured at that time or later was judged."""
        return code in self.judged_at and self.judged_at[code] >= at


def is_too_old(report: EquipmentStatusReported, recorded_at: datetime) -> bool:
    """Whether the report took too long to arrive: it changes nothing."""
    return report.measured_at < recorded_at - TOO_OLD


@dataclass(frozen=True, slots=True)
class NewAlarm:
    """An alarm to raise."""

    alarm_id: str
    problem: Problem
    acknowledge_within: int = ACKNOWLEDGE_WITHIN


@dataclass(frozen=True, slots=True)
class PendingAlarm:
    """An alarm to raise when its delay has passed."""

    code: str  # of the vital sign
    side: Side
    since: datetime
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Range:
    """One limit of a vital sign. Values are rounded as on its chart, or to the decimal places of the limits."""

    side: Side
    limit: Decimal | None
    margin: Decimal

    @classmethod
    def of(cls, side: Side, limits: AlarmLimits) -> "Range":
        """The low or the high limit."""
        return cls(side, getattr(limits, side), limits.margin)

    def is_left_by(self, value: Decimal) -> bool:
        """Whether the value is at or beyond the limit."""
        if self.limit is None:
            return False
        return value <= self.limit if self.side == "low" else value >= self.limit

    def includes(self, value: Decimal) -> bool:
        """Whether the value is inside the limit by more than the margin."""
        if self.limit is None:
            return True
        return value > self.limit + self.margin if self.side == "low" else value < self.limit - self.margin


@dataclass(slots=True)
class Assessment:
    """The result of a report: the device's conditions, and what to raise, to clear (each with a reason) and to report.

    `measured` are the readings that were judged now or before, `not_judged` the others, by code.
    """

    watch: Watch
    report: EquipmentStatusReported
    sequence: int  # the report's, in its device's stream: it is a part of the alarm's id
    conditions: dict[str, Condition]
    judged_at: dict[str, datetime]
    raised: list[NewAlarm] = field(default_factory=list)
    pending: list[PendingAlarm] = field(default_factory=list)
    cleared: dict[str, ClearReason] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    not_judged: dict[str, NotJudged] = field(default_factory=dict)

    def end_silence(self) -> None:
        """Clear the alarm about silence, if there is one."""
        if condition := self.conditions.pop(SILENCE, None):
            self.cleared[condition.alarm_id] = "reports_again"

    def check_status(self) -> None:
        """Raise an alarm at once for a fault, and clear it when the device works. One that is switched off may still
        have its fault.
        """
        fault, status = self.conditions.get(FAULT), self.report.status
        if status == "fault" and not fault:
            report = self.report
            device = {"device_id": report.device_id, "type": report.type, "ward": report.ward}
            problem = Problem(**device, kind="fault", name=FAULT, since=report.measured_at)
            alarm_id = alarm_id_of(report.device_id, FAULT, self.sequence)
            self.conditions[FAULT] = Condition(since=report.measured_at, alarm_id=alarm_id)
            self.raised.append(NewAlarm(alarm_id, problem))
        elif fault and status in {"on", "standby"}:
            del self.conditions[FAULT]
            self.cleared[fault.alarm_id] = "fault_ended"

    def check_readings(self, rows: Sequence[ScopeLimits]) -> None:
        """Judge each vital sign once, by the worst of its new readings, and note what cannot be judged."""
        values: dict[Kind, list[Decimal]] = {}
        for reading in self.report.readings:
            meaning = interpret(reading)
            if isinstance(meaning, NotJudged):
                self.not_judged[reading.code] = meaning
                continue
            self.measured.append(meaning)
            if limits_for(meaning.kind.code, rows) is UNLIMITED:
                self.not_judged[reading.code] = no_limits(reading, meaning.kind)
            if not self.watch.has_judged(reading.code, self.report.measured_at):
                self.judged_at[reading.code] = self.report.measured_at
                values.setdefault(meaning.kind, []).append(meaning.value)
        if battery := battery_not_judged(self.report):
            self.not_judged[battery.reading.code] = battery
        for kind, measured in values.items():
            limits = limits_for(kind.code, rows)
            self._check(kind, _worst([charted(value, kind, limits) for value in measured], limits), limits)

    def _check(self, kind: Kind, value: Decimal, limits: AlarmLimits) -> None:
        """Compare a value with its low and its high limit. Each limit has a condition and an alarm of its own."""
        at = self.report.measured_at
        hold, delay = timedelta(seconds=limits.hold), timedelta(seconds=limits.delay)
        for side in SIDES:
            key, range_ = condition_key(kind.code, side), Range.of(side, limits)
            before = self.conditions.get(key)
            if before is None and not range_.is_left_by(value):
                continue
            after = (before or Condition(since=at)).after(at, value, range_=range_, hold=hold)
            if after is None:
                del self.conditions[key]
                if before and before.alarm_id:
                    self.cleared[before.alarm_id] = "back_in_range"
                continue
            self.conditions[key] = after
            if after.value is None or after.alarm_id:
                continue
            if at - after.since >= delay:
                device = self.watch.evolve(type=self.report.type, ward=self.report.ward)
                self.conditions[key], new = raise_pending(device, kind, range_, after, limits, self.sequence)
                self.raised.append(new)
            elif before is None:
                self.pending.append(PendingAlarm(kind.code, side, after.since, delay))


def charted(value: Decimal, kind: Kind, limits: AlarmLimits) -> Decimal:
    """The value as it is read on a chart: rounded half up, to at least the decimal places of the limits.

    NEWS2's chart has whole numbers, and one decimal place for temperatures: a saturation of 91.4 scores as 91.
    """
    given = [limit for limit in (limits.low, limits.high, limits.margin) if limit is not None]
    places = max(kind.places, *map(places_of, given))
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _worst(values: Sequence[Decimal], limits: AlarmLimits) -> Decimal:
    """The first value that is out of limits; else the first that is not back in range; else the first."""
    ranges = [Range.of(side, limits) for side in SIDES]

    def rank(value: Decimal) -> int:
        if any(range_.is_left_by(value) for range_ in ranges):
            return 0
        return 2 if all(range_.includes(value) for range_ in ranges) else 1

    return min(values, key=rank)


def condition_key(code: str, side: Side) -> str:
    """The name of the condition of a vital sign and a limit."""
    return f"{code}:{side}"


def raise_pending(
    watch: Watch, kind: Kind, range_: Range, condition: Condition, limits: AlarmLimits, sequence: int
) -> tuple[Condition, NewAlarm]:
    """The condition with an alarm, and the alarm to raise for it."""
    problem = Problem(
        device_id=watch.device_id,
        type=watch.type,
        ward=watch.ward,
        kind="reading",
        code=kind.code,
        name=kind.name,
        value=condition.value,
        unit=kind.unit,
        side=range_.side,
        limit=range_.limit,
        since=condition.since,
    )
    alarm_id = alarm_id_of(watch.device_id, kind.code, sequence)
    with_alarm = Condition(since=condition.since, value=condition.value, alarm_id=alarm_id)
    return with_alarm, NewAlarm(alarm_id, problem, limits.acknowledge_within)


def alarm_id_of(device_id: str, what: str, sequence: int) -> str:
    """The id of an alarm that the event with this sequence in the device's stream raises.

    The sequence comes from the event store, which outlives this service's tables. So no id is used twice.
    """
    return f"{device_id}:{what}:{sequence}"


def assess(watch: Watch, report: EquipmentStatusReported, rows: Sequence[ScopeLimits], *, sequence: int) -> Assessment:
    """The result of a report that is not too old. `rows` are the limits of the device's scopes, in order of precedence.

    A reading counts unless one of the same code was judged that was measured then or later. The status and the end of a
    silence count only in the newest report.
    """
    assessment = Assessment(watch, report, sequence, dict(watch.conditions), dict(watch.judged_at))
    if watch.is_newest(report):
        assessment.end_silence()
        assessment.check_status()
    assessment.check_readings(rows)
    return assessment
