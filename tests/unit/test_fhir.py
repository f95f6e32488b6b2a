"""What of FHIR R4 is taken and what is refused, held against `fhir.resources`, which knows all of FHIR.

That package has no R4 any more. R4B, R4's own successor, left the resources that are used here as they were
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
from events.fhir import Resource
from events.patients import PatientRecordUpdated
from tests.unit import records
from tests.unit.builders import sent
from tests.unit.records import a_coverage, a_patient, a_prescription, a_stay, an_allergy, concept
from tests.unit.world import World

MARK = "Zzyzx0815"

PENICILLINS = {
    "coding": [{"system": records.ATC, "code": "J01C", "display": "Penicillins"}],
    "text": "Penicillins",
}
ADA = {"reference": "Patient/ada", "identifier": {"value": "4711"}, "display": "Ada Lovelace"}
# A good resource of each type, with all the fields that are used.
GOOD: Mapping[str, dict[str, Any]] = {
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
    },
    "AllergyIntolerance": {
        "id": "a1",
        "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"),
        "verificationStatus": concept("confirmed", text="Confirmed"),
        "criticality": "high",
        "code": PENICILLINS,
        "patient": ADA,
    },
    "MedicationRequest": {
        "id": "m1",
        "contained": [
            {
                "resourceType": "Medication",
                "id": "med",
                "code": PENICILLINS,
                "ingredient": [{"itemCodeableConcept": PENICILLINS}],
            }
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
        "location": [{"location": {"reference": "Location/ICU-2"}, "status": "active"}],
    },
}


def within(path: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a part that stands at `path`, and the part itself."""
    return {path: "part"} | {f"{path}.{name}": kind for name, kind in fields.items()}


REFERENCE = {"reference": "text", "display": "text", "identifier": "part", "identifier.value": "number"}
CODING = within("coding.0", {"system": "uri", "code": "code", "display": "text"})
CONCEPT = {"coding": "list", **CODING, "text": "text"}
# What is typed, and as what.
TYPED: Mapping[str, Mapping[str, str]] = {
    "Patient": {
        "id": "id",
        "identifier": "list",
        **within("identifier.0", {"use": "one of some codes", "system": "uri", "value": "number"}),
        "name": "list",
        **within("name.0", {"use": "one of some codes", "text": "text", "family": "text"}),
        "name.0.given": "list",
        "name.0.given.0": "text",
        "gender": "one of some codes",
        "birthDate": "date",
        "deceasedBoolean": "boolean",
        "deceasedDateTime": "time",
        "address": "list",
        **within("address.0", {"use": "one of some codes", "text": "text", "city": "text"}),
        **within("address.0", {"postalCode": "text", "country": "text"}),
        "address.0.line": "list",
        "address.0.line.0": "text",
    },
    "AllergyIntolerance": {
        "id": "id",
        **within("clinicalStatus", CONCEPT),
        **within("verificationStatus", CONCEPT),
        "criticality": "one of some codes",
        **within("code", CONCEPT),
        **within("patient", REFERENCE),
    },
    "MedicationRequest": {
        "id": "id",
        "contained": "list",
        "contained.0.id": "id",
        **within("contained.0.code", CONCEPT),
        "contained.0.ingredient": "list",
        "contained.0.ingredient.0": "part",
        **within("contained.0.ingredient.0.itemCodeableConcept", CONCEPT),
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
    },
}
EVERY_FIELD = [(kind, path) for kind, fields in TYPED.items() for path in fields]

ABSENT = "absent"
DAY = "1852-11-27"
# Good and bad values of each type, as JSON.
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
VALUES = {**VALUES, "number": VALUES["text"]}

# What `fhir.resources` takes though FHIR does not, which we therefore refuse.
TAKEN_THERE: Mapping[str, set[str]] = {
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
# What FHIR takes, and we refuse: our own rules.
OUR_OWN: Mapping[str, set[str]] = {
    # A text of nothing but blanks, which FHIR only advises against: nobody is found by it, or told anything.
    "text": {'" "'},
    "number": {'" "'},
}
# The most characters that we take: the limits are ours, FHIR's is the megabyte.
LONGEST = {"text": 1_000, "number": 200, "code": 255, "uri": 300}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_resource_is_taken_by_both(kind: str) -> None:
    assert taken_there(good(kind))
    assert taken(good(kind))


@pytest.mark.parametrize(("kind", "path"), EVERY_FIELD, ids=[f"{kind}.{path}" for kind, path in EVERY_FIELD])
def test_a_field_is_refused_for_what_fhir_refuses_and_taken_for_what_it_takes(kind: str, path: str) -> None:
    type_ = TYPED[kind][path]
    values = [*VALUES[type_], *([] if path.endswith(".0") else [ABSENT])]

    here = {value for value in values if taken(changed(kind, path, value))}
    there = {value for value in values if taken_there(changed(kind, path, value))}

    assert there - here == TAKEN_THERE.get(type_, set()) | OUR_OWN.get(type_, set())
    assert here - there == set()


@pytest.mark.parametrize(
    ("kind", "path"),
    [(kind, path) for kind, path in EVERY_FIELD if TYPED[kind][path] in LONGEST],
    ids=str,
)
def test_a_text_may_be_as_long_as_our_limit_and_no_longer(kind: str, path: str) -> None:
    longest = LONGEST[TYPED[kind][path]]

    assert taken(changed(kind, path, json.dumps("x" * longest)))
    assert not taken(changed(kind, path, json.dumps("x" * (longest + 1))))
    assert taken_there(changed(kind, path, json.dumps("x" * (longest + 1))))


@pytest.mark.parametrize("field", ["identifier", "name", "address"])
def test_there_may_be_twenty_of_what_is_written_at_once(field: str) -> None:
    one = good("Patient")[field][0]

    assert taken({**good("Patient"), field: [one] * 20})
    assert not taken({**good("Patient"), field: [one] * 21})
    assert taken_there({**good("Patient"), field: [one] * 21})


# What makes sense, or not, by several fields together.
TOGETHER = {
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
        {"contained": [{"resourceType": "Substance", "id": "s", "code": PENICILLINS}, {"resourceType": "Medication"}]},
    ),
    "a birth date that nobody knows": (
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


@pytest.mark.parametrize(("kind", "fields"), TOGETHER.values(), ids=TOGETHER)
def test_both_take_or_both_refuse(kind: str, fields: dict[str, Any]) -> None:
    resource = {name: value for name, value in {**good(kind), **fields}.items() if value is not None}

    assert taken(resource) == taken_there(resource)


# A rule of our own: functions decide by it.
@pytest.mark.parametrize("kind", ["MedicationRequest", "Coverage", "Encounter"])
def test_a_status_that_is_only_an_extension_is_refused(kind: str) -> None:
    reason = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "x"}]}
    resource = {name: value for name, value in good(kind).items() if name != "status"} | {"_status": reason}

    assert taken_there(resource)
    assert not taken(resource)


def test_a_contained_resource_that_does_not_say_what_it_is_is_refused() -> None:
    # A resource says its type: https://hl7.org/fhir/R4/json.html#resources
    resource = {**good("MedicationRequest"), "contained": [{"id": "med"}]}

    assert taken_there(resource)
    assert not taken(resource)


OF_NOBODY = {
    "another patient": {"reference": "Patient/augusta"},
    "no patient but a group": {"reference": "Group/ada"},
    "an id without a type": {"reference": "ada"},
    "a resource of its own": {"reference": "#ada"},
    "a name that ends alike": {"reference": "Patient/not-ada"},
    "another one's version": {"reference": "Patient/augusta/_history/Patient/ada"},
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
def test_a_resource_must_be_about_the_patient_whose_record_it_is_sent_for(kind: str, field: str) -> None:
    assert [name for name, whom in OF_NOBODY.items() if fits({**good(kind), field: whom})] == []
    assert [name for name, whom in OF_ADA.items() if not fits({**good(kind), field: whom})] == []


@pytest.mark.parametrize("kind", GOOD)
def test_every_resource_but_the_patient_needs_an_id(kind: str) -> None:
    resource = {name: value for name, value in good(kind).items() if name != "id"}

    assert taken_there(resource)
    assert fits(resource) == (kind == "Patient")


def test_a_patient_is_not_sent_under_anothers_id_or_by_a_number() -> None:
    assert fits(good("Patient"))
    assert not fits({**good("Patient"), "id": "augusta"})
    assert not fits({**good("Patient"), "id": "4711"}, patient="4711")


def builders() -> Iterator[tuple[str, Any]]:
    """What the builders hand over, before a contract has looked at it."""
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
def test_what_we_show_and_test_with_is_good(resource: dict[str, Any]) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate_json(json.dumps(resource))
    assert taken(resource)


@pytest.mark.parametrize(("kind", "path"), EVERY_FIELD, ids=[f"{kind}.{path}" for kind, path in EVERY_FIELD])
def test_a_refusal_quotes_nothing_of_what_was_sent(
    world: World, capsys: pytest.CaptureFixture[str], kind: str, path: str
) -> None:
    bodies = [
        sent_record({**changed(kind, path, value), MARK: MARK})
        for value in map(json.dumps, ({MARK: MARK}, [MARK], f"{MARK} " * 1_000))
        if not fits(changed(kind, path, value))
    ]

    world.admit(*bodies)

    letters = world.dead_letters()
    assert len(letters) == len(bodies) > 0
    assert MARK not in str([letter.attributes for letter in letters])
    assert MARK not in capsys.readouterr().out


@pytest.mark.parametrize("resource_type", [MARK, [MARK], {MARK: MARK}, 7, None, "", "patient", "Observation"], ids=str)
def test_a_resource_of_an_unknown_kind_is_refused_by_those_that_are_known(world: World, resource_type: object) -> None:
    world.admit(sent_record({"resourceType": resource_type, "id": MARK}))

    (letter,) = world.dead_letters()
    assert MARK not in str(letter.attributes)
    assert letter.error == "ContractBroken"


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_stored_is_what_was_sent_with_all_that_nobody_knows(world: World, kind: str) -> None:
    resource = {
        **good(kind),
        "meta": {"versionId": "3", "lastUpdated": "2026-03-01T12:00:00.123+01:00", "tag": []},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Łucja</div>'},
        "extension": [{"url": "https://hospital.example/x", "valueDecimal": 1.50}],
        "_id": {"extension": [{"url": "https://hospital.example/x", "valueBoolean": True}]},
        "somethingNew": [None, {"deep": {"er": [1, 2.5, "", None]}}],
    }
    sent_data = {"patient_id": "ada", "revision": 1, "resource": resource, "also": None}

    world.admit(sent(sent_data, type="PatientRecordUpdated", source="hospital.records"))

    (stored,) = world.stream("patient/ada")
    assert json.loads(stored.data) == sent_data
    assert list(json.loads(stored.data)["resource"]) == list(resource)


def good(kind: str) -> dict[str, Any]:
    return {"resourceType": kind, **deepcopy(GOOD[kind])}


def changed(kind: str, path: str, value: str) -> dict[str, Any]:
    """A good resource, but for the value at `path`, which is JSON, or ABSENT."""
    resource = good(kind)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place: Any = resource
    for step in way:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value != ABSENT:
        place[last] = json.loads(value)
    elif last in place:
        del place[last]
    return resource


def taken(resource: object) -> bool:
    """Whether we take it, whosever it is."""
    try:
        TypeAdapter[Resource](Resource).validate_json(json.dumps(resource), strict=True)
    except ValidationError:
        return False
    return True


def taken_there(resource: Mapping[str, Any]) -> bool:
    """Whether `fhir.resources` takes it."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(json.dumps(resource))
    except ValidationError:
        return False
    return True


def fits(resource: object, patient: str = "ada") -> bool:
    """Whether we take it for a patient's record."""
    data = {"patient_id": patient, "revision": 1, "resource": resource}
    try:
        PatientRecordUpdated.read(json.dumps(data), version=1)
    except ContractBroken:
        return False
    return True


def sent_record(resource: object) -> str:
    data = {"patient_id": "ada", "revision": 1, "resource": resource}
    return sent(data, type="PatientRecordUpdated", source="hospital.records")
