"""Two records are one person's, for the index."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientRecordsMerged, SharedIdentifierFound
from functions.patients.index import relink


@reaction(PatientRecordsMerged, emits=(SharedIdentifierFound,))
def handler(merging: PatientRecordsMerged, work: Work) -> None:
    relink(work, merging)
