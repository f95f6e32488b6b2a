"""Raise an alarm whose delay has passed, if the last reading was out of limits and no newer one has arrived."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import AcknowledgementDue, EquipmentAlarmRaised, PendingAlarmDue
from events.vitals import KINDS
from functions.equipment.alarm import open_alarm
from functions.equipment.limits import ScopeLimits, limits_for, scopes
from functions.equipment.watch import Range, Watch, condition_key, raise_pending


@reaction(PendingAlarmDue, emits=(EquipmentAlarmRaised, AcknowledgementDue))
def handler(due: PendingAlarmDue, work: Work) -> None:
    watch, key = work.read(Watch, due.device_id), condition_key(due.code, due.side)
    condition = watch.conditions.get(key)
    if condition is None or condition.alarm_id or condition.since != due.since or condition.value is None:
        return
    precedence = scopes(watch.device_id, watch.ward)
    rows = work.read_all(ScopeLimits, precedence)
    limits = limits_for(due.code, [rows[scope] for scope in precedence])
    range_ = Range.of(due.side, limits)
    if not range_.is_left_by(condition.value):  # the limits have changed
        return
    with_alarm, new = raise_pending(watch, KINDS[due.code], range_, condition, limits, work.cause.sequence)
    work.save(watch.evolve(conditions={**watch.conditions, key: with_alarm}))
    open_alarm(work, new)
