"""The demographics of a patient, which every system keeps in its own table."""

from typing import Any

from daybook.contracts.contract import Part
from events.fhir import Patient

NAMES, BIRTH_DATE, GENDER, DECEASED = "names", "birth_date", "gender", "deceased"
REPLACED_BY = "replaced_by"


def demographics(patient: Patient) -> dict[str, Any]:
    """The facts that every system keeps. `deceased` is among them only if the resource says something about it."""
    values: dict[str, Any] = {
        NAMES: as_json(patient.name),
        BIRTH_DATE: patient.birthDate,
        REPLACED_BY: patient.replaced_by,
    }
    deceased = patient.deceasedDateTime if patient.deceasedDateTime is not None else patient.deceasedBoolean
    return values if deceased is None else {**values, DECEASED: deceased}


def as_json(parts: tuple[Part, ...] | None) -> list[dict[str, Any]] | None:
    """The typed fields of parts of a resource, as JSON. None if there are none, so that the fact no longer holds."""
    return [part.model_dump(mode="json", include=set(type(part).model_fields)) for part in parts] if parts else None
