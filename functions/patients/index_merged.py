"""Two records are one person's, for the index."""

from backbone.consumer import reaction
from backbone.work import Work
from events.patients import PatientRecordsMerged
from functions.patients.index import Indexed
from functions.patients.record import relinked


@reaction(PatientRecordsMerged)
def handler(merging: PatientRecordsMerged, work: Work) -> None:
    for record in relinked(work, Indexed, merging).values():
        work.save(record)
