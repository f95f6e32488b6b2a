"""The three systems' rows of a patient side by side, and the search for patients."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from boto3.dynamodb.conditions import Key

from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.masking import HIDDEN
from daybook.operate.tables import DeployedTable
from functions.patients import lookup
from functions.patients.billing import BillingRecord
from functions.patients.facts import Fact
from functions.patients.index import Hint, IndexRecord
from functions.patients.medication import Terminology
from functions.patients.pharmacy import PharmacyRecord, Unchecked, questions_about, unchecked_prescriptions
from functions.patients.record import REPLACES, Record, ResourceRow, resource_key
from functions.patients.terminology import TerminologyAnswer, terminology

# The rows of each system.
SYSTEMS: Final[Mapping[str, type[Record]]] = {
    "index": IndexRecord,
    "pharmacy": PharmacyRecord,
    "billing": BillingRecord,
}


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient's record in the three systems. `rows` are by system, without the systems that have none. `person`
    are the rows of the pharmacy for all records of the person. `known` is what the terminology server has answered.
    """

    patient_id: str
    rows: Mapping[str, Record]
    person: Mapping[str, PharmacyRecord]
    known: Terminology

    @property
    def names(self) -> list[str]:
        """The names of all facts that any system has."""
        return sorted({name for row in self.rows.values() for name in row.facts})

    def facts(self, name: str) -> dict[str, Fact]:
        """A fact as each system has it, by system."""
        return {system: row.facts[name] for system, row in self.rows.items() if name in row.facts}

    @property
    def related(self) -> list[str]:
        """The other records of the same person: the one that replaces this one, and those that this one replaces."""
        links = {row.replaced_by for row in self.rows.values() if row.replaced_by}
        return sorted(links.union(*(row.replaces for row in self.rows.values())))

    @property
    def conflicts(self) -> list[str]:
        """The conflicts of prescriptions with allergies: `<prescription> <record>/<allergy>`."""
        row = self.person.get(self.patient_id)
        return list(row.conflicts) if row else []

    @property
    def unchecked(self) -> list[Unchecked]:
        """The active prescriptions that could not be compared with all allergies of the person."""
        row = self.person.get(self.patient_id)
        return list(unchecked_prescriptions(row, self.person.values(), self.known)) if row else []

    @property
    def differences(self) -> list[str]:
        """The names of the facts that differ between the systems that have them."""
        different = [
            name for name in self.names if _differ((fact.value, fact.revision) for fact in self.facts(name).values())
        ]
        return [*different, *([REPLACES] if _differ(row.replaces for row in self.rows.values()) else [])]

    def as_data(self, *, reveal: bool) -> dict[str, Any]:
        """The record as JSON data. Values are masked unless `reveal` is true."""
        return {
            "patient_id": self.patient_id,
            "facts": {
                name: {
                    system: {"value": fact.value if reveal else HIDDEN, "revision": fact.revision}
                    for system, fact in self.facts(name).items()
                }
                for name in self.names
            },
            "related": self.related,
            "conflicts": self.conflicts,
            "unchecked": [asdict(each) for each in self.unchecked],
            "differences": self.differences,
        }


@dataclass(frozen=True, slots=True)
class Patients:
    """The patients of a stage: the table of each system, the index and its hints for searches, and the pharmacy."""

    systems: Mapping[str, tuple[DeployedTable[Record], DeployedTable[ResourceRow]]]
    index: DeployedTable[IndexRecord]
    pharmacy: DeployedTable[PharmacyRecord]
    answers: DeployedTable[TerminologyAnswer]
    hints: DeployedTable[Hint]

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """The patients of the connection's stage. Raises the errors of DeployedTable.of."""
        deployed = consumers(connection)
        return cls(
            {
                name: (
                    DeployedTable.of(connection, system, deployed=deployed),
                    DeployedTable.of(connection, system.resource_rows, deployed=deployed),
                )
                for name, system in SYSTEMS.items()
            },
            DeployedTable.of(connection, IndexRecord, deployed=deployed),
            DeployedTable.of(connection, PharmacyRecord, deployed=deployed),
            DeployedTable.of(connection, TerminologyAnswer, deployed=deployed),
            DeployedTable.of(connection, Hint, deployed=deployed),
        )

    def patient(self, patient_id: str) -> Patient:
        """The patient's record, by consistent reads. Very recent resources may be missing if decisions need none."""
        found = {}
        for system, (records, resources) in self.systems.items():
            if row := records.row(patient_id):
                of_patient = resources.query("patient_id", Key("patient_id").eq(patient_id))
                found[system] = row.including(of_patient).including(_current(row, resources))
        person = self._person(patient_id)
        return Patient(patient_id, found, person, terminology(self.answers.rows(questions_about(person.values()))))

    def find(self, terms: Iterable[str]) -> list[str]:
        """The ids of the patients to whom all these terms apply. Very recent changes may be missing."""
        wanted = sorted(set(terms))
        each = [{hint.patient_id for hint in self.hints.query("term", Key("term").eq(term))} for term in wanted]
        # A hint is never removed, so the record decides.
        rows = self.index.rows(sorted(set.intersection(*each)))
        _, resources = self.systems["index"]
        return [
            patient_id
            for patient_id, row in rows.items()
            if lookup.terms(row.including(_current(row, resources)).values) >= set(wanted)
        ]

    def on_ward(self, ward: str) -> Iterator[Patient]:
        """The patients on a ward."""
        return (self.patient(patient_id) for patient_id in self.find([lookup.ward_term(ward)]))

    def _person(self, patient_id: str) -> dict[str, PharmacyRecord]:
        """The records of the pharmacy, with their current resources, for all records of the person, by id."""
        _, resources = self.systems["pharmacy"]
        person: dict[str, PharmacyRecord] = {}
        unread = {patient_id}
        while read := self.pharmacy.rows(sorted(unread)):
            person |= {key: row.including(_current(row, resources)) for key, row in read.items()}
            linked = {other for each in read.values() for other in (each.replaced_by, *each.replaces) if other}
            unread = linked - person.keys()
        return person


def _current(record: Record, resources: DeployedTable[ResourceRow]) -> Iterable[ResourceRow]:
    """The rows of the record's current resources, by consistent reads."""
    return resources.rows([resource_key(record.patient_id, name) for name in record.current]).values()


def _differ(values: Iterable[Any]) -> bool:
    first, *others = values
    return any(other != first for other in others)
