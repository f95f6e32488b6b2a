"""Events of patients' records as the system of record sends them, with defaults."""

from typing import Any

from events.patients import PatientRecordsMerged, PatientRecordsUnmerged, PatientRecordUpdated

MRN = "https://hospital.example/mrn"
ATC = "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
PENICILLINS, AMOXICILLIN, IBUPROFEN = "J01C", "J01CA04", "M01AE01"

Code = str | dict[str, Any] | None


def update(resource: dict[str, Any], patient: str = "ada", revision: int = 1) -> PatientRecordUpdated:
    return PatientRecordUpdated.model_validate({"patient_id": patient, "revision": revision, "resource": resource})


def a_patient(patient: str = "ada", revision: int = 1, **fields: Any) -> PatientRecordUpdated:
    """Ada Lovelace with the number 4711. `fields` are fields of the resource. None removes a field."""
    resource = {
        "resourceType": "Patient",
        "id": patient,
        "identifier": [{"system": MRN, "value": "4711"}],
        "name": [{"use": "official", "family": "Lovelace", "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1815-12-10",
    } | fields
    return update({name: value for name, value in resource.items() if value is not None}, patient, revision)


def an_allergy(
    patient: str = "ada", revision: int = 1, *, key: str = "a1", code: Code = PENICILLINS, **fields: Any
) -> PatientRecordUpdated:
    """An allergy to penicillins by default. `code` is an ATC code or a CodeableConcept. None removes a field."""
    resource = {
        "resourceType": "AllergyIntolerance",
        "id": key,
        "patient": {"reference": f"Patient/{patient}"},
        "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"),
        "criticality": "high",
        "code": concept(code, text="the allergen") if isinstance(code, str) else code,
    } | fields
    return update({name: value for name, value in resource.items() if value is not None}, patient, revision)


def a_prescription(
    patient: str = "ada", revision: int = 1, *, key: str = "m1", code: Code = AMOXICILLIN, **fields: Any
) -> PatientRecordUpdated:
    """A prescription of amoxicillin by default. `code` is an ATC code or a CodeableConcept. None removes a field."""
    resource = {
        "resourceType": "MedicationRequest",
        "id": key,
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "medicationCodeableConcept": concept(code, text="the drug") if isinstance(code, str) else code,
    } | fields
    return update({name: value for name, value in resource.items() if value is not None}, patient, revision)


def a_coverage(patient: str = "ada", revision: int = 1, *, key: str = "c1", **fields: Any) -> PatientRecordUpdated:
    resource = {
        "resourceType": "Coverage",
        "id": key,
        "status": "active",
        "subscriberId": "S-1",
        "beneficiary": {"reference": f"Patient/{patient}"},
        "payor": [{"display": "Mutual"}],
        "period": {"start": "2026-01-01"},
    } | fields
    return update(resource, patient, revision)


def a_stay(patient: str = "ada", revision: int = 1, *, ward: str = "ICU-2", **fields: Any) -> PatientRecordUpdated:
    resource = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{patient}"},
        "location": [{"location": {"reference": f"Location/{ward}"}}],
    } | fields
    return update(resource, patient, revision)


def merged(patient: str, into: str, revision: int = 2) -> PatientRecordsMerged:
    return PatientRecordsMerged(patient_id=patient, into=into, revision=revision)


def unmerged(patient: str, revision: int = 3) -> PatientRecordsUnmerged:
    return PatientRecordsUnmerged(patient_id=patient, revision=revision)


def concept(code: str, system: str = ATC, text: str | None = None) -> dict[str, Any]:
    """A CodeableConcept with one code."""
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})
