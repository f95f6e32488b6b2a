"""A record is a person's own again, for the pharmacy."""

from backbone.consumer import reaction
from backbone.work import Work
from events.patients import PatientRecordsUnmerged
from functions.patients.pharmacy import Medicated, keep
from functions.patients.record import relinked


@reaction(PatientRecordsUnmerged)
def handler(parting: PatientRecordsUnmerged, work: Work) -> None:
    keep(work, relinked(work, Medicated, parting).values())
