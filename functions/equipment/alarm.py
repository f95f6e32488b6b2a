"""The state of an alarm. Its row decides whether it is acknowledged, escalated or cleared first."""

from datetime import timedelta
from typing import Final, Literal

from daybook.consumers.work import Work
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.equipment import AcknowledgementDue, EquipmentAlarmCleared, EquipmentAlarmRaised, Problem
from functions.equipment.watch import ClearReason, NewAlarm

HIGHEST_LEVEL: Final = 3


class Alarm(State, table="alarms", key="alarm_id"):
    """One alarm. Nothing changes it any more once it is cleared."""

    alarm_id: str
    stage: Literal["unknown", "raised", "acknowledged", "cleared"] = "unknown"
    level: int = 0
    problem: Problem | None = None
    acknowledge_within: int = 0  # seconds, for each level
    raised_at: UtcTime | None = None
    acknowledged_at: UtcTime | None = None
    cleared_at: UtcTime | None = None


def open_alarm(work: Work, new: NewAlarm) -> None:
    """Raise an alarm, and set the timer that escalates it."""
    work.save(
        Alarm(
            alarm_id=new.alarm_id,
            stage="raised",
            level=1,
            problem=new.problem,
            acknowledge_within=new.acknowledge_within,
            raised_at=work.now,
        )
    )
    work.emit(EquipmentAlarmRaised(alarm_id=new.alarm_id, problem=new.problem))
    schedule_escalation(work, new.alarm_id, level=2, seconds=new.acknowledge_within)


def schedule_escalation(work: Work, alarm_id: str, *, level: int, seconds: int) -> None:
    """Set the timer that escalates the alarm to a level, if nobody acknowledges it before."""
    work.schedule(AcknowledgementDue(alarm_id=alarm_id, level=level), work.now + timedelta(seconds=seconds))


def clear_alarm(work: Work, alarm_id: str, reason: ClearReason) -> None:
    """Clear an alarm whose problem has ended. Does nothing if the alarm was never raised."""
    alarm = work.read(Alarm, alarm_id)
    if alarm.problem is None:
        return
    work.save(alarm.evolve(stage="cleared", cleared_at=work.now))
    work.emit(EquipmentAlarmCleared(alarm_id=alarm_id, problem=alarm.problem, reason=reason))
