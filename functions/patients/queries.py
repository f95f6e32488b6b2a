"""What the three systems say of a patient, side by side, and how patients are found."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from boto3.dynamodb.conditions import Key

from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.masking import HIDDEN
from daybook.operate.tables import DeployedTable
from functions.patients import lookup
from functions.patients.billing import Billed
from functions.patients.facts import Fact
from functions.patients.index import Hint, Indexed
from functions.patients.pharmacy import PRESCRIPTION, Medicated
from functions.patients.record import Record

# Each system's rows.
SYSTEMS: Final[Mapping[str, type[Record]]] = {"index": Indexed, "pharmacy": Medicated, "billing": Billed}


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient's record, as each of the systems has it. `rows` are by system, of those that have one."""

    patient_id: str
    rows: Mapping[str, Record]

    @property
    def names(self) -> list[str]:
        """Under which names something is known in any of the systems."""
        return sorted({name for row in self.rows.values() for name in row.facts})

    def known(self, name: str) -> dict[str, Fact]:
        """What the systems know under a name, as far as they keep it."""
        return {system: row.facts[name] for system, row in self.rows.items() if name in row.facts}

    @property
    def related(self) -> list[str]:
        """The records of the same person: the one that this is given up for, and those that are for this."""
        links = {row.replaced_by for row in self.rows.values() if row.replaced_by}
        return sorted(links.union(*(row.replaces for row in self.rows.values())))

    @property
    def conflicts(self) -> list[str]:
        """Which prescriptions meet which allergies, by their ids."""
        return list(self._pharmacy.conflicts)

    @property
    def unchecked(self) -> list[str]:
        """The prescriptions that stand and name nothing by a code, so that no allergy can be seen to forbid them."""
        prescriptions = self._pharmacy.under(PRESCRIPTION)
        return [name for name, told in prescriptions.items() if told["stands"] and not told["codes"]]

    @property
    def differences(self) -> list[str]:
        """The names under which those that know something know different things."""
        different = [
            name for name in self.names if _several((fact.value, fact.revision) for fact in self.known(name).values())
        ]
        return [*different, *(["replaces"] if _several(row.replaces for row in self.rows.values()) else [])]

    def as_data(self, *, reveal: bool) -> dict[str, Any]:
        """The record for programs. Values are hidden, unless they are to be revealed."""
        return {
            "patient_id": self.patient_id,
            "facts": {
                name: {
                    system: {"value": known.value if reveal else HIDDEN, "revision": known.revision}
                    for system, known in self.known(name).items()
                }
                for name in self.names
            },
            "related": self.related,
            "conflicts": self.conflicts,
            "unchecked": self.unchecked,
            "differences": self.differences,
        }

    @property
    def _pharmacy(self) -> Medicated:
        row = self.rows.get("pharmacy")
        return row if isinstance(row, Medicated) else Medicated.blank(self.patient_id)


@dataclass(frozen=True, slots=True)
class Patients:
    """The patients of a stage. `systems` are the tables with the records of each system, `index` the one by which
    patients are found, and `hints` lead to its rows.
    """

    systems: Mapping[str, DeployedTable[Record]]
    index: DeployedTable[Indexed]
    hints: DeployedTable[Hint]

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Those of the stage. Raises as DeployedTable.of does."""
        deployed = consumers(connection)
        return cls(
            {name: DeployedTable.of(connection, system, deployed=deployed) for name, system in SYSTEMS.items()},
            DeployedTable.of(connection, Indexed, deployed=deployed),
            DeployedTable.of(connection, Hint, deployed=deployed),
        )

    def patient(self, patient_id: str) -> Patient:
        """The patient's record as it is now, read consistently."""
        found = {system: table.row(patient_id) for system, table in self.systems.items()}
        return Patient(patient_id, {system: row for system, row in found.items() if row})

    def find(self, terms: Iterable[str]) -> list[str]:
        """The patients of whom the index says all of these terms, by their ids. An index lags by moments."""
        wanted = sorted(set(terms))
        each = [{hint.patient_id for hint in self.hints.query("term", Key("term").eq(term))} for term in wanted]
        # A hint is never taken back: the record decides.
        rows = self.index.rows(sorted(set.intersection(*each)))
        return [patient_id for patient_id, row in rows.items() if lookup.terms(row.said) >= set(wanted)]

    def on_ward(self, ward: str) -> Iterator[Patient]:
        """The patients on a ward."""
        return (self.patient(patient_id) for patient_id in self.find([lookup.on(ward)]))


def _several(values: Iterable[Any]) -> bool:
    """Whether the values differ from each other."""
    first, *others = values
    return any(other != first for other in others)
