"""Page more people about an alarm that nobody has acknowledged."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.equipment import EquipmentAlarmEscalated, StaffPaged
from functions.equipment.page import page


@effect(EquipmentAlarmEscalated, idempotency_key="page/{alarm_id}/{level}", emits=(StaffPaged,))
def handler(alarm: EquipmentAlarmEscalated, record: EffectRecord) -> StaffPaged:
    return page(alarm.problem, record, alarm_id=alarm.alarm_id, level=alarm.level)
