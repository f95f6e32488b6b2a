"""Page the staff on duty about a new alarm."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.equipment import EquipmentAlarmRaised, StaffPaged
from functions.equipment.page import page


@effect(EquipmentAlarmRaised, idempotency_key="page/{alarm_id}", emits=(StaffPaged,))
def handler(alarm: EquipmentAlarmRaised, record: EffectRecord) -> StaffPaged:
    return page(alarm.problem, record, alarm_id=alarm.alarm_id, level=1)
