"""The one row that decides about an alarm: acknowledged, a level up, or over, whichever comes first."""

from datetime import timedelta
from typing import Final, Literal

from daybook.consumers.work import Work
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.equipment import AcknowledgementDue, EquipmentAlarmCleared, EquipmentAlarmRaised, Trouble
from functions.equipment.watch import Because, Raised

HIGHEST: Final = 3


class Alarm(State, table="alarms", key="alarm_id"):
    """Where an alarm stands. Once it is over, nothing more is decided about it."""

    alarm_id: str
    stage: Literal["unknown", "raised", "acknowledged", "cleared"] = "unknown"
    level: int = 0
    about: Trouble | None = None
    acknowledge_within: int = 0  # seconds, for each level
    raised_at: UtcTime | None = None
    acknowledged_at: UtcTime | None = None
    cleared_at: UtcTime | None = None


def open_alarm(work: Work, raised: Raised) -> None:
    """Raise an alarm, and wait so long for somebody to acknowledge it."""
    work.save(
        Alarm(
            alarm_id=raised.alarm_id,
            stage="raised",
            level=1,
            about=raised.about,
            acknowledge_within=raised.acknowledge_within,
            raised_at=work.now,
        )
    )
    work.emit(EquipmentAlarmRaised(alarm_id=raised.alarm_id, about=raised.about))
    await_acknowledgement(work, raised.alarm_id, level=2, seconds=raised.acknowledge_within)


def await_acknowledgement(work: Work, alarm_id: str, *, level: int, seconds: int) -> None:
    """Have the alarm looked at again after so long, to bring it to that level."""
    work.schedule(AcknowledgementDue(alarm_id=alarm_id, level=level), work.now + timedelta(seconds=seconds))


def clear_alarm(work: Work, alarm_id: str, because: Because) -> None:
    """End an alarm that was raised: what it was about is over."""
    alarm = work.read(Alarm, alarm_id)
    if alarm.about is None:
        return
    work.save(alarm.evolve(stage="cleared", cleared_at=work.now))
    work.emit(EquipmentAlarmCleared(alarm_id=alarm_id, about=alarm.about, because=because))
