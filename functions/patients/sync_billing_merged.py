"""Two records are one person's, for billing."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientRecordsMerged
from functions.patients.billing import Billed
from functions.patients.record import relinked


@reaction(PatientRecordsMerged)
def handler(merging: PatientRecordsMerged, work: Work) -> None:
    for record in relinked(work, Billed, merging).values():
        work.save(record)
