"""Record that a member of staff takes care of an alarm, so that it is not escalated any further."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import EquipmentAlarmAcknowledged
from functions.equipment.alarm import Alarm


@reaction(EquipmentAlarmAcknowledged)
def handler(acknowledged: EquipmentAlarmAcknowledged, work: Work) -> None:
    alarm = work.read(Alarm, acknowledged.alarm_id)
    if alarm.stage == "raised":
        work.save(alarm.evolve(stage="acknowledged", acknowledged_at=work.now))
