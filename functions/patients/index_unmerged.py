"""A record is a person's own again, for the index."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientRecordsUnmerged, SharedIdentifierFound
from functions.patients.index import relink


@reaction(PatientRecordsUnmerged, emits=(SharedIdentifierFound,))
def handler(parting: PatientRecordsUnmerged, work: Work) -> None:
    relink(work, parting)
