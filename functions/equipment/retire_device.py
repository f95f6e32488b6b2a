"""Stop monitoring a device, and clear its alarms."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import EquipmentAlarmCleared, EquipmentRetired
from functions.equipment.alarm import Alarm, clear_alarm
from functions.equipment.watch import Watch


@reaction(EquipmentRetired, emits=(EquipmentAlarmCleared,))
def handler(device: EquipmentRetired, work: Work) -> None:
    watch = work.read(Watch, device.device_id)
    if device.revision <= watch.revision:
        return
    work.save(watch.evolve(stage="retired", revision=device.revision, conditions={}))
    work.prefetch((Alarm, watch.open_alarms))
    for alarm_id in watch.open_alarms:
        clear_alarm(work, alarm_id, "retired")
