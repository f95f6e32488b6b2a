"""Store the limits that clinical engineering has set. They apply from the next report on."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.equipment import AlarmLimits, AlarmLimitsSet
from events.vitals import EQUIVALENT
from functions.equipment.limits import RevisedLimits, ScopeLimits


@reaction(AlarmLimitsSet)
def handler(new: AlarmLimitsSet, work: Work) -> None:
    row, code = work.read(ScopeLimits, new.applies_to), EQUIVALENT.get(new.code, new.code)
    if code in row.by_code and new.revision <= row.by_code[code].revision:
        return
    limits = AlarmLimits.model_validate({name: getattr(new, name) for name in AlarmLimits.model_fields})
    revised = RevisedLimits(limits=limits, revision=new.revision)
    work.save(row.evolve(by_code={**row.by_code, code: revised}))
