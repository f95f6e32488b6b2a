"""Keep whom to bill, where, and who pays."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientRecordUpdated
from functions.patients.billing import Billed


@reaction(PatientRecordUpdated)
def handler(update: PatientRecordUpdated, work: Work) -> None:
    before = work.read(Billed, update.patient_id)
    after = before.after(update, work.cause.id)
    if after != before:
        work.save(after)
