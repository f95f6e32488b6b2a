"""What the three systems say of a patient, side by side, and how patients are found."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from boto3.dynamodb.conditions import Key

from daybook.operate.connection import Connection
from daybook.operate.masking import HIDDEN
from daybook.operate.tables import DeployedTable, Row
from functions.patients import lookup

# Each system's table, and a function that was given it.
SYSTEMS: Final = {
    "index": ("patient-index", "index-patient"),
    "pharmacy": ("pharmacy-records", "sync-pharmacy"),
    "billing": ("billing-records", "sync-billing"),
}


@dataclass(frozen=True, slots=True)
class Known:
    """What one system knows under a name: a value, and the source's revision that says so."""

    value: Any
    revision: int


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient's record, as each of the systems has it. `rows` are by system, of those that have one."""

    patient_id: str
    rows: Mapping[str, Row]

    @classmethod
    def of(cls, connection: Connection, patient_id: str) -> "Patient":
        """The record as it is now, read consistently."""
        found = {system: _table(connection, system).row(patient_id) for system in SYSTEMS}
        return cls(patient_id, {system: row for system, row in found.items() if row})

    @property
    def names(self) -> list[str]:
        """Under which names something is known in any of the systems."""
        return sorted({name for row in self.rows.values() for name in row["facts"]})

    def known(self, name: str) -> dict[str, Known]:
        """What the systems know under a name, as far as they keep it."""
        facts = {system: row["facts"][name] for system, row in self.rows.items() if name in row["facts"]}
        return {system: Known(fact["value"], fact["revision"]) for system, fact in facts.items()}

    @property
    def related(self) -> list[str]:
        """The records of the same person: the one that this is given up for, and those that are for this."""
        links = {known.value for known in self.known("link").values() if known.value}
        return sorted(links.union(*(row["replaces"] for row in self.rows.values())))

    @property
    def conflicts(self) -> list[str]:
        """Which prescriptions meet which allergies, by their ids."""
        return list(self.rows.get("pharmacy", {}).get("conflicts", ()))

    @property
    def unchecked(self) -> list[str]:
        """The prescriptions that stand and name nothing by a code, so that no allergy can be seen to forbid them."""
        facts = self.rows.get("pharmacy", {}).get("facts", {})
        standing = {name: fact["value"] for name, fact in facts.items() if name.startswith("prescription/")}
        return [name.partition("/")[2] for name, told in standing.items() if told["stands"] and not told["codes"]]

    @property
    def differences(self) -> list[str]:
        """The names under which those that know something know different things."""
        different = [name for name in self.names if _several(self.known(name).values())]
        replaces = _several([row["replaces"] for row in self.rows.values()])
        return [*different, *(["replaces"] if replaces else [])]

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


def find(connection: Connection, terms: Iterable[str]) -> list[str]:
    """The patients of whom the index says all of these terms, by their ids. An index lags by moments."""
    wanted = sorted(set(terms))
    hints = DeployedTable.of(connection, "patient-terms", function="index-patient")
    each = [{row["patient_id"] for row in hints.query("term", Key("term").eq(term))} for term in wanted]
    # A hint is never taken back: the record decides.
    rows = _table(connection, "index").rows(sorted(set.intersection(*each)))
    return [patient_id for patient_id, row in rows.items() if lookup.terms(values(row)) >= set(wanted)]


def on_ward(connection: Connection, ward: str) -> Iterator[Patient]:
    """The patients on a ward."""
    return (Patient.of(connection, patient_id) for patient_id in find(connection, [lookup.on(ward)]))


def values(row: Row) -> dict[str, Any]:
    """What a row knows, without saying since when."""
    return {name: fact["value"] for name, fact in row["facts"].items()}


def _table(connection: Connection, system: str) -> DeployedTable:
    table, function = SYSTEMS[system]
    return DeployedTable.of(connection, table, function=function)


def _several(values: Iterable[Any]) -> bool:
    first, *others = values
    return any(other != first for other in others)
