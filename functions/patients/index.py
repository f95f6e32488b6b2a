"""The index: finds patients by number, name, birth date and ward.

Two tables of hints lead to records: the patients who were ever given a number, and those who ever had a search term. A
hint is never removed, so late and duplicate events do no harm. A reader of a hint checks it against the record.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.store.limits import TRANSACTION_ITEMS
from daybook.store.state import State
from events.fhir import Encounter, Patient, Resource
from events.patients import (
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    SharedIdentifierFound,
)
from functions.patients import lookup
from functions.patients.demographics import GENDER, as_json, demographics
from functions.patients.record import (
    Record,
    ResourceRow,
    changed,
    is_resource,
    of_one_person,
    read_record,
    resource_key,
    save_record,
)

IDENTIFIERS, ENCOUNTER = "identifiers", "encounter"

# One transaction writes all hints of a record, its numbers (at most twenty), and one event for each shared number.
_MAX_TERMS = TRANSACTION_ITEMS // 2
# A number with so many holders identifies nobody. It is a placeholder such as `0000`.
_MAX_HOLDERS = 100


class IndexResource(ResourceRow, table="index-resources", key="resource"):
    """One encounter."""


class IndexRecord(Record, table="patient-index", key="patient_id"):
    """One patient in the index."""

    resource_rows = IndexResource
    current_field = "ward"

    @classmethod
    def values_from(cls, resource: Resource) -> Mapping[str, Any]:
        match resource:
            case Patient():
                return {**demographics(resource), IDENTIFIERS: as_json(resource.identifier), GENDER: resource.gender}
            case Encounter():
                return {f"{ENCOUNTER}/{resource.id}": {"status": resource.status, "ward": resource.ward}}
            case _:
                return {}

    @property
    def values(self) -> dict[str, Any]:
        """The values of all facts, by name."""
        return {name: fact.value for name, fact in self.facts.items()}

    @property
    def numbers(self) -> dict[str, str]:
        """The patient's numbers that are in use. Keys are system and number as one text, values are the systems."""
        return _numbers(self.value(IDENTIFIERS))


class NumberHolders(State, table="patient-identifiers", key="number"):
    """The patients who were ever given a number."""

    number: str
    patients: tuple[str, ...] = ()


class Hint(State, table="patient-terms", key="hint"):
    """One patient who ever had a search term. There is a row for each pair of them."""

    hint: str
    term: str = ""
    patient_id: str = ""


@reaction(PatientRecordUpdated, emits=(SharedIdentifierFound,))
def index_patient(update: PatientRecordUpdated, work: Work) -> None:
    """Index a patient by number, name, birth date and ward, and report numbers that other patients have."""
    values = IndexRecord.values_from(update.resource)
    if not values:
        return
    patient_id = update.patient_id
    hints = hints_of(patient_id, values)
    work.prefetch(
        (IndexRecord, [patient_id]),
        (IndexResource, [resource_key(patient_id, name) for name in values if is_resource(name)]),
        (Hint, hints),
        (NumberHolders, numbers_in(values)),
    )
    before = read_record(work, IndexRecord, patient_id, values)
    records = changed(work, IndexRecord, update)
    if not records:
        return
    new = save_hints(work, values, before)
    for found in _save(work, records, before, new):
        work.emit(found)


@reaction(PatientRecordsMerged, emits=(SharedIdentifierFound,))
def index_merged(merge: PatientRecordsMerged, work: Work) -> None:
    """Link two records of one person."""
    _link(work, merge)


@reaction(PatientRecordsUnmerged, emits=(SharedIdentifierFound,))
def index_unmerged(unmerge: PatientRecordsUnmerged, work: Work) -> None:
    """Remove the link between two records, and report the numbers that both have."""
    _link(work, unmerge)


def hints_of(patient_id: str, values: Mapping[str, Any]) -> dict[str, Hint]:
    """The hints that lead to a patient with these facts, by key."""
    # Words of names come last, because only of these there may be too many.
    terms = sorted(lookup.terms(values), key=lambda term: (term.startswith(lookup.name_term("")), term))[:_MAX_TERMS]
    return {key: Hint(hint=key, term=term, patient_id=patient_id) for term in terms if (key := f"{term}#{patient_id}")}


def numbers_in(values: Mapping[str, Any]) -> list[str]:
    """The numbers among these facts, each as one text with its system."""
    return list(_numbers(values.get(IDENTIFIERS)))


def save_hints(work: Work, values: Mapping[str, Any], before: IndexRecord) -> list[str]:
    """Save the missing hints of a patient with these facts. Returns the numbers that are new to the patient."""
    patient_id = before.patient_id
    wanted = hints_of(patient_id, values)
    existing = work.read_all(Hint, wanted)
    for key, hint in wanted.items():
        if not existing[key].term:
            work.save(hint)
    new = []
    for number, holders in work.read_all(NumberHolders, numbers_in(values)).items():
        known = patient_id in holders.patients
        if len(holders.patients) >= _MAX_HOLDERS or (known and number in before.numbers):
            continue
        # A known holder is saved too. Otherwise two patients who get the number at once would not notice each other.
        patients = holders.patients if known else (*holders.patients, patient_id)
        work.save(holders.evolve(patients=patients))
        new.append(number)
    return new


def lacks_hints(work: Work, record: IndexRecord) -> bool:
    """Whether a hint that leads to the patient is missing."""
    hints = work.read_all(Hint, hints_of(record.patient_id, record.values)).values()
    holders = work.read_all(NumberHolders, numbers_in(record.values)).values()
    return any(not hint.term for hint in hints) or any(
        record.patient_id not in each.patients and len(each.patients) < _MAX_HOLDERS for each in holders
    )


def shared_identifiers(
    work: Work, record: IndexRecord, new: list[str], unsaved: Mapping[str, IndexRecord] | None = None
) -> Iterator[SharedIdentifierFound]:
    """An event for each of the patient's `new` numbers that another person has. Records in `unsaved` are used in place
    of their rows.
    """
    person = of_one_person(work, record, unsaved) if new else {}
    for number, holders in work.read_all(NumberHolders, [each for each in new if each in record.numbers]).items():
        others = work.read_all(IndexRecord, [other for other in holders.patients if other not in person])
        sharing = tuple(sorted(other for other, row in others.items() if number in row.numbers))
        if sharing:
            yield SharedIdentifierFound(patient_id=record.patient_id, others=sharing, system=record.numbers[number])


def _link(work: Work, event: PatientRecordsMerged | PatientRecordsUnmerged) -> None:
    before = read_record(work, IndexRecord, event.patient_id)
    for found in _save(work, changed(work, IndexRecord, event), before, []):
        work.emit(found)


def _save(
    work: Work, records: Mapping[str, IndexRecord], before: IndexRecord, new: list[str]
) -> Iterator[SharedIdentifierFound]:
    """Save the records after an event of one of them, and yield an event for each number that is shared now. The
    holders of the record's `new` numbers are saved already.
    """
    for record in records.values():
        save_record(work, record)
    after = records.get(before.patient_id, before)
    if not before.replaced_by or after.replaced_by == before.replaced_by:
        yield from shared_identifiers(work, after, new, records)
        return
    # The records are no longer one person's, so each of their numbers may be shared now.
    person = of_one_person(work, after, records)
    numbers = {number for each in person.values() for number in each.numbers}
    # Saved unchanged. Otherwise a patient who gets a number at the same time and this one would not notice each other.
    for holders in work.read_all(NumberHolders, numbers - set(new)).values():
        work.save(holders)
    for each in person.values():
        yield from shared_identifiers(work, each, list(each.numbers), records)


def _numbers(identifiers: Any) -> dict[str, str]:
    return {
        f"{system}|{each['value']}": system
        for each in identifiers or ()
        if "value" in each and each.get("use") != "old"  # an old number may be another patient's now
        for system in [each.get("system", "")]
    }
