"""Keep who a patient is, so that they are found by number, name, birth date and ward."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientRecordUpdated, SharedIdentifierFound
from functions.patients.index import Hint, Indexed, Numbered, hints, leave_hints, numbers, shared


@reaction(PatientRecordUpdated, emits=(SharedIdentifierFound,))
def handler(update: PatientRecordUpdated, work: Work) -> None:
    said = Indexed.share(update.resource)
    patient = update.patient_id
    work.prefetch((Indexed, [patient]), (Hint, hints(said, patient)), (Numbered, numbers(said)))
    before = work.read(Indexed, patient)
    after = before.after(update, work.cause.id)
    if after == before:
        return
    work.save(after)
    for finding in shared(work, after, leave_hints(work, said, before)):
        work.emit(finding)
