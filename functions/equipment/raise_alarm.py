"""Raise an alarm when a report shows a problem, and clear it when the problem has ended.

This function accepts every report: an error would block the device's stream, and nobody would notice its next alarms.
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
    PendingAlarmDue,
    ReadingNotJudged,
    ReadingRounded,
    UnregisteredEquipmentReported,
)
from functions.equipment.alarm import Alarm, clear_alarm, open_alarm
from functions.equipment.limits import ScopeLimits, scopes
from functions.equipment.unjudged import UnjudgedReadings, report_unjudged
from functions.equipment.watch import Watch, assess, is_too_old


@reaction(
    EquipmentStatusReported,
    emits=(
        EquipmentAlarmRaised,
        EquipmentAlarmCleared,
        AcknowledgementDue,
        PendingAlarmDue,
        UnregisteredEquipmentReported,
        ReadingNotJudged,
        ReadingRounded,
    ),
    ordered=True,
)
def handler(report: EquipmentStatusReported, work: Work) -> None:
    precedence = scopes(report.device_id, report.ward)
    work.prefetch((Watch, [report.device_id]), (ScopeLimits, precedence), (UnjudgedReadings, [report.device_id]))
    watch = work.read(Watch, report.device_id)
    recorded_at = clock.moment(work.cause.recorded_at)
    if watch.stage == "retired" or is_too_old(report, recorded_at):
        return
    rows = work.read_all(ScopeLimits, precedence)
    assessment = assess(watch, report, [rows[scope] for scope in precedence], sequence=work.cause.sequence)
    report_unjudged(work, report, assessment.not_judged, assessment.measured)
    after = watch.evolve(conditions=assessment.conditions, judged_at=assessment.judged_at)
    if watch.is_newest(report):
        after = after.evolve(
            last_measured_at=report.measured_at,
            last_seen_at=recorded_at,
            type=report.type,
            ward=report.ward,
            unregistered_emitted=watch.unregistered_emitted or watch.stage == "unknown",
        )
    if after != watch:
        work.save(after)
    if after.unregistered_emitted and not watch.unregistered_emitted:
        device = Device(udi=report.udi, serial=report.serial, type=report.type, ward=report.ward)
        work.emit(UnregisteredEquipmentReported(device_id=report.device_id, device=device))
    work.prefetch((Alarm, assessment.cleared))
    for alarm_id, reason in assessment.cleared.items():
        clear_alarm(work, alarm_id, reason)
    for new in assessment.raised:
        open_alarm(work, new)
    for pending in assessment.pending:
        due = PendingAlarmDue(device_id=report.device_id, code=pending.code, side=pending.side, since=pending.since)
        work.schedule(due, recorded_at + pending.delay)
