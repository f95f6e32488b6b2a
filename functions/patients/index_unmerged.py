"""A record is a person's own again, for the index."""

from backbone.consumer import reaction
from backbone.work import Work
from events.patients import PatientRecordsUnmerged
from functions.patients.index import Indexed
from functions.patients.record import relinked


@reaction(PatientRecordsUnmerged)
def handler(parting: PatientRecordsUnmerged, work: Work) -> None:
    for record in relinked(work, Indexed, parting).values():
        work.save(record)
