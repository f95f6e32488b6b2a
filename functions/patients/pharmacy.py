"""The pharmacy: what somebody does not bear, and what they are prescribed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.store.limits import TRANSACTION_ITEMS
from events.fhir import AllergyIntolerance, MedicationRequest, Patient, Resource
from events.patients import (
    AllergyConflictFound,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
)
from functions.patients.demographics import demographics
from functions.patients.medication import meet
from functions.patients.record import Record, of_one_person, relinked

ALLERGY, PRESCRIPTION = "allergy", "prescription"

# One transaction tells of all conflicts that come of an event. Where there are more than this, the others are told with
# what changes next; else nothing of it would be known at all.
_MOST_TOLD = TRANSACTION_ITEMS // 2


class Medicated(Record, table="pharmacy-records", key="patient_id"):
    """One patient in the pharmacy. `conflicts` are those of its prescriptions that were told, and have not ended."""

    conflicts: tuple[str, ...] = ()

    @classmethod
    def share(cls, resource: Resource) -> Mapping[str, Any]:
        match resource:
            case Patient():
                return demographics(resource)
            case AllergyIntolerance():
                return {f"{ALLERGY}/{resource.id}": _allergy(resource)}
            case MedicationRequest():
                return {f"{PRESCRIPTION}/{resource.id}": _prescription(resource)}
            case _:
                return {}


@reaction(PatientRecordUpdated, emits=(AllergyConflictFound,))
def sync_pharmacy(update: PatientRecordUpdated, work: Work) -> None:
    """Keep the allergies and prescriptions of a patient, and report each conflict between them."""
    before = work.read(Medicated, update.patient_id)
    after = before.after(update, work.cause.id)
    if after != before:
        keep(work, [after])


@reaction(PatientRecordsMerged, emits=(AllergyConflictFound,))
def sync_pharmacy_merged(merging: PatientRecordsMerged, work: Work) -> None:
    """Two records are one person's."""
    keep(work, relinked(work, Medicated, merging).values())


@reaction(PatientRecordsUnmerged, emits=(AllergyConflictFound,))
def sync_pharmacy_unmerged(parting: PatientRecordsUnmerged, work: Work) -> None:
    """A record is a person's own again."""
    keep(work, relinked(work, Medicated, parting).values())


def keep(work: Work, records: Iterable[Medicated]) -> None:
    """Write the records, and tell each conflict of the person's that was not there before.

    What is prescribed in one record may meet what stands in another one of the same person, so all of these are
    written: two who write at once would each miss the other's.
    """
    about_to_be = {record.patient_id: record for record in records}
    persons: dict[str, Medicated] = {}
    for record in about_to_be.values():
        if record.patient_id not in persons:
            persons |= _told(work, of_one_person(work, record, about_to_be))
    for record in persons.values():
        work.save(record)


def _told(work: Work, person: Mapping[str, Medicated]) -> dict[str, Medicated]:
    """The records of one person, their conflicts told."""
    after = {}
    room = _MOST_TOLD
    for patient_id, record in person.items():
        found = dict(_conflicts(record, person.values()))
        known = found.keys() & set(record.conflicts)
        new = sorted(found.keys() - known)[:room]
        room -= len(new)
        for name in new:
            work.emit(found[name])
        after[patient_id] = record.evolve(conflicts=tuple(sorted(known.union(new))))
    return after


def _conflicts(record: Medicated, person: Iterable[Medicated]) -> Iterator[tuple[str, AllergyConflictFound]]:
    """Which prescriptions of the record meet which allergies of the person, each under a name of its own."""
    for prescription_id, prescription in record.under(PRESCRIPTION).items():
        for other in person:
            for allergy_id, allergy in other.under(ALLERGY).items():
                if not (prescription["stands"] and allergy["stands"]):
                    continue
                if meet(prescription["codes"], allergy["codes"]):
                    yield (
                        f"{prescription_id} {other.patient_id}/{allergy_id}",
                        AllergyConflictFound(
                            patient_id=record.patient_id,
                            prescription_id=prescription_id,
                            prescribed=prescription["words"],
                            allergy_patient_id=other.patient_id,
                            allergy_id=allergy_id,
                            substance=allergy["words"],
                            criticality=allergy["criticality"],
                        ),
                    )


def _allergy(allergy: AllergyIntolerance) -> dict[str, Any]:
    if not allergy.stands:
        return {"stands": False}
    return {
        "stands": True,
        "codes": list(allergy.code.terms) if allergy.code else [],
        "words": allergy.code.words if allergy.code else "",
        "criticality": allergy.criticality,
    }


def _prescription(request: MedicationRequest) -> dict[str, Any]:
    if not request.stands:
        return {"stands": False}
    words = next((concept.words for concept in request.concepts if concept.words), "")
    codes = dict.fromkeys(term for concept in request.concepts for term in concept.terms)
    return {"stands": True, "codes": list(codes), "words": words}
