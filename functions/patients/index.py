"""The index: who is this? Patients by their numbers, names, birth dates and wards.

Two tables of hints lead to records: whom a number was ever given to, and whom a term was ever said of. A hint is never
taken back, so that late and repeated events do no harm; whoever follows one looks into the record.
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
from functions.patients.demographics import GENDER, demographics, written
from functions.patients.record import Record, of_one_person, relinked

IDENTIFIERS, ENCOUNTER = "identifiers", "encounter"

# One transaction writes all hints of a record, with up to twenty numbers and what is found about each.
_MOST_TERMS = TRANSACTION_ITEMS // 2
# What so many have is no number of anybody's, but a placeholder: `0000`.
_MOST_HOLDERS = 100


class Indexed(Record, table="patient-index", key="patient_id"):
    """One patient in the index."""

    @classmethod
    def share(cls, resource: Resource) -> Mapping[str, Any]:
        match resource:
            case Patient():
                return {**demographics(resource), IDENTIFIERS: written(resource.identifier), GENDER: resource.gender}
            case Encounter():
                return {f"{ENCOUNTER}/{resource.id}": {"status": resource.status, "ward": resource.ward}}
            case _:
                return {}

    @property
    def said(self) -> dict[str, Any]:
        """All that is known, by the names of the facts."""
        return {name: fact.value for name, fact in self.facts.items()}

    @property
    def numbers(self) -> dict[str, str]:
        """The systems of the numbers that the patient has, by number and system as one term."""
        return _numbers(self.value(IDENTIFIERS))


class Numbered(State, table="patient-identifiers", key="number"):
    """To whom a number was ever given."""

    number: str
    patients: tuple[str, ...] = ()


class Hint(State, table="patient-terms", key="hint"):
    """Of whom a term was ever said: one row for each of both."""

    hint: str
    term: str = ""
    patient_id: str = ""


@reaction(PatientRecordUpdated, emits=(SharedIdentifierFound,))
def index_patient(update: PatientRecordUpdated, work: Work) -> None:
    """Keep who a patient is, so that they are found by number, name, birth date and ward."""
    said = Indexed.share(update.resource)
    patient = update.patient_id
    work.prefetch((Indexed, [patient]), (Hint, hints(said, patient)), (Numbered, numbers(said)))
    before = work.read(Indexed, patient)
    after = before.after(update, work.cause.id)
    if after == before:
        return
    work.save(after)
    for finding in shared(work, after, leave_hints(work, said, before)):
        work.emit(finding)


@reaction(PatientRecordsMerged, emits=(SharedIdentifierFound,))
def index_merged(merging: PatientRecordsMerged, work: Work) -> None:
    """Two records are one person's."""
    relink(work, merging)


@reaction(PatientRecordsUnmerged, emits=(SharedIdentifierFound,))
def index_unmerged(parting: PatientRecordsUnmerged, work: Work) -> None:
    """A record is a person's own again."""
    relink(work, parting)


def hints(said: Mapping[str, Any], patient_id: str) -> dict[str, Hint]:
    """The hints to a patient of whom this is said, by their keys."""
    # Words of names come last: of these there may be more than there is room for.
    terms = sorted(lookup.terms(said), key=lambda term: (term.startswith(lookup.named("")), term))[:_MOST_TERMS]
    return {key: Hint(hint=key, term=term, patient_id=patient_id) for term in terms if (key := f"{term}#{patient_id}")}


def numbers(said: Mapping[str, Any]) -> list[str]:
    """The numbers that are said."""
    return list(_numbers(said.get(IDENTIFIERS)))


def leave_hints(work: Work, said: Mapping[str, Any], before: Indexed) -> list[str]:
    """Write the hints that are not there. Returns the numbers that the patient did not have before."""
    patient_id = before.patient_id
    wanted = hints(said, patient_id)
    there = work.read_all(Hint, wanted)
    for key, hint in wanted.items():
        if not there[key].term:
            work.save(hint)
    given = []
    for number, holders in work.read_all(Numbered, numbers(said)).items():
        known = patient_id in holders.patients
        if len(holders.patients) >= _MOST_HOLDERS or (known and number in before.numbers):
            continue
        # Written also for a patient who had the number once: two who are given one at once would each miss the other.
        patients = holders.patients if known else (*holders.patients, patient_id)
        work.save(holders.evolve(patients=patients))
        given.append(number)
    return given


def lost_hints(work: Work, record: Indexed) -> bool:
    """Whether a hint to the patient is missing."""
    wanted = hints(record.said, record.patient_id)
    holders = work.read_all(Numbered, numbers(record.said)).values()
    return any(not hint.term for hint in work.read_all(Hint, wanted).values()) or any(
        record.patient_id not in each.patients and len(each.patients) < _MOST_HOLDERS for each in holders
    )


def shared(
    work: Work, record: Indexed, given: list[str], known: Mapping[str, Indexed] | None = None
) -> Iterator[SharedIdentifierFound]:
    """Whether another person has one of the numbers that the patient was just given. Records in `known` are about to be
    written so.
    """
    person = of_one_person(work, record, known) if given else {}
    for number, holders in work.read_all(Numbered, [each for each in given if each in record.numbers]).items():
        others = work.read_all(Indexed, [other for other in holders.patients if other not in person])
        having = tuple(sorted(other for other, row in others.items() if number in row.numbers))
        if having:
            yield SharedIdentifierFound(patient_id=record.patient_id, others=having, system=record.numbers[number])


def relink(work: Work, event: PatientRecordsMerged | PatientRecordsUnmerged) -> None:
    """Write the records that are other ones once the event has happened. Whoever is no longer one person with others is
    told to have their numbers.
    """
    before = work.read(Indexed, event.patient_id)
    records = relinked(work, Indexed, event)
    for record in records.values():
        work.save(record)
    after = records.get(event.patient_id, before)
    if before.replaced_by and after.replaced_by != before.replaced_by:
        person = of_one_person(work, after, records)
        # Written as they are: who is given one of them at the same time would miss these, and these would miss them.
        for holders in work.read_all(
            Numbered, {number for each in person.values() for number in each.numbers}
        ).values():
            work.save(holders)
        for each in person.values():
            for finding in shared(work, each, list(each.numbers), records):
                work.emit(finding)


def _numbers(identifiers: Any) -> dict[str, str]:
    return {
        f"{system}|{each['value']}": system
        for each in identifiers or ()
        if "value" in each
        for system in [each.get("system", "")]
    }
