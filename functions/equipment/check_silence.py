"""Raise an alarm if a device has sent no report for too long, and schedule the next check.

A device has one timer. Each check sets it again. Reports never set it, because there may be many of them.
"""

from datetime import datetime

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import (
    AcknowledgementDue,
    EquipmentAlarmRaised,
    EquipmentFellSilent,
    Problem,
    SilenceCheckDue,
)
from functions.equipment.alarm import open_alarm
from functions.equipment.watch import SILENCE, Condition, NewAlarm, Watch, alarm_id_of


@reaction(SilenceCheckDue, emits=(EquipmentFellSilent, EquipmentAlarmRaised, AcknowledgementDue, SilenceCheckDue))
def handler(check: SilenceCheckDue, work: Work) -> None:
    watch = work.read(Watch, check.device_id)
    if watch.stage != "registered" or check.timer_chain != watch.timer_chain or watch.last_seen_at is None:
        return
    silent_at = watch.last_seen_at + watch.longest_silence
    if work.now < silent_at:
        work.schedule(check, silent_at)
        return
    if SILENCE not in watch.conditions:
        _raise_alarm(watch, watch.last_seen_at, work)
    work.schedule(check, work.now + watch.longest_silence)


def _raise_alarm(watch: Watch, since: datetime, work: Work) -> None:
    device = {"device_id": watch.device_id, "type": watch.type, "ward": watch.ward}
    problem = Problem(**device, kind="silence", name="silence", since=since)
    alarm_id = alarm_id_of(watch.device_id, SILENCE, work.cause.sequence)
    condition = Condition(since=since, alarm_id=alarm_id)
    work.save(watch.evolve(conditions={**watch.conditions, SILENCE: condition}))
    work.emit(EquipmentFellSilent(**device, since=since))
    open_alarm(work, NewAlarm(alarm_id, problem))
