"""Escalate an alarm that was neither acknowledged in time nor cleared."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import AcknowledgementDue, EquipmentAlarmEscalated
from functions.equipment.alarm import HIGHEST_LEVEL, Alarm, schedule_escalation


@reaction(AcknowledgementDue, emits=(EquipmentAlarmEscalated, AcknowledgementDue))
def handler(due: AcknowledgementDue, work: Work) -> None:
    alarm = work.read(Alarm, due.alarm_id)
    if alarm.stage != "raised" or alarm.problem is None or due.level <= alarm.level:
        return
    work.save(alarm.evolve(level=due.level))
    work.emit(EquipmentAlarmEscalated(alarm_id=alarm.alarm_id, problem=alarm.problem, level=due.level))
    if due.level < HIGHEST_LEVEL:
        schedule_escalation(work, alarm.alarm_id, level=due.level + 1, seconds=alarm.acknowledge_within)
