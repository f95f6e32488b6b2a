"""Page more people about an alarm that nobody has acknowledged."""

from backbone.attempts import Attempt
from backbone.consumer import effect
from events.equipment import EquipmentAlarmEscalated, StaffPaged
from functions.equipment.page import page


@effect(EquipmentAlarmEscalated, purpose="page/{alarm_id}/{level}", emits=(StaffPaged,))
def handler(alarm: EquipmentAlarmEscalated, attempt: Attempt) -> StaffPaged:
    return page(alarm.about, attempt, alarm_id=alarm.alarm_id, level=alarm.level)
