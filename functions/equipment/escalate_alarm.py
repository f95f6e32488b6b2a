"""Bring an alarm a level up that nobody has acknowledged in time, and that is not over."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import AcknowledgementDue, EquipmentAlarmEscalated
from functions.equipment.alarm import HIGHEST, Alarm, await_acknowledgement


@reaction(AcknowledgementDue, emits=(EquipmentAlarmEscalated, AcknowledgementDue))
def handler(due: AcknowledgementDue, work: Work) -> None:
    alarm = work.read(Alarm, due.alarm_id)
    if alarm.stage != "raised" or alarm.about is None or due.level <= alarm.level:
        return
    work.save(alarm.evolve(level=due.level))
    work.emit(EquipmentAlarmEscalated(alarm_id=alarm.alarm_id, about=alarm.about, level=due.level))
    if due.level < HIGHEST:
        await_acknowledgement(work, alarm.alarm_id, level=due.level + 1, seconds=alarm.acknowledge_within)
