"""Unpack a bundle: an event for each resource of the patient."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.patients import PatientBundleReceived, PatientRecordUpdated


@reaction(PatientBundleReceived, emits=(PatientRecordUpdated,))
def handler(bundle: PatientBundleReceived, work: Work) -> None:
    for update in bundle.updates():
        work.emit(update)
