"""A prescription that cannot be compared with an allergy is unchecked, with the reason. It is never silently safe."""

from typing import Any

import pytest

from functions.patients.pharmacy import PharmacyRecord
from tests.unit.hospital.records import (
    AMOXICILLIN,
    ATC,
    IBUPROFEN,
    PENICILLINS,
    RXNORM,
    SNOMED,
    a_prescription,
    an_allergy,
    concept,
    merged,
)
from tests.unit.hospital.systems import Systems
from tests.unit.world import World

WORDS, REFERENCE = "words only", "reference not resolved"
NO_SYSTEM, NO_HIERARCHY = "no common coding system", "codes without a known hierarchy"
PZN = "http://fhir.de/CodeSystem/ifa/pzn"


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


def coded(*codes: str) -> dict[str, Any]:
    """A CodeableConcept with these codes. Codes without a code system are ATC codes."""
    pairs = ((code if "|" in code else f"{ATC}|{code}").rpartition("|") for code in codes)
    return {"coding": [{"system": system, "code": code} for system, _, code in pairs]}


def reacted_to(*substances: dict[str, Any]) -> list[dict[str, Any]]:
    """The reactions of an allergy to these substances."""
    return [{"substance": substance, "manifestation": [{"text": "rash"}]} for substance in substances]


def with_contained(*contained: dict[str, Any], reference: str = "#med") -> dict[str, Any]:
    """The fields of a prescription of a medication that it contains."""
    return {
        "contained": list(contained),
        "medicationCodeableConcept": None,
        "medicationReference": {"reference": reference, "display": "Amoxicillin"},
    }


def medication(key: str = "med", code: dict[str, Any] | None = None, *ingredients: dict[str, Any]) -> dict[str, Any]:
    """A contained Medication. An ingredient is a CodeableConcept or a Reference."""
    items = [{"itemReference" if "reference" in each else "itemCodeableConcept": each} for each in ingredients]
    fields = {"resourceType": "Medication", "id": key, "code": code, "ingredient": items}
    return {name: value for name, value in fields.items() if value}


def to(key: str) -> dict[str, str]:
    return {"reference": f"#{key}"}


# --- the substance of a reaction --------------------------------------------------------------------------------------


def test_an_allergy_coded_only_in_the_substance_of_a_reaction_conflicts(systems: Systems) -> None:
    systems.receives(an_allergy(code={"text": "Antibiotic"}, reaction=reacted_to(coded(PENICILLINS))), a_prescription())

    assert systems.conflicts() == [("a1", "m1")]
    assert systems.unchecked() == []


def test_an_allergy_without_a_code_is_compared_by_the_substances_of_all_its_reactions(systems: Systems) -> None:
    systems.receives(
        an_allergy(code=None, reaction=reacted_to(coded(IBUPROFEN), coded(PENICILLINS))),
        a_prescription(),
        a_prescription(key="m2", code="N02BE01"),
    )

    assert systems.conflicts() == [("a1", "m1")]
    assert systems.unchecked() == []


def test_an_allergy_without_a_code_is_unchecked_if_one_of_its_substances_has_only_words(systems: Systems) -> None:
    systems.receives(
        an_allergy(code=None, reaction=reacted_to(coded(IBUPROFEN), {"text": "the red pills"})), a_prescription()
    )

    assert systems.unchecked() == [("m1", "ada/a1", WORDS)]


def test_an_allergy_with_a_code_in_words_is_unchecked_for_a_drug_that_is_not_the_substance_of_a_reaction(
    systems: Systems,
) -> None:
    systems.receives(
        an_allergy(code={"text": "Antibiotic"}, reaction=reacted_to(coded(PENICILLINS))), a_prescription(code=IBUPROFEN)
    )

    assert systems.conflicts() == []
    assert systems.unchecked() == [("m1", "ada/a1", WORDS)]


def test_a_code_is_enough_if_the_substance_of_a_reaction_has_only_words(systems: Systems) -> None:
    systems.receives(an_allergy(reaction=reacted_to({"text": "the red pills"})), a_prescription(code=IBUPROFEN))

    assert systems.unchecked() == []


# --- names of code systems --------------------------------------------------------------------------------------------

SAME_SYSTEM = [
    (ATC, "urn:oid:2.16.840.1.113883.6.73"),
    (ATC, "http://fhir.de/CodeSystem/bfarm/atc"),
    (ATC, "http://fhir.de/CodeSystem/dimdi/atc"),
    (ATC, "urn:oid:2.16.578.1.12.4.1.1.7180"),
    (ATC, "urn:oid:1.2.246.537.6.32"),
    (ATC, "2.16.840.1.113883.6.73"),
    (ATC, "URN:OID:2.16.840.1.113883.6.73"),
    (ATC, "https://www.whocc.no/atc/"),
    (ATC, "http://www.whocc.no/atc|2026"),
    ("http://fhir.de/CodeSystem/bfarm/atc", "urn:oid:2.16.840.1.113883.6.73"),
    (RXNORM, "urn:oid:2.16.840.1.113883.6.88"),
    (SNOMED, "urn:oid:2.16.840.1.113883.6.96"),
    (SNOMED, "http://snomed.info/sct/11000274103/version/20251115"),
    ("urn:oid:1.2.3", "1.2.3"),
]


@pytest.mark.parametrize(("one", "other"), SAME_SYSTEM)
def test_a_code_system_is_the_same_under_its_uri_its_oid_and_a_national_name(
    systems: Systems, one: str, other: str
) -> None:
    systems.receives(an_allergy(code=coded(f"{other}|J01C")), a_prescription(code=coded(f"{one}|J01C")))

    assert systems.conflicts() == [("a1", "m1")]
    assert systems.unchecked() == []


@pytest.mark.parametrize("written", ["J01C A04", "j01ca04"])
def test_an_atc_code_is_recognised_with_spaces_and_in_lower_case(systems: Systems, written: str) -> None:
    systems.receives(an_allergy(), a_prescription(code=coded(written)))

    assert systems.conflicts() == [("a1", "m1")]


# --- the reasons ------------------------------------------------------------------------------------------------------

# The codes of the allergen and of the prescribed drug, and the reason if they cannot be compared.
COMPARED = {
    "two drugs of two groups": (coded(PENICILLINS), coded(IBUPROFEN), None),
    "one common system of two": (coded(PENICILLINS, f"{SNOMED}|1"), coded(f"{RXNORM}|2", IBUPROFEN), None),
    "SNOMED CT and RxNorm": (coded(f"{SNOMED}|91936005"), coded(f"{RXNORM}|308182"), NO_SYSTEM),
    "an unknown system": (coded(PENICILLINS), coded(f"{PZN}|00427833"), NO_SYSTEM),
    "an unknown OID": (coded(PENICILLINS), coded("urn:oid:1.2.3|J01CA04"), NO_SYSTEM),
    # A code without a system may be of any system.
    "a code without a system": (coded(PENICILLINS), {"coding": [{"code": AMOXICILLIN}]}, WORDS),
    "a prescription in words": (coded(PENICILLINS), {"text": "Amoxicillin"}, WORDS),
    "an allergy in words": ({"text": "Penicillin"}, coded(AMOXICILLIN), WORDS),
    "both in words": ({"text": "Penicillin"}, {"text": "Amoxicillin"}, WORDS),
    "two codes of a system with unknown groups": (coded(f"{SNOMED}|91936005"), coded(f"{SNOMED}|1"), NO_HIERARCHY),
    "a prescribed group and a substance of it": (coded(AMOXICILLIN), coded(PENICILLINS), NO_HIERARCHY),
    "a text in place of an ATC code": (coded(PENICILLINS), coded("AMOXICILLIN"), NO_HIERARCHY),
    "a damaged ATC code of an allergy": (coded("J01CA0"), coded(AMOXICILLIN), NO_HIERARCHY),
}


@pytest.mark.parametrize(("allergen", "prescribed", "reason"), COMPARED.values(), ids=COMPARED)
def test_a_prescription_without_a_conflict_is_compared_or_unchecked_with_the_reason(
    systems: Systems, allergen: dict[str, Any], prescribed: dict[str, Any], reason: str | None
) -> None:
    systems.receives(an_allergy(code=allergen), a_prescription(code=prescribed))

    assert systems.conflicts() == []
    assert [each[2] for each in systems.unchecked()] == ([reason] if reason else [])


def test_an_allergy_without_any_substance_is_unchecked(systems: Systems) -> None:
    systems.receives(an_allergy(code=None), a_prescription())

    assert systems.unchecked() == [("m1", "ada/a1", WORDS)]


def test_a_prescription_in_words_is_unchecked_once_for_all_allergies_and_also_without_one(systems: Systems) -> None:
    systems.receives(a_prescription(code={"text": "Amoxicillin"}))
    assert systems.unchecked() == [("m1", None, WORDS)]

    systems.receives(an_allergy(), an_allergy(key="a2", code=IBUPROFEN))

    assert systems.unchecked() == [("m1", None, WORDS)]


@pytest.mark.parametrize(
    "later",
    [
        a_prescription(revision=2, status="stopped"),
        a_prescription(revision=2, code=concept("1", SNOMED)),
        an_allergy(revision=2, verificationStatus={"coding": [{"code": "refuted"}]}),
        an_allergy(revision=2, code=IBUPROFEN),
    ],
    ids=["prescription stopped", "prescription coded", "allergy refuted", "allergy coded"],
)
def test_a_prescription_is_unchecked_only_while_it_cannot_be_compared(systems: Systems, later: Any) -> None:
    systems.receives(an_allergy(code=concept("1", SNOMED)), a_prescription())
    assert systems.unchecked() == [("m1", "ada/a1", NO_SYSTEM)]

    systems.receives(later)

    assert systems.unchecked() == []


def test_a_prescription_is_unchecked_for_an_allergy_in_another_record_of_the_person(systems: Systems) -> None:
    systems.receives(
        an_allergy("ada", code={"text": "Penicillin"}), a_prescription("augusta"), merged("augusta", "ada")
    )

    assert systems.unchecked("augusta", "ada") == [("m1", "ada/a1", WORDS)]


@pytest.mark.parametrize(
    "nothing",
    [
        concept("716186003", SNOMED, text="No known allergy"),
        concept("409137002", "urn:oid:2.16.840.1.113883.6.96"),
        concept("no-known-medication-allergies", "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"),
    ],
    ids=lambda nothing: nothing["coding"][0]["code"],
)
def test_a_statement_that_no_allergy_is_known_makes_no_prescription_unchecked(
    systems: Systems, nothing: dict[str, Any]
) -> None:
    systems.receives(an_allergy(code=nothing), a_prescription())

    assert systems.unchecked() == []


# --- contained medications --------------------------------------------------------------------------------------------

AMOXICILLIN_POWDER = {"resourceType": "Substance", "id": "sub", "code": coded(AMOXICILLIN)}
# The fields of a prescription, whether it conflicts with an allergy to penicillins, and the reason if it is unchecked.
CONTAINED = {
    "an ingredient that is a contained substance": (
        with_contained(medication("med", None, to("sub")), AMOXICILLIN_POWDER),
        (True, None),
    ),
    "an ingredient that is a contained medication": (
        with_contained(medication("med", None, to("inner")), medication("inner", coded(AMOXICILLIN))),
        (True, None),
    ),
    "an ingredient of a contained substance": (
        with_contained(
            medication("med", None, to("mix")),
            {
                "resourceType": "Substance",
                "id": "mix",
                "code": {"text": "mixture"},
                "ingredient": [{"substanceReference": to("sub")}, {"substanceCodeableConcept": coded(IBUPROFEN)}],
            },
            AMOXICILLIN_POWDER,
        ),
        (True, None),
    ),
    "a code that nothing is known about, and ingredients": (
        with_contained(medication("med", coded(f"{PZN}|1"), coded(IBUPROFEN))),
        (False, None),
    ),
    "an ingredient in words": (
        with_contained(medication("med", coded(IBUPROFEN), coded(IBUPROFEN), {"text": "secret"})),
        (False, WORDS),
    ),
    "an ingredient that is not contained": (
        with_contained(medication("med", coded(IBUPROFEN), coded(IBUPROFEN), to("nowhere"))),
        (False, REFERENCE),
    ),
    "a conflict, and an ingredient that is not contained": (
        with_contained(medication("med", None, coded(AMOXICILLIN), to("nowhere"))),
        (True, REFERENCE),
    ),
    "an ingredient that is the medication itself": (
        with_contained(medication("med", None, to("med"))),
        (False, REFERENCE),
    ),
    "two medications that are ingredients of each other": (
        with_contained(medication("med", None, to("b")), medication("b", coded(AMOXICILLIN), to("med"))),
        (True, REFERENCE),
    ),
    "a medication without a code": (with_contained(medication()), (False, WORDS)),
    "a medication in another resource": (with_contained(medication(), reference="Medication/med"), (False, REFERENCE)),
    "a medication that is only named": (
        {"medicationCodeableConcept": None, "medicationReference": {"display": "Amoxicillin"}},
        (False, REFERENCE),
    ),
}


@pytest.mark.parametrize(("fields", "expected"), CONTAINED.values(), ids=CONTAINED)
def test_a_medication_is_compared_by_all_that_the_prescription_contains(
    systems: Systems, fields: dict[str, Any], expected: tuple[bool, str | None]
) -> None:
    systems.receives(an_allergy(), a_prescription(**fields))

    conflicts, reason = expected
    assert bool(systems.conflicts()) == conflicts
    assert systems.unchecked() == ([("m1", None, reason)] if reason else [])


def test_a_medication_that_is_not_contained_has_the_name_in_its_reference(systems: Systems) -> None:
    systems.receives(a_prescription(**with_contained(reference="Medication/med") | {"contained": None}))

    assert systems.row(PharmacyRecord).value("prescription/m1") == {
        "active": True,
        "codes": [],
        "substances": [None],
        "name": "Amoxicillin",
    }
