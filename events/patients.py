"""Events of patients' records."""

import json
import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from daybook.contracts.contract import NUMERIC_ID, PERSONAL, ContractBroken, Event, Part
from daybook.contracts.values import Identifier
from events.fhir import Bundle, FhirId, Patient, Resource

PatientId = Annotated[
    Identifier,
    NUMERIC_ID,  # some systems number their records; a patient whose record is rejected is in danger
    Field(
        description="The id of the record in the system of record (FHIR's Patient.id). Keys and logs contain it, so it "
        "must not be a number by which people know the patient."
    ),
]
Revision = Annotated[
    int,
    Field(
        ge=1,
        le=10**18,
        description="The version that the source gives. The highest one is the newest, in any order of arrival.",
    ),
]

# RFC 9562, section 5.4. Nobody knows a random UUID by heart, so it is not a number of the patient even if the source
# lists it among them.
_RANDOM_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)


class PatientRecordUpdated(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """A resource of a patient's record is new or has changed. The system of record sends it, alone or in a bundle.

    Resources of other types than a Patient, AllergyIntolerance, MedicationRequest, Coverage and Encounter are stored,
    and no function reads them yet.

    The resource is complete: a fact that it no longer contains no longer holds. The patient's death is the exception:
    only another statement about it changes it.
    """

    patient_id: PatientId
    revision: Revision
    resource: Annotated[Resource, PERSONAL] = Field(repr=False, description="A FHIR R4 resource.")

    @model_validator(mode="after")
    def _is_about_the_patient(self) -> Self:
        resource = self.resource
        if isinstance(resource, Patient):
            if resource.id not in {None, self.patient_id}:
                msg = "resource.id and patient_id must be the same"
                raise ValueError(msg)
            numbers = {identifier.value for identifier in resource.identifier or ()}
            if self.patient_id in numbers and not _RANDOM_UUID.fullmatch(self.patient_id):
                msg = (
                    "patient_id is a value of resource.identifier, a number that people know, and ids are in keys and "
                    "logs: send the id of the record, such as a random UUID"
                )
                raise ValueError(msg)
            if resource.replaced_by == self.patient_id:
                msg = "resource.link: a record cannot be replaced by itself"
                raise ValueError(msg)
            return self
        if resource.id is None:
            msg = "resource.id is missing: it is needed to recognise later versions of the resource"
            raise ValueError(msg)
        reference = resource.patient_reference
        if reference is None or not reference.refers_to("Patient", self.patient_id):
            msg = "the resource's subject, patient or beneficiary must be Patient/<patient_id>"
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


class PatientBundleReceived(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """Several resources of one patient's record: a FHIR R4 Bundle. Comes from outside: the system of record sends it.

    Each resource of the patient becomes a PatientRecordUpdated with the bundle's revision. The bundle is rejected if
    one of them is. An event has at most 64 KiB, so a larger bundle must be sent in parts.
    """

    patient_id: PatientId
    revision: Revision
    bundle: Annotated[Bundle, PERSONAL] = Field(
        repr=False, description="A FHIR R4 Bundle. References between its entries are resolved."
    )

    def updates(self) -> list[PatientRecordUpdated]:
        """An event for each resource of the patient. Raises ContractBroken."""
        return list(self._updates().values())

    @model_validator(mode="after")
    def _has_valid_resources(self) -> Self:
        updates = self._updates()
        if not updates:
            msg = "bundle.entry has no resource of the patient"
            raise ValueError(msg)
        seen: dict[tuple[str, str | None], int] = {}
        for number, update in updates.items():
            key = update.resource.resourceType, update.resource.id
            if key in seen:
                msg = f"bundle.entry.{number}.resource is the same resource as in bundle.entry.{seen[key]}: send one"
                raise ValueError(msg)
            seen[key] = number
        return self

    def _updates(self) -> dict[int, PatientRecordUpdated]:
        found = {}
        for number, resource in self.bundle.resources(self.patient_id).items():
            data = {"patient_id": self.patient_id, "revision": self.revision, "resource": resource}
            try:
                found[number] = PatientRecordUpdated.read(json.dumps(data), version=1)
            except ContractBroken as error:
                msg = f"bundle.entry.{number}: {error}"
                raise ContractBroken(msg) from None
        return found

    example = {
        "patient_id": "b7c1f0de",
        "revision": 5,
        "bundle": {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [
                {
                    "fullUrl": "urn:uuid:9a1c5b52-4c0e-4b8c-9d53-9d2c1fb9a6f1",
                    "resource": {"resourceType": "Patient", "id": "b7c1f0de", "name": [{"family": "Lovelace"}]},
                },
                {
                    "resource": {
                        "resourceType": "Condition",
                        "id": "d1",
                        "code": {"text": "Gastritis"},
                        "subject": {"reference": "urn:uuid:9a1c5b52-4c0e-4b8c-9d53-9d2c1fb9a6f1"},
                    }
                },
            ],
        },
    }


class PatientRecordsMerged(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """Two records are one person's, and the other record replaces this one.

    Comes from outside: the system of record sends it.
    """

    patient_id: PatientId
    into: PatientId = Field(description="The record that replaces this one.")
    revision: Revision = Field(description="The version of the replaced record.")

    @model_validator(mode="after")
    def _is_another_record(self) -> Self:
        if self.into == self.patient_id:
            msg = "into is patient_id: a record cannot be merged into itself"
            raise ValueError(msg)
        return self

    example = {"patient_id": "0a55e11e", "into": "b7c1f0de", "revision": 4}


class PatientRecordsUnmerged(Event, joins="patient/{patient_id}", sources=("hospital.records",)):
    """A merge was undone: the two records are not one person's. Comes from outside: the system of record sends it."""

    patient_id: PatientId
    revision: Revision = Field(description="The version of the record that is no longer replaced.")

    example = {"patient_id": "0a55e11e", "revision": 5}


class SharedIdentifierFound(Event, joins="patient/{patient_id}"):
    """Several patients have the same number. Staff must decide whether they are one patient, or whose number it is."""

    patient_id: PatientId
    others: tuple[PatientId, ...] = Field(min_length=1, description="The other patients with the number.")
    system: str = Field(
        max_length=500, description="The system of the number (FHIR's Identifier.system). Empty if it has none."
    )

    example = {"patient_id": "b7c1f0de", "others": ["0a55e11e"], "system": "https://hospital.example/mrn"}


class AllergyConflictFound(Event, joins="patient/{patient_id}"):
    """A patient has a prescription for a substance to which the patient is allergic."""

    patient_id: PatientId = Field(description="The record with the prescription.")
    prescription_id: FhirId = Field(description="The id of the MedicationRequest.")
    prescribed: Annotated[str, PERSONAL] = Field(max_length=1_000, repr=False, description="Its name, in words.")
    allergy_patient_id: PatientId = Field(
        description="The record with the allergy: the same one, or another of that person."
    )
    allergy_id: FhirId = Field(description="The id of the AllergyIntolerance.")
    substance: Annotated[str, PERSONAL] = Field(max_length=1_000, repr=False, description="Its name, in words.")
    criticality: Literal["low", "high", "unable-to-assess"] | None = Field(
        default=None, description="The possible harm, from the AllergyIntolerance."
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


class TerminologyQuestion(Part):
    """Which ATC codes mean a code; or, with a `member`, whether the code includes another code of its system."""

    system: str = Field(max_length=300, description="The URI of the code system.")
    code: str = Field(max_length=255)
    member: str | None = Field(default=None, max_length=255)

    @property
    def key(self) -> str:
        """The question as one text, the same for all patients."""
        return f"{self.system}|{self.code}" + (f" > {self.member}" if self.member else "")


class TerminologyAsked(Event, joins="patient/{patient_id}"):
    """A prescription is unchecked, and the terminology server may know more about one of the codes."""

    patient_id: PatientId
    question_id: Identifier = Field(description="The id of the question. It contains no code.")
    question: Annotated[TerminologyQuestion, PERSONAL] = Field(repr=False)

    example = {
        "patient_id": "b7c1f0de",
        "question_id": "3f2a9c0d1e4b5a67",
        "question": {"system": "http://snomed.info/sct", "code": "91936005", "member": None},
    }


class TerminologyAnswered(Event, joins="patient/{patient_id}"):
    """The terminology server has answered a question. Without `atc` and `includes`, it does not know the code."""

    patient_id: PatientId
    question: Annotated[TerminologyQuestion, PERSONAL] = Field(repr=False)
    atc: Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Z][0-9A-Z]{0,6}$")], ...], PERSONAL] = Field(
        default=(), max_length=20, repr=False, description="The ATC codes that mean the code, or a group that has it."
    )
    includes: Annotated[bool, PERSONAL] = Field(
        default=False, repr=False, description="Whether the code includes the `member` of the question."
    )

    example = {
        "patient_id": "b7c1f0de",
        "question": {"system": "http://snomed.info/sct", "code": "91936005", "member": None},
        "atc": ["J01C"],
    }


class ReconciliationRequested(Event, joins="patient/{patient_id}", sources=("hospital.operations",)):
    """An operator wants the three systems' rows of a patient to be compared with the event store.

    Comes from outside: `daybook patient --reconcile` sends it.
    """

    patient_id: PatientId

    example = {"patient_id": "b7c1f0de"}


System = Literal["index", "pharmacy", "billing"]


class RecordDivergenceFound(Event, joins="patient/{patient_id}"):
    """A system's row of a patient differed from the event store. The row was corrected."""

    patient_id: PatientId
    system: Annotated[System, Field(description="The system whose row it was.")]
    fields: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        min_length=1,
        description="The names of the facts that differed, such as `names` or `allergy/a1`. Never their values.",
    )

    example = {"patient_id": "b7c1f0de", "system": "pharmacy", "fields": ["allergy/a1"]}
