"""The contracts accept and reject the same resources as `fhir.resources`, which implements all of FHIR.

That package no longer has R4. Its successor R4B did not change the resources that are used here
(https://hl7.org/fhir/R4B/diff.html).
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import TypeAdapter, ValidationError

from daybook.contracts.contract import ContractBroken
from daybook.local.demo.samples import FOLDER, Sample
from events.fhir import BY_PATIENT, BY_SUBJECT, Resource
from events.patients import PatientRecordUpdated
from tests.unit.builders import sent
from tests.unit.hospital import records
from tests.unit.hospital.records import a_coverage, a_patient, a_prescription, a_stay, an_allergy, concept
from tests.unit.world import World

MARK = "Zzyzx0815"

PENICILLINS = {
    "coding": [{"system": records.ATC, "code": "J01C", "display": "Penicillins"}],
    "text": "Penicillins",
}
ADA = {"reference": "Patient/ada", "identifier": {"value": "4711"}, "display": "Ada Lovelace"}
WARD = concept("wa", "http://terminology.hl7.org/CodeSystem/location-physical-type", text="Ward")
# A valid resource of each type, with all fields that the contracts type.
VALID: Mapping[str, dict[str, Any]] = {
    "Patient": {
        "id": "ada",
        "identifier": [{"use": "official", "system": records.MRN, "value": "4711"}],
        "name": [{"use": "official", "text": "Ada Lovelace", "family": "Lovelace", "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1815-12-10",
        "address": [
            {"use": "home", "text": "12 St James's Square, London", "line": ["12 St James's Square"], "city": "London"}
            | {"postalCode": "SW1Y 4JH", "country": "GB"}
        ],
        "link": [{"other": {"reference": "Patient/augusta"}, "type": "replaced-by"}],
    },
    "AllergyIntolerance": {
        "id": "a1",
        "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"),
        "verificationStatus": concept("confirmed", text="Confirmed"),
        "criticality": "high",
        "code": PENICILLINS,
        "patient": ADA,
        "reaction": [{"substance": PENICILLINS, "manifestation": [{"text": "rash"}]}],
    },
    "MedicationRequest": {
        "id": "m1",
        "contained": [
            {
                "resourceType": "Medication",
                "id": "med",
                "code": PENICILLINS,
                "ingredient": [{"itemCodeableConcept": PENICILLINS}, {"itemReference": {"reference": "#s"}}],
            },
            {
                "resourceType": "Substance",
                "id": "s",
                "code": PENICILLINS,
                "ingredient": [{"substanceCodeableConcept": PENICILLINS}],
            },
        ],
        "status": "active",
        "intent": "order",
        "doNotPerform": False,
        "medicationReference": {"reference": "#med", "display": "Penicillin"},
        "subject": ADA,
    },
    "Coverage": {
        "id": "c1",
        "status": "active",
        "subscriberId": "S-1",
        "beneficiary": ADA,
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "payor": [{"display": "Mutual"}],
    },
    "Encounter": {
        "id": "e1",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": ADA,
        "contained": [
            {"resourceType": "Location", "id": "w", "physicalType": WARD, "partOf": {"reference": "Location/building"}}
        ],
        "location": [
            {
                "location": {"reference": "Location/ICU-2"},
                "status": "active",
                "physicalType": WARD,
                "period": {"start": "2026-01-01", "end": "2026-12-31"},
            }
        ],
    },
}


def within(path: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The part at `path`, and its fields."""
    return {path: "part"} | {f"{path}.{name}": kind for name, kind in fields.items()}


REFERENCE = {"reference": "text", "display": "text", "identifier": "part", "identifier.value": "number"}
CODING = within("coding.0", {"system": "uri", "code": "code", "display": "text"})
CONCEPT = {"coding": "list", **CODING, "text": "text"}
# The types of the typed fields.
TYPED: Mapping[str, Mapping[str, str]] = {
    "Patient": {
        "id": "id",
        "identifier": "list",
        **within("identifier.0", {"use": "one of some codes", "system": "uri", "value": "number"}),
        "name": "list",
        **within("name.0", {"use": "one of some codes", "text": "name", "family": "name"}),
        "name.0.given": "list",
        "name.0.given.0": "name",
        "gender": "one of some codes",
        "birthDate": "date",
        "deceasedBoolean": "boolean",
        "deceasedDateTime": "time",
        "address": "list",
        **within("address.0", {"use": "one of some codes", "text": "text", "city": "text"}),
        **within("address.0", {"postalCode": "text", "country": "text"}),
        "address.0.line": "list",
        "address.0.line.0": "text",
        "link": "list",
        "link.0": "part",
        "link.0.type": "one of some codes",
    },
    "AllergyIntolerance": {
        "id": "id",
        **within("clinicalStatus", CONCEPT),
        **within("verificationStatus", CONCEPT),
        "criticality": "one of some codes",
        **within("code", CONCEPT),
        **within("patient", REFERENCE),
        "reaction": "list",
        **within("reaction.0.substance", CONCEPT),
    },
    "MedicationRequest": {
        "id": "id",
        "contained": "list",
        "contained.0.id": "id",
        **within("contained.0.code", CONCEPT),
        "contained.0.ingredient": "list",
        "contained.0.ingredient.0": "part",
        **within("contained.0.ingredient.0.itemCodeableConcept", CONCEPT),
        **within("contained.0.ingredient.1.itemReference", REFERENCE),
        "contained.1.id": "id",
        **within("contained.1.code", CONCEPT),
        "contained.1.ingredient": "list",
        "contained.1.ingredient.0": "part",
        **within("contained.1.ingredient.0.substanceCodeableConcept", CONCEPT),
        "status": "one of some codes",
        "intent": "code",
        "doNotPerform": "boolean",
        **within("medicationReference", REFERENCE),
        **within("subject", REFERENCE),
    },
    "Coverage": {
        "id": "id",
        "status": "one of some codes",
        "subscriberId": "text",
        **within("beneficiary", REFERENCE),
        **within("period", {"start": "time", "end": "time"}),
        "payor": "list",
        **within("payor.0", REFERENCE),
    },
    "Encounter": {
        "id": "id",
        "status": "one of some codes",
        **within("subject", REFERENCE),
        "location": "list",
        "location.0": "part",
        **within("location.0.location", REFERENCE),
        "location.0.status": "one of some codes",
        **within("location.0.physicalType", CONCEPT),
        **within("location.0.period", {"start": "time", "end": "time"}),
        "contained": "list",
        "contained.0.id": "id",
        **within("contained.0.physicalType", CONCEPT),
        **within("contained.0.partOf", REFERENCE),
    },
}
EVERY_FIELD = [(kind, path) for kind, fields in TYPED.items() for path in fields]

ABSENT = "absent"
DAY = "1852-11-27"
# Valid and invalid values of each type, as JSON.
VALUES: Mapping[str, list[str]] = {
    "text": ['"Ada"', '"Łucja 李"', '"a\\nb"', '""', '" "', "7", "true", '["x"]', "{}", "null"],
    "code": ['"order"', '"a b"', '""', '" "', '" a"', '"a "', '"a  b"', '"a\\tb"', "7", "true", '["x"]'],
    "one of some codes": ['""', '"nonsense"', '" active"', '"ACTIVE"', "7", "true", '["x"]', "null"],
    "uri": ['"https://hospital.example"', '"urn:oid:1.2.36"', '""', '" "', '"a b"', "7", '["x"]'],
    "id": ['"A-1.b"', '""', '"a/b"', '"a b"', '"a_b"', '"ä"', '"a\\n"', f'"{"x" * 64}"', f'"{"x" * 65}"', "7"],
    "date": [
        *('"1815"', '"1815-12"', '"1815-12-10"', '"2024-02-29"', '""', '"2026-02-29"', '"2026-02-30"', '"2026-13-01"'),
        *('"2026-00"', '"0000"', '"1815-1-1"', '"12/10/1815"', '"1815-12-10T00:00:00Z"', '"1815-12-10 "'),
        *('"1815-12-10\\n"', '"١٨١٥"', '"1815-12-1\u0660"', "1815", "0", "true", '["1815"]', "null"),
    ],
    "time": [
        *('"1852"', '"1852-11"', f'"{DAY}"', f'"{DAY}T12:00:00Z"', f'"{DAY}T12:00:00.123Z"', f'"{DAY}T23:59:60Z"'),
        *(f'"{DAY}T12:00:00{zone}"' for zone in ("+01:00", "+14:00", "+14:30", "+15:00", "-13:59", "z", "+1:00", "")),
        *(f'"{DAY}T{hour}Z"' for hour in ("24:00:00", "12:00", "12:60:00", "12:00:61", "12:00:0\u0660")),
        *(f'"{DAY} 12:00:00Z"', '"2026-02-30"', '"2026-02-30T12:00:00Z"', '"2026-13"', '""', '"noon"', "0", "1.5"),
        *("true", f'["{DAY}"]', "null"),
    ],
    "boolean": ["true", "false", '"true"', '"yes"', "1", "0", "1.0", "[]", "null"],
    "list": ["[]", "{}", '"x"', "7"],
    "part": ["{}", "[]", '"x"', "7"],
}
VALUES = {**VALUES, "name": VALUES["text"], "number": VALUES["text"]}

# Values that only `fhir.resources` accepts. FHIR rejects them, and so do the contracts.
ONLY_THERE: Mapping[str, set[str]] = {
    # Whitespace other than single spaces: https://hl7.org/fhir/R4/datatypes.html#code
    "code": {'"a\\tb"'},
    # The binding is required: https://hl7.org/fhir/R4/terminologies.html#required
    "one of some codes": {'"nonsense"', '"ACTIVE"'},
    # A uri has no whitespace, and no primitive is empty: https://hl7.org/fhir/R4/datatypes.html#uri
    "uri": {'""', '" "', '"a b"'},
    # 64 characters: https://hl7.org/fhir/R4/datatypes.html#id
    "id": {f'"{"x" * 65}"'},
    # Only booleans and numbers are not strings in JSON, and booleans are booleans: https://hl7.org/fhir/R4/json.html
    "date": {"0"},
    "time": {"0", "1.5"},
    "boolean": {'"true"', '"yes"', "1", "0", "1.0"},
    # Arrays are not empty: https://hl7.org/fhir/R4/json.html
    "list": {"[]"},
}
# Values that FHIR accepts and the contracts reject: rules of our own.
OUR_OWN: Mapping[str, set[str]] = {
    # A text that is only blanks, which FHIR advises against. It names nothing.
    "text": {'" "'},
    # A control character, which can make a name or a number read as another one.
    "name": {'" "', '"a\\nb"'},
    "number": {'" "', '"a\\nb"'},
}
# Limits of our own, in characters. FHIR's limit is a megabyte.
LONGEST = {"text": 1_000, "name": 1_000, "number": 200, "code": 255, "uri": 300}


@pytest.mark.parametrize("kind", VALID)
def test_both_accept_a_valid_resource(kind: str) -> None:
    assert accepted_there(valid(kind))
    assert accepted(valid(kind))


@pytest.mark.parametrize(("kind", "path"), EVERY_FIELD, ids=[f"{kind}.{path}" for kind, path in EVERY_FIELD])
def test_both_accept_the_same_values_of_a_field(kind: str, path: str) -> None:
    type_ = TYPED[kind][path]
    values = [*VALUES[type_], *([] if path.endswith(".0") else [ABSENT])]

    here = {value for value in values if accepted(changed(kind, path, value))}
    there = {value for value in values if accepted_there(changed(kind, path, value))}

    assert there - here == ONLY_THERE.get(type_, set()) | OUR_OWN.get(type_, set())
    assert here - there == set()


@pytest.mark.parametrize(
    ("kind", "path"),
    [(kind, path) for kind, path in EVERY_FIELD if TYPED[kind][path] in LONGEST],
    ids=str,
)
def test_a_text_is_accepted_up_to_our_limit(kind: str, path: str) -> None:
    longest = LONGEST[TYPED[kind][path]]

    assert accepted(changed(kind, path, json.dumps("x" * longest)))
    assert not accepted(changed(kind, path, json.dumps("x" * (longest + 1))))
    assert accepted_there(changed(kind, path, json.dumps("x" * (longest + 1))))


@pytest.mark.parametrize("field", ["identifier", "name", "address"])
def test_a_patient_has_at_most_twenty_numbers_names_and_addresses(field: str) -> None:
    one = valid("Patient")[field][0]

    assert accepted({**valid("Patient"), field: [one] * 20})
    assert not accepted({**valid("Patient"), field: [one] * 21})
    assert accepted_there({**valid("Patient"), field: [one] * 21})


def a_substance(**ingredient: object) -> dict[str, Any]:
    """A contained Substance with one ingredient."""
    return {"resourceType": "Substance", "id": "s", "code": PENICILLINS, "ingredient": [ingredient]}


# Resources that are valid or invalid because of several fields.
COMBINATIONS = {
    "dead, and at a time": ("Patient", {"deceasedBoolean": True, "deceasedDateTime": DAY}),
    "not dead, and at a time": ("Patient", {"deceasedBoolean": False, "deceasedDateTime": DAY}),
    "dead": ("Patient", {"deceasedBoolean": True}),
    "dead at a time": ("Patient", {"deceasedDateTime": DAY}),
    "a medication by code and by reference": ("MedicationRequest", {"medicationCodeableConcept": PENICILLINS}),
    "no medication": ("MedicationRequest", {"medicationReference": None}),
    "a medication by code": (
        "MedicationRequest",
        {"medicationReference": None, "medicationCodeableConcept": PENICILLINS},
    ),
    "an ingredient by code and by reference": (
        "MedicationRequest",
        {
            "contained": [
                {
                    "resourceType": "Medication",
                    "ingredient": [{"itemCodeableConcept": PENICILLINS, "itemReference": {"reference": "#s"}}],
                }
            ]
        },
    ),
    "an ingredient by reference": (
        "MedicationRequest",
        {"contained": [{"resourceType": "Medication", "ingredient": [{"itemReference": {"reference": "#s"}}]}]},
    ),
    "another resource contained": (
        "MedicationRequest",
        {"contained": [{"resourceType": "Organization", "id": "s", "name": "Maker"}, {"resourceType": "Medication"}]},
    ),
    "a substance that is an ingredient by code and by reference": (
        "MedicationRequest",
        {"contained": [a_substance(substanceCodeableConcept=PENICILLINS, substanceReference={"reference": "#x"})]},
    ),
    "a substance that is an ingredient by reference": (
        "MedicationRequest",
        {"contained": [a_substance(substanceReference={"reference": "#x"})]},
    ),
    "an ingredient of a substance that is nothing": ("MedicationRequest", {"contained": [a_substance()]}),
    "an unknown birth date": (
        "Patient",
        {"birthDate": None, "_birthDate": {"extension": [{"url": "https://hospital.example/x", "valueCode": "asked"}]}},
    ),
    "a given name that is only an extension": (
        "Patient",
        {
            "name": [
                {
                    "given": ["Ada", None],
                    "_given": [None, {"extension": [{"url": "https://hospital.example/x", "valueString": "K."}]}],
                }
            ]
        },
    ),
    "a line of an address that is only an extension": (
        "Patient",
        {
            "address": [
                {
                    "line": [None, "2nd floor"],
                    "_line": [{"extension": [{"url": "https://hospital.example/x", "valueString": "12"}]}, None],
                }
            ]
        },
    ),
    "no payor": ("Coverage", {"payor": None}),
    "nobody covered": ("Coverage", {"beneficiary": None}),
    "nobody allergic": ("AllergyIntolerance", {"patient": None}),
    "prescribed for nobody": ("MedicationRequest", {"subject": None}),
    "a stay without a status": ("Encounter", {"status": None}),
    "a stay at no location": ("Encounter", {"location": [{"status": "active"}]}),
}


@pytest.mark.parametrize(("kind", "fields"), COMBINATIONS.values(), ids=COMBINATIONS)
def test_both_accept_or_reject_a_combination_of_fields(kind: str, fields: dict[str, Any]) -> None:
    resource = {name: value for name, value in {**valid(kind), **fields}.items() if value is not None}

    assert accepted(resource) == accepted_there(resource)


# A rule of our own: functions need the status for their decisions.
@pytest.mark.parametrize("kind", ["MedicationRequest", "Coverage", "Encounter"])
def test_a_status_that_is_only_an_extension_is_rejected(kind: str) -> None:
    reason = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "x"}]}
    resource = {name: value for name, value in valid(kind).items() if name != "status"} | {"_status": reason}

    assert accepted_there(resource)
    assert not accepted(resource)


def test_a_contained_resource_without_a_type_is_rejected() -> None:
    # A resource has a type: https://hl7.org/fhir/R4/json.html#resources
    resource = {**valid("MedicationRequest"), "contained": [{"id": "med"}]}

    assert accepted_there(resource)
    assert not accepted(resource)


OF_OTHERS = {
    "another patient": {"reference": "Patient/augusta"},
    "no patient but a group": {"reference": "Group/ada"},
    "an id without a type": {"reference": "ada"},
    "a resource of its own": {"reference": "#ada"},
    "an id with the same end": {"reference": "Patient/not-ada"},
    "a version of another patient": {"reference": "Patient/augusta/_history/Patient/ada"},
}
OF_ADA = {
    "by a path": {"reference": "Patient/ada"},
    "by an address": {"reference": "https://hospital.example/fhir/Patient/ada"},
    "by a version": {"reference": "Patient/ada/_history/2"},
    "by a number": {"identifier": {"system": records.MRN, "value": "4711"}},
    "in words": {"display": "Ada Lovelace"},
}
REFERRING = [("AllergyIntolerance", "patient"), ("MedicationRequest", "subject"), ("Coverage", "beneficiary")]
REFERRING = [*REFERRING, ("Encounter", "subject")]


@pytest.mark.parametrize(("kind", "field"), REFERRING)
def test_a_resource_must_refer_to_the_patient_of_the_record(kind: str, field: str) -> None:
    assert [name for name, reference in OF_OTHERS.items() if fits({**valid(kind), field: reference})] == []
    assert [name for name, reference in OF_ADA.items() if not fits({**valid(kind), field: reference})] == []


@pytest.mark.parametrize("kind", VALID)
def test_every_resource_except_the_patient_needs_an_id(kind: str) -> None:
    resource = {name: value for name, value in valid(kind).items() if name != "id"}

    assert accepted_there(resource)
    assert fits(resource) == (kind == "Patient")


def test_the_id_of_a_patient_is_the_records_and_not_a_number() -> None:
    assert fits(valid("Patient"))
    assert not fits({**valid("Patient"), "id": "augusta"})
    assert not fits({**valid("Patient"), "id": "4711"}, patient="4711")


def test_a_random_uuid_may_be_both_the_id_and_a_number_of_a_patient() -> None:
    def is_both(key: str) -> bool:
        return fits({"resourceType": "Patient", "id": key, "identifier": [{"value": key}]}, patient=key)

    assert is_both("5c6db3d0-c0fc-4eb7-8eae-dbc7847be741")
    assert is_both("5C6DB3D0-C0FC-4EB7-8EAE-DBC7847BE741")
    # A UUID of version 1 contains the time and the machine, and one of version 5 may be made from a number.
    assert not is_both("5c6db3d0-c0fc-11e7-8eae-dbc7847be741")
    assert not is_both("5c6db3d0-c0fc-5eb7-8eae-dbc7847be741")
    assert not is_both("5c6db3d0c0fc4eb78eaedbc7847be741x")


def test_a_rejected_id_is_reported_with_field_rule_and_suggestion() -> None:
    with pytest.raises(ContractBroken) as rejected:
        PatientRecordUpdated.read(data_of({"resourceType": "Patient", "identifier": [{"value": "ada"}]}), version=1)

    assert "patient_id is a value of resource.identifier" in str(rejected.value)
    assert "such as a random UUID" in str(rejected.value)


@pytest.mark.parametrize("kind", sorted(BY_SUBJECT | BY_PATIENT))
def test_a_resource_that_no_function_reads_is_accepted_for_its_patient_only(kind: str) -> None:
    field = "subject" if kind in BY_SUBJECT else "patient"
    resource = {"resourceType": kind, "id": "x1", "code": {"text": "any"}}

    assert fits({**resource, field: {"reference": "Patient/ada"}})
    assert [name for name, reference in OF_OTHERS.items() if fits({**resource, field: reference})] == []
    assert not fits(resource)
    # FHIR has this field in this resource, as one reference.
    annotation = str(get_fhir_model_class(kind).model_fields[field].annotation)
    assert "ReferenceType" in annotation
    assert "List" not in annotation


def builders() -> Iterator[tuple[str, Any]]:
    """The resources of the builders, before a contract has parsed them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "update", lambda resource, *_: resource)
        yield "a patient", a_patient()
        yield "a patient who has died", a_patient(deceasedDateTime=DAY, address=[{"city": "London"}])
        yield "an allergy", an_allergy()
        yield "a prescription", a_prescription()
        yield "a coverage", a_coverage()
        yield "a stay", a_stay()


def samples() -> Iterator[tuple[str, Any]]:
    for file in FOLDER.glob("*/*.json"):
        sample = Sample.read(file)
        for entry in chain(sample.entries, sample.then):
            if entry.type == PatientRecordUpdated.contract.type and entry.producer_id not in sample.rejected:
                yield f"{sample.name}, {entry.producer_id}", json.loads(entry.detail)["data"]["resource"]


OURS = {"the example": PatientRecordUpdated.example["resource"], **dict(builders()), **dict(samples())}


@pytest.mark.parametrize("resource", OURS.values(), ids=OURS)
def test_examples_samples_and_builders_are_valid(resource: dict[str, Any]) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate_json(json.dumps(resource))
    assert accepted(resource)


@pytest.mark.parametrize(("kind", "path"), EVERY_FIELD, ids=[f"{kind}.{path}" for kind, path in EVERY_FIELD])
def test_a_rejection_quotes_no_value_that_was_sent(
    world: World, capsys: pytest.CaptureFixture[str], kind: str, path: str
) -> None:
    bodies = [
        sent_record({**changed(kind, path, value), MARK: MARK})
        for value in map(json.dumps, ({MARK: MARK}, [MARK], f"{MARK} " * 1_000))
        if not fits(changed(kind, path, value))
    ]

    world.admit(*bodies)

    dead_letters = world.dead_letters()
    assert len(dead_letters) == len(bodies) > 0
    assert MARK not in str([dead_letter.attributes for dead_letter in dead_letters])
    assert MARK not in capsys.readouterr().out


@pytest.mark.parametrize("resource_type", [MARK, [MARK], {MARK: MARK}, 7, None, "", "patient", "Practitioner"], ids=str)
def test_a_resource_of_an_unknown_type_is_rejected_without_quoting_it(world: World, resource_type: object) -> None:
    world.admit(sent_record({"resourceType": resource_type, "id": MARK}))

    (dead_letter,) = world.dead_letters()
    assert MARK not in str(dead_letter.attributes)
    assert dead_letter.error == "ContractBroken"


@pytest.mark.parametrize("kind", VALID)
def test_a_resource_is_stored_as_it_was_sent_with_all_unknown_fields(world: World, kind: str) -> None:
    resource = {
        **valid(kind),
        "meta": {"versionId": "3", "lastUpdated": "2026-03-01T12:00:00.123+01:00", "tag": []},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Łucja</div>'},
        "extension": [{"url": "https://hospital.example/x", "valueDecimal": 1.50}],
        "_id": {"extension": [{"url": "https://hospital.example/x", "valueBoolean": True}]},
        "somethingNew": [None, {"deep": {"er": [1, 2.5, "", None]}}],
    }
    known = {"patient_id": "ada", "revision": 1, "resource": resource}

    world.admit(sent({**known, "also": None}, type="PatientRecordUpdated", source="hospital.records"))

    (stored,) = world.stream("patient/ada")
    assert json.loads(stored.data) == known
    assert list(json.loads(stored.data)["resource"]) == list(resource)


def valid(kind: str) -> dict[str, Any]:
    return {"resourceType": kind, **deepcopy(VALID[kind])}


def changed(kind: str, path: str, value: str) -> dict[str, Any]:
    """A valid resource with another value at `path`: JSON, or ABSENT."""
    resource = valid(kind)
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place: Any = resource
    for step in parents:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value != ABSENT:
        place[last] = json.loads(value)
    elif last in place:
        del place[last]
    return resource


def accepted(resource: object) -> bool:
    """Whether the contracts accept it for any patient."""
    try:
        TypeAdapter[Resource](Resource).validate_json(json.dumps(resource), strict=True)
    except ValidationError:
        return False
    return True


def accepted_there(resource: Mapping[str, Any]) -> bool:
    """Whether `fhir.resources` accepts it."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(json.dumps(resource))
    except ValidationError:
        return False
    return True


def data_of(resource: object, patient: str = "ada") -> str:
    """The data of a PatientRecordUpdated with this resource."""
    return json.dumps({"patient_id": patient, "revision": 1, "resource": resource})


def fits(resource: object, patient: str = "ada") -> bool:
    """Whether PatientRecordUpdated accepts it for this patient."""
    try:
        PatientRecordUpdated.read(data_of(resource, patient), version=1)
    except ContractBroken:
        return False
    return True


def sent_record(resource: object) -> str:
    data = {"patient_id": "ada", "revision": 1, "resource": resource}
    return sent(data, type="PatientRecordUpdated", source="hospital.records")
