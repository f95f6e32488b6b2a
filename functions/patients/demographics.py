"""Who somebody is: what all systems keep of it, each in its own table, and agree on."""

from typing import Any

from daybook.contracts.contract import Part
from events.fhir import Patient

NAMES, BIRTH_DATE, GENDER, DECEASED = "names", "birth_date", "gender", "deceased"


def demographics(patient: Patient) -> dict[str, Any]:
    """What all systems keep of who somebody is. Of the death only what is said of it."""
    said: dict[str, Any] = {NAMES: written(patient.name), BIRTH_DATE: patient.birthDate}
    death = patient.deceasedDateTime if patient.deceasedDateTime is not None else patient.deceasedBoolean
    return said if death is None else {**said, DECEASED: death}


def written(parts: tuple[Part, ...] | None) -> list[dict[str, Any]] | None:
    """Parts of a resource as JSON has them; None of nothing, so that it is known to be no longer so."""
    return [part.model_dump(mode="json") for part in parts] if parts else None
