"""Keep what a patient does not bear and what they are prescribed, and tell where one meets the other."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import AllergyConflictFound, PatientRecordUpdated
from functions.patients.pharmacy import Medicated, keep


@reaction(PatientRecordUpdated, emits=(AllergyConflictFound,))
def handler(update: PatientRecordUpdated, work: Work) -> None:
    before = work.read(Medicated, update.patient_id)
    after = before.after(update, work.cause.id)
    if after != before:
        keep(work, [after])
