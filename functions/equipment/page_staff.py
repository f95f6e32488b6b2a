"""Page the people on duty about a new alarm."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import Attempt
from events.equipment import EquipmentAlarmRaised, StaffPaged
from functions.equipment.page import page


@effect(EquipmentAlarmRaised, purpose="page/{alarm_id}", emits=(StaffPaged,))
def handler(alarm: EquipmentAlarmRaised, attempt: Attempt) -> StaffPaged:
    return page(alarm.about, attempt, alarm_id=alarm.alarm_id, level=1)
