"""Bundles are unpacked: an event for each resource of the patient, with resolved references."""

import json
from typing import Any

import pytest

from daybook.contracts.contract import ContractBroken
from events.fhir import MAX_BUNDLE_ENTRIES
from events.patients import PatientBundleReceived, PatientRecordUpdated
from functions.patients.index import IndexRecord
from functions.patients.unpack_bundle import handler
from tests.unit.builders import from_the_bus, sent
from tests.unit.hospital.records import ATC, concept
from tests.unit.hospital.systems import Systems
from tests.unit.hospital.test_stays import PHYSICAL_TYPE
from tests.unit.world import World

ADA: dict[str, Any] = {
    "fullUrl": "urn:uuid:ada",
    "resource": {"resourceType": "Patient", "id": "ada", "name": [{"family": "Noel"}]},
}
OF_ADA = {"reference": "urn:uuid:ada"}


def condition(key: str = "d1", **fields: Any) -> dict[str, Any]:
    resource = {"resourceType": "Condition", "id": key, "subject": OF_ADA, "code": {"text": "Gastritis"}, **fields}
    return {"fullUrl": f"urn:uuid:{key}", "resource": resource}


def data(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The data of a bundle of ada."""
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": list(entries), **fields}
    return {"patient_id": "ada", "revision": 3, "bundle": bundle}


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


def unpacked(systems: Systems, *entries: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The resources of the events that a bundle becomes, as they are stored, by type."""
    systems.world.admit(sent(data(*entries), type="PatientBundleReceived", source="hospital.records"))
    (bundle,) = systems.world.stream("patient/ada")
    assert systems.world.deliver(handler, from_the_bus(bundle)) == []
    assert systems.world.dead_letters() == []
    _, *updates = systems.world.stream("patient/ada")
    assert {update.metadata.type for update in updates} == {"PatientRecordUpdated"}
    systems.deliver(*systems.deliveries(*updates))
    stored = [json.loads(update.data) for update in updates]
    assert {each["revision"] for each in stored} == {3}
    return {each["resource"]["resourceType"]: each["resource"] for each in stored}


def test_each_resource_of_the_patient_becomes_an_event_with_the_revision_of_the_bundle(systems: Systems) -> None:
    practitioner = {"fullUrl": "urn:uuid:p", "resource": {"resourceType": "Practitioner", "id": "p"}}

    found = unpacked(systems, ADA, condition(recorder={"reference": "urn:uuid:p"}), practitioner)

    assert found.keys() == {"Patient", "Condition"}
    assert found["Condition"]["subject"] == {"reference": "Patient/ada"}
    assert found["Condition"]["recorder"] == {"reference": "Practitioner/p"}
    assert systems.row(IndexRecord).value("names") == [{"family": "Noel"}]


def test_a_resource_is_stored_with_all_its_fields(systems: Systems) -> None:
    fields: dict[str, Any] = {
        "extension": [{"url": "https://hospital.example/x", "valueDecimal": 1.5}],
        "evidence": [{"detail": [{"reference": "Observation/elsewhere"}]}],
        "_recordedDate": {"extension": [{"url": "https://hospital.example/x", "valueBoolean": True}]},
    }
    name = {"family": "Noel", "prefix": ["Countess"], "extension": [{"url": "https://hospital.example/x"}]}
    patient = {"fullUrl": "urn:uuid:ada", "resource": {**ADA["resource"], "name": [name]}}

    found = unpacked(systems, patient, condition(**fields))

    assert found["Condition"] == {**condition(**fields)["resource"], "subject": {"reference": "Patient/ada"}}
    assert found["Patient"]["name"] == [name]
    # Systems keep only the fields that they use.
    assert systems.row(IndexRecord).value("names") == [{"family": "Noel"}]


def test_the_medication_of_another_entry_becomes_a_part_of_the_prescription(systems: Systems) -> None:
    medication = {"resourceType": "Medication", "id": "med", "code": concept("J01CA04")}
    prescription = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "intent": "order",
        "subject": OF_ADA,
        "medicationReference": {"reference": "urn:uuid:med"},
    }
    allergy = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": OF_ADA, "code": concept("J01C", ATC)}

    found = unpacked(
        systems,
        {"fullUrl": "urn:uuid:med", "resource": medication},
        ADA,
        {"resource": prescription},
        {"resource": allergy},
    )

    assert found["MedicationRequest"]["contained"] == [medication]
    assert found["MedicationRequest"]["medicationReference"] == {"reference": "#med"}
    assert systems.conflicts() == [("a1", "m1")]


def test_the_locations_of_other_entries_say_on_which_ward_the_patient_is(systems: Systems) -> None:
    def location(key: str, physical_type: str, part_of: str | None) -> dict[str, Any]:
        physical = {"coding": [{"system": PHYSICAL_TYPE, "code": physical_type}]}
        resource = {"resourceType": "Location", "id": key, "physicalType": physical}
        return {"resource": resource | ({"partOf": {"reference": f"Location/{part_of}"}} if part_of else {})}

    stay = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": OF_ADA,
        "location": [{"location": {"reference": "Location/W-B7"}}],
    }

    unpacked(systems, ADA, {"resource": stay}, location("W-B7", "bd", "W"), location("W", "wa", None))

    assert systems.row(IndexRecord).value("encounter/e1")["ward"] == "W"


def test_the_largest_bundle_is_unpacked_in_one_transaction(systems: Systems) -> None:
    entries = [condition(f"d{number}", code={"text": "x" * 400}) for number in range(MAX_BUNDLE_ENTRIES - 1)]

    unpacked(systems, ADA, *entries)

    assert len(systems.world.stream("patient/ada")) == 1 + MAX_BUNDLE_ENTRIES


MARK = "Zzyzx0815"
OF_ANOTHER = {"reference": "Patient/augusta"}
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no entries": (data(), "bundle.entry: "),
    "too many entries": (data(*[condition()] * 91), "bundle.entry: "),
    "an entry without a resource": (data({"fullUrl": "urn:uuid:x"}), "bundle.entry.0.resource: "),
    "no resource of the patient": (data({"resource": {"resourceType": "Practitioner"}}), "no resource of the patient"),
    "another patient's resource": (data(ADA, condition(subject=OF_ANOTHER)), "bundle.entry.1: .*must be Patient/"),
    "an invalid field": (
        data({"resource": {"resourceType": "Patient", "birthDate": MARK}}),
        "bundle.entry.0: .*resource.birthDate: ",
    ),
    "a resource without an id": (data(ADA, condition(id=None)), "bundle.entry.1: "),
    "the same resource twice": (data(ADA, condition(), condition()), "bundle.entry.2.resource is the same .*entry.1"),
    "a history": (data(ADA, type="history"), "bundle.type: "),
}


@pytest.mark.parametrize(("sent_data", "reason"), REJECTED.values(), ids=REJECTED)
def test_a_bundle_is_rejected_with_the_entry_and_the_reason(sent_data: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContractBroken, match=reason) as rejected:
        PatientBundleReceived.read(json.dumps(sent_data), version=1)

    assert MARK not in str(rejected.value)


def test_the_events_of_a_bundle_are_those_that_the_source_could_have_sent() -> None:
    bundle = PatientBundleReceived.model_validate(data(ADA, condition()))

    assert [type(update) for update in bundle.updates()] == [PatientRecordUpdated] * 2
    assert [update.resource.id for update in bundle.updates()] == ["ada", "d1"]
