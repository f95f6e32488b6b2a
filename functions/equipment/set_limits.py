"""Keep the limits that clinical engineering has set. They apply from the next report on."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import AlarmLimits, AlarmLimitsSet
from functions.equipment.limits import LimitsRow, Revised


@reaction(AlarmLimitsSet)
def handler(new: AlarmLimitsSet, work: Work) -> None:
    row = work.read(LimitsRow, new.applies_to)
    if new.code in row.of and new.revision <= row.of[new.code].revision:
        return
    limits = AlarmLimits.model_validate({name: getattr(new, name) for name in AlarmLimits.model_fields})
    revised = Revised(limits=limits, revision=new.revision)
    work.save(row.evolve(of={**row.of, new.code: revised}))
