"""Two records are one person's, for the pharmacy."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import AllergyConflictFound, PatientRecordsMerged
from functions.patients.pharmacy import Medicated, keep
from functions.patients.record import relinked


@reaction(PatientRecordsMerged, emits=(AllergyConflictFound,))
def handler(merging: PatientRecordsMerged, work: Work) -> None:
    keep(work, relinked(work, Medicated, merging).values())
