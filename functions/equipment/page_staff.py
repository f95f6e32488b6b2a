"""Page the people on duty about a new alarm."""

from backbone.attempts import Attempt
from backbone.consumer import effect
from events.equipment import EquipmentAlarmRaised, StaffPaged
from functions.equipment.page import page


@effect(EquipmentAlarmRaised, purpose="page/{alarm_id}", emits=(StaffPaged,))
def handler(alarm: EquipmentAlarmRaised, attempt: Attempt) -> StaffPaged:
    return page(alarm.about, attempt, alarm_id=alarm.alarm_id, level=1)
