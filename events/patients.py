"""What happens to patients' records."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from daybook.contracts.contract import PERSONAL, Event
from daybook.contracts.values import Identifier
from events.fhir import FhirId, Patient, Resource

PatientId = Annotated[
    Identifier,
    Field(
        description="The id of the record, as the system of record has it (FHIR's Patient.id). It stands in keys and "
        "logs, so it must not be a number that people know the patient by."
    ),
]
Revision = Annotated[
    int,
    Field(
        ge=1,
        le=10**18,
        description="The version that its source gives to it. The higher is the newer, whichever comes first.",
    ),
]


class PatientRecordUpdated(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """A resource of a patient's record is new, or has changed. Comes from outside: the system of record sends it.

    A resource is sent whole. What it no longer says is no longer so, but for the patient's death, which only another
    word on it takes back.
    """

    patient_id: PatientId
    revision: Revision
    resource: Annotated[Resource, PERSONAL] = Field(repr=False, description="A FHIR R4 resource.")

    @model_validator(mode="after")
    def _is_about_the_patient(self) -> Self:
        resource = self.resource
        if isinstance(resource, Patient):
            if resource.id not in {None, self.patient_id}:
                msg = "resource.id is the id of another patient than patient_id"
                raise ValueError(msg)
            if any(identifier.value == self.patient_id for identifier in resource.identifier or ()):
                msg = "patient_id is one of the patient's numbers; send the record's own id, which people do not know"
                raise ValueError(msg)
            return self
        if resource.id is None:
            msg = "resource.id is missing: later versions could not be told from other resources"
            raise ValueError(msg)
        if resource.of is None or not resource.of.names("Patient", self.patient_id):
            msg = "the resource refers to another patient than patient_id, or to none"
            raise ValueError(msg)
        return self

    example = {
        "patient_id": "b7c1f0de",
        "revision": 3,
        "resource": {
            "resourceType": "Patient",
            "id": "b7c1f0de",
            "identifier": [{"system": "https://hospital.example/mrn", "value": "4711"}],
            "name": [{"use": "official", "family": "Lovelace", "given": ["Ada"]}],
            "gender": "female",
            "birthDate": "1815-12-10",
        },
    }


class PatientRecordsMerged(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """Two records turned out to be one person's: this one is given up for the other. Comes from outside."""

    patient_id: PatientId
    into: PatientId = Field(description="The record that goes on.")
    revision: Revision = Field(description="The version of the record that is given up.")

    @model_validator(mode="after")
    def _is_another(self) -> Self:
        if self.into == self.patient_id:
            msg = "a record cannot be merged into itself"
            raise ValueError(msg)
        return self

    example = {"patient_id": "0a55e11e", "into": "b7c1f0de", "revision": 4}


class PatientRecordsUnmerged(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """A record that had been given up for another one is a person's own after all. Comes from outside."""

    patient_id: PatientId
    revision: Revision = Field(description="The version of the record that is no longer given up.")

    example = {"patient_id": "0a55e11e", "revision": 5}


class SharedIdentifierFound(Event, joins="patient/{patient_id}"):
    """A patient has a number that others have too. A person must say whether they are one, or whose it is."""

    patient_id: PatientId
    others: tuple[PatientId, ...] = Field(min_length=1, description="Who has it too.")
    system: str = Field(
        max_length=500, description="Whose number it is: FHIR's Identifier.system; empty if nobody says."
    )

    example = {"patient_id": "b7c1f0de", "others": ["0a55e11e"], "system": "https://hospital.example/mrn"}


class AllergyConflictFound(Event, joins="patient/{patient_id}"):
    """Somebody is prescribed what they are known not to bear."""

    patient_id: PatientId = Field(description="Whose record holds the prescription.")
    prescription_id: FhirId = Field(description="The MedicationRequest's id.")
    prescribed: Annotated[str, PERSONAL] = Field(max_length=1_000, repr=False, description="In words.")
    allergy_patient_id: PatientId = Field(description="Whose record holds the allergy: another one of the same person.")
    allergy_id: FhirId = Field(description="The AllergyIntolerance's id.")
    substance: Annotated[str, PERSONAL] = Field(max_length=1_000, repr=False, description="In words.")
    criticality: Literal["low", "high", "unable-to-assess"] | None = Field(
        default=None, description="How bad it may be, as the allergy says."
    )

    example = {
        "patient_id": "b7c1f0de",
        "prescription_id": "m1",
        "prescribed": "Amoxicillin 500 mg",
        "allergy_patient_id": "b7c1f0de",
        "allergy_id": "a1",
        "substance": "Penicillins",
        "criticality": "high",
    }


class ReconciliationAsked(Event, joins="patient/{patient_id}", sources=("hospital.operations",)):
    """Somebody wants to know whether all systems have what the store has of a patient. Comes from outside."""

    patient_id: PatientId

    example = {"patient_id": "b7c1f0de"}


System = Literal["index", "pharmacy", "billing"]
KeptIn = Annotated[System, Field(description="Whose record it was.")]


class RecordDivergenceFound(Event, joins="patient/{patient_id}"):
    """A system had something else of a patient than the store says. It has been mended."""

    patient_id: PatientId
    system: KeptIn
    fields: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        min_length=1, description="What was different: names, allergy/a1 …, never what they held."
    )

    example = {"patient_id": "b7c1f0de", "system": "pharmacy", "fields": ["allergy/a1"]}
