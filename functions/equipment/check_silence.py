"""Look whether a device has been silent for too long, and look again.

A device has one timer, which is armed anew each time it fires and never by a report: reports may be many.
"""

from datetime import datetime

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import (
    AcknowledgementDue,
    EquipmentAlarmRaised,
    EquipmentFellSilent,
    SilenceCheckDue,
    Trouble,
)
from functions.equipment.alarm import open_alarm
from functions.equipment.watch import SILENCE, Course, Raised, Watch, alarm_name


@reaction(SilenceCheckDue, emits=(EquipmentFellSilent, EquipmentAlarmRaised, AcknowledgementDue, SilenceCheckDue))
def handler(check: SilenceCheckDue, work: Work) -> None:
    watch = work.read(Watch, check.device_id)
    if watch.stage != "registered" or check.round != watch.round or watch.alive is None:
        return
    silent_at = watch.alive + watch.patience
    if work.now < silent_at:
        work.schedule(check, silent_at)
        return
    if SILENCE not in watch.courses:
        _tell(watch, watch.alive, work)
    work.schedule(check, work.now + watch.patience)


def _tell(watch: Watch, since: datetime, work: Work) -> None:
    device = {"device_id": watch.device_id, "type": watch.type, "ward": watch.ward}
    about = Trouble(**device, kind="silence", name="silence", since=since)
    raised = Raised(alarm_name(watch.device_id, SILENCE, work.cause.sequence), about)
    course = Course(since=since, alarm_id=raised.alarm_id)
    work.save(watch.evolve(courses={**watch.courses, SILENCE: course}))
    work.emit(EquipmentFellSilent(**device, since=since))
    open_alarm(work, raised)
