"""Raise an alarm when a report says that something is wrong, and end it when it no longer does.

Nothing in a report is a reason to reject it here: the device's stream would be blocked, and the device unwatched.
"""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts import clock
from events.equipment import (
    AcknowledgementDue,
    Device,
    EquipmentAlarmCleared,
    EquipmentAlarmRaised,
    EquipmentStatusReported,
    UnregisteredEquipmentReported,
)
from functions.equipment.alarm import Alarm, clear_alarm, open_alarm
from functions.equipment.limits import LimitsRow, scopes
from functions.equipment.watch import Watch, judge


@reaction(
    EquipmentStatusReported,
    emits=(EquipmentAlarmRaised, EquipmentAlarmCleared, AcknowledgementDue, UnregisteredEquipmentReported),
    ordered=True,
)
def handler(report: EquipmentStatusReported, work: Work) -> None:
    applying = scopes(report.device_id, report.ward)
    work.prefetch((Watch, [report.device_id]), (LimitsRow, applying))
    watch = work.read(Watch, report.device_id)
    recorded_at = clock.moment(work.cause.recorded_at)
    if watch.stage == "retired" or not watch.counts(report, recorded_at):
        return
    rows = work.read_all(LimitsRow, applying)
    judgement = judge(watch, report, [rows[scope] for scope in applying], sequence=work.cause.sequence)
    unregistered = watch.stage == "unknown"
    work.save(
        watch.evolve(
            judged=report.measured_at,
            alive=recorded_at,
            type=report.type,
            ward=report.ward,
            courses=judgement.courses,
            noticed=watch.noticed or unregistered,
        )
    )
    if unregistered and not watch.noticed:
        device = Device(udi=report.udi, serial=report.serial, type=report.type, ward=report.ward)
        work.emit(UnregisteredEquipmentReported(device_id=report.device_id, device=device))
    work.prefetch((Alarm, judgement.cleared))
    for alarm_id, because in judgement.cleared.items():
        clear_alarm(work, alarm_id, because)
    for raised in judgement.raised:
        open_alarm(work, raised)
