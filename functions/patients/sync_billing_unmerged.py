"""A record is a person's own again, for billing."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientRecordsUnmerged
from functions.patients.billing import Billed
from functions.patients.record import relinked


@reaction(PatientRecordsUnmerged)
def handler(parting: PatientRecordsUnmerged, work: Work) -> None:
    for record in relinked(work, Billed, parting).values():
        work.save(record)
