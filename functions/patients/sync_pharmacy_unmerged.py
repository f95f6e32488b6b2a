"""A record is a person's own again, for the pharmacy."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import AllergyConflictFound, PatientRecordsUnmerged
from functions.patients.pharmacy import Medicated, keep
from functions.patients.record import relinked


@reaction(PatientRecordsUnmerged, emits=(AllergyConflictFound,))
def handler(parting: PatientRecordsUnmerged, work: Work) -> None:
    keep(work, relinked(work, Medicated, parting).values())
