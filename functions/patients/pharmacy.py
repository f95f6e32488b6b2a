"""The pharmacy: the allergies and the prescriptions of patients, and the conflicts between them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice, product
from typing import Any

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.runtime.settings import settings
from daybook.store.limits import TRANSACTION_ITEMS
from events.fhir import AllergyIntolerance, CodeableConcept, MedicationRequest, Patient, Resource
from events.patients import (
    AllergyConflictFound,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    TerminologyAnswered,
    TerminologyAsked,
    TerminologyQuestion,
)
from functions.patients.code_systems import says_no_allergy, terms
from functions.patients.demographics import demographics
from functions.patients.medication import NOTHING, Reason, Terminology, conflict, not_coded, unchecked
from functions.patients.record import Record, ResourceRow, changed, of_one_person, read_records, save_record
from functions.patients.terminology import TerminologyAnswer, questions, terminology

ALLERGY, PRESCRIPTION = "allergy", "prescription"

# One transaction emits all conflicts that follow from an event. If there are more, the next event of the person emits
# the rest: without the limit the transaction would fail, and no conflict would be reported.
_MAX_CONFLICTS = TRANSACTION_ITEMS // 2
_MAX_QUESTIONS = TRANSACTION_ITEMS // 5

# The stage's option without a terminology server.
_NO_SERVER = "off"


class PharmacyResource(ResourceRow, table="pharmacy-resources", key="resource"):
    """One allergy or prescription."""


class PharmacyRecord(Record, table="pharmacy-records", key="patient_id"):
    """One patient in the pharmacy. `conflicts` are those of its prescriptions that were reported and still exist."""

    resource_rows = PharmacyResource
    current_field = "active"

    conflicts: tuple[str, ...] = ()

    @classmethod
    def values_from(cls, resource: Resource) -> Mapping[str, Any]:
        match resource:
            case Patient():
                return demographics(resource)
            case AllergyIntolerance():
                return {f"{ALLERGY}/{resource.id}": _allergy(resource)}
            case MedicationRequest():
                return {f"{PRESCRIPTION}/{resource.id}": _prescription(resource)}
            case _:
                return {}


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A prescription that could not be compared with an allergy `<record>/<allergy>`; with any if it is None."""

    prescription: str
    allergy: str | None
    reason: Reason

    def __str__(self) -> str:
        allergy = "any allergy" if self.allergy is None else f"allergy {self.allergy}"
        return f"{self.prescription} with {allergy}: {self.reason}"


@reaction(PatientRecordUpdated, emits=(AllergyConflictFound, TerminologyAsked))
def sync_pharmacy(update: PatientRecordUpdated, work: Work) -> None:
    """Keep the allergies and prescriptions of a patient, and report each conflict between them."""
    save_and_report_conflicts(work, changed(work, PharmacyRecord, update).values(), ask=_has_server())


@reaction(PatientRecordsMerged, emits=(AllergyConflictFound, TerminologyAsked))
def sync_pharmacy_merged(merge: PatientRecordsMerged, work: Work) -> None:
    """Link two records of one person, and report each conflict between them."""
    save_and_report_conflicts(work, changed(work, PharmacyRecord, merge).values(), ask=_has_server())


@reaction(PatientRecordsUnmerged, emits=(AllergyConflictFound,))
def sync_pharmacy_unmerged(unmerge: PatientRecordsUnmerged, work: Work) -> None:
    """Remove the link between two records."""
    save_and_report_conflicts(work, changed(work, PharmacyRecord, unmerge).values())


@reaction(TerminologyAnswered, emits=(AllergyConflictFound,))
def save_terminology_answer(answered: TerminologyAnswered, work: Work) -> None:
    """Keep an answer for all patients, and report each conflict of the patient that it shows."""
    question = answered.question
    answer = work.read(TerminologyAnswer, question.key).evolve(
        answered_at=work.cause.recorded_at,
        code=f"{question.system}|{question.code}",
        member=f"{question.system}|{question.member}" if question.member else None,
        atc=answered.atc,
        includes=answered.includes,
    )
    work.save(answer)
    records = read_records(work, PharmacyRecord, [answered.patient_id])
    save_and_report_conflicts(work, records.values(), answers={answer.question: answer})


def save_and_report_conflicts(
    work: Work,
    records: Iterable[PharmacyRecord],
    *,
    ask: bool = False,
    answers: Mapping[str, TerminologyAnswer] | None = None,
) -> None:
    """Save the records, and emit an event for each conflict of the person that was not reported before. `answers` are
    used in place of their rows. With `ask`, also emit the questions to the terminology server that have no answer.

    A prescription in one record may conflict with an allergy in another record of the person. So all records of the
    person are saved: otherwise two updates at the same time would miss the conflict between them.
    """
    unsaved = {record.patient_id: record for record in records}
    persons: dict[str, PharmacyRecord] = {}
    for record in unsaved.values():
        if record.patient_id in persons:
            continue
        person = of_one_person(work, record, unsaved)
        keys = questions_about(person.values())
        found = {**work.read_all(TerminologyAnswer, keys), **(answers or {})}
        persons |= _with_conflicts(work, person, terminology(found))
        if ask:
            unanswered = (
                question
                for key, question in questions_about(person.values(), terminology(found)).items()
                if not found[key].is_fresh(work.now)
            )
            for number, question in enumerate(islice(unanswered, _MAX_QUESTIONS)):
                question_id = sha256(f"{work.cause.id}/{record.patient_id}/{number}".encode()).hexdigest()[:32]
                work.emit(TerminologyAsked(patient_id=record.patient_id, question_id=question_id, question=question))
    for record in persons.values():
        save_record(work, record)


def questions_about(person: Collection[PharmacyRecord], known: Terminology = NOTHING) -> dict[str, TerminologyQuestion]:
    """The questions, by key, whose answers may show more about the unchecked prescriptions of a person."""
    prescriptions = [each for record in person for each in _active(record, PRESCRIPTION).values()]
    allergies = [each for record in person for each in _active(record, ALLERGY).values()]
    return {
        question.key: question
        for prescription, allergy in product(prescriptions, allergies)
        if prescription["codes"]
        and allergy["codes"]
        and unchecked(prescription["substances"], allergy["substances"], known)
        and not conflict(prescription["codes"], allergy["codes"], known)
        for question in questions(prescription["codes"], allergy["codes"])
    }


def _has_server() -> bool:
    return settings().option("terminology-server") != _NO_SERVER


def _with_conflicts(work: Work, person: Mapping[str, PharmacyRecord], known: Terminology) -> dict[str, PharmacyRecord]:
    """The records of one person with their conflicts, after emitting the new ones."""
    after = {}
    room = _MAX_CONFLICTS
    for patient_id, record in person.items():
        found = dict(_conflicts(record, person.values(), known))
        reported = found.keys() & set(record.conflicts)
        new = sorted(found.keys() - reported)[:room]
        room -= len(new)
        for name in new:
            work.emit(found[name])
        after[patient_id] = record.evolve(conflicts=tuple(sorted(reported.union(new))))
    return after


def _conflicts(
    record: PharmacyRecord, person: Iterable[PharmacyRecord], known: Terminology
) -> Iterator[tuple[str, AllergyConflictFound]]:
    """The conflicts of the record's prescriptions with the person's allergies, each with a unique name."""
    prescriptions = _active(record, PRESCRIPTION)
    for other in person:
        for allergy_id, allergy in _active(other, ALLERGY).items():
            for prescription_id, prescription in prescriptions.items():
                if conflict(prescription["codes"], allergy["codes"], known):
                    yield (
                        f"{prescription_id} {other.patient_id}/{allergy_id}",
                        AllergyConflictFound(
                            patient_id=record.patient_id,
                            prescription_id=prescription_id,
                            prescribed=prescription["name"],
                            allergy_patient_id=other.patient_id,
                            allergy_id=allergy_id,
                            substance=allergy["name"],
                            criticality=allergy["criticality"],
                        ),
                    )


def unchecked_prescriptions(
    record: PharmacyRecord, person: Iterable[PharmacyRecord], known: Terminology = NOTHING
) -> Iterator[Unchecked]:
    """The record's prescriptions that could not be compared with all allergies of the person."""
    allergies = {
        f"{other.patient_id}/{allergy_id}": allergy
        for other in person
        for allergy_id, allergy in _active(other, ALLERGY).items()
    }
    for prescription_id, prescription in _active(record, PRESCRIPTION).items():
        if reason := not_coded(prescription["substances"]):
            yield Unchecked(prescription_id, None, reason)
            continue
        for allergy_id, allergy in allergies.items():
            reason = unchecked(prescription["substances"], allergy["substances"], known)
            if reason and not conflict(prescription["codes"], allergy["codes"], known):
                yield Unchecked(prescription_id, allergy_id, reason)


def _active(record: PharmacyRecord, kind: str) -> dict[str, Any]:
    return {key: value for key, value in record.resources(kind).items() if value["active"]}


def _allergy(allergy: AllergyIntolerance) -> dict[str, Any]:
    code = None if allergy.code and says_no_allergy(allergy.code) else allergy.code
    concepts = [*([code] if code else []), *allergy.substances]
    if not allergy.is_active or (allergy.code and not concepts):
        return {"active": False}
    return {
        "active": True,
        "codes": _codes(concepts),
        # A substance of a reaction is the one that `code` names, or a more specific one.
        "substances": [_codes([each]) for each in concepts[: 1 if code else None]] or [[]],
        "name": next((concept.words for concept in concepts if concept.words), ""),
        "criticality": allergy.criticality,
    }


def _prescription(request: MedicationRequest) -> dict[str, Any]:
    if not request.is_active:
        return {"active": False}
    named = (concept.words for concept in request.concepts if concept.words)
    reference = request.medicationReference
    return {
        "active": True,
        "codes": _codes(request.concepts),
        "substances": [None if each is None else _codes([each]) for each in request.substances],
        "name": next(named, (reference and reference.display) or ""),
    }


def _codes(concepts: Iterable[CodeableConcept]) -> list[str]:
    return list(dict.fromkeys(term for concept in concepts for term in terms(concept)))
