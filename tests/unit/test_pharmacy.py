"""The pharmacy: a prescription that meets a known allergy is told of, whichever was there first, once."""

from typing import Any

import pytest

from events.patients import AllergyConflictFound, PatientRecordUpdated
from functions.patients.facts import Fact
from functions.patients.medication import meet
from functions.patients.pharmacy import Medicated, sync_pharmacy
from tests.unit import faults
from tests.unit.records import (
    AMOXICILLIN,
    ATC,
    IBUPROFEN,
    PENICILLINS,
    a_patient,
    a_prescription,
    an_allergy,
    concept,
    merged,
    unmerged,
)
from tests.unit.systems import Delivery, Systems, Told
from tests.unit.world import World

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"

# What is prescribed, what is not borne, whether they meet. A code of ATC unless a system is named.
CODES = {
    "one substance": (AMOXICILLIN, AMOXICILLIN, True),
    "a substance and its group": (AMOXICILLIN, PENICILLINS, True),
    "a substance and the whole anatomical group": (AMOXICILLIN, "J", True),
    "a substance and another group": (IBUPROFEN, PENICILLINS, False),
    # A group that is prescribed may be any of its substances; the one that is not borne need not be given.
    "a group and a substance of it": (PENICILLINS, AMOXICILLIN, False),
    "a group and itself": (PENICILLINS, PENICILLINS, True),
    "two substances of a group": ("J01CA01", AMOXICILLIN, False),
    "one code of another system": (f"{RXNORM}|723", f"{RXNORM}|723", True),
    "a code that begins alike, but of a system without groups": (f"{RXNORM}|7234", f"{RXNORM}|723", False),
    "one code of two systems": (f"{RXNORM}|723", f"{SNOMED}|723", False),
    "a code of a system that begins with ATC's name": (f"{ATC}-veterinary|{AMOXICILLIN}", PENICILLINS, False),
}


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


@pytest.mark.parametrize(("prescribed", "not_borne", "they_meet"), CODES.values(), ids=CODES)
def test_a_prescription_meets_an_allergy_by_code_or_by_group(
    prescribed: str, not_borne: str, *, they_meet: bool
) -> None:
    assert meet([f"{SNOMED}|1", term(prescribed)], [f"{SNOMED}|2", term(not_borne)]) == they_meet


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["allergy first", "prescription first"])
def test_a_conflict_is_told_with_all_that_is_known_of_it(systems: Systems, order: tuple[int, int]) -> None:
    events = an_allergy(), a_prescription()

    systems.hears(*(events[place] for place in order))

    assert systems.found(AllergyConflictFound) == [
        AllergyConflictFound(
            patient_id="ada",
            prescription_id="m1",
            prescribed="what is prescribed",
            allergy_patient_id="ada",
            allergy_id="a1",
            substance="what is not borne",
            criticality="high",
        )
    ]


def test_each_pair_is_told_once_however_often_its_resources_are_updated(systems: Systems) -> None:
    systems.hears(an_allergy(), a_prescription(), a_patient())

    systems.hears(an_allergy(revision=2, criticality="low"), a_prescription(revision=2, status="on-hold"))
    systems.hears(a_patient(revision=2, deceasedBoolean=True))

    assert systems.conflicts() == [("a1", "m1")]


def test_two_allergies_and_two_prescriptions_are_four_conflicts(systems: Systems) -> None:
    systems.hears(an_allergy(), an_allergy(key="a2", code=AMOXICILLIN), a_prescription(), a_prescription(key="m2"))

    assert sorted(systems.conflicts()) == [("a1", "m1"), ("a1", "m2"), ("a2", "m1"), ("a2", "m2")]


@pytest.mark.parametrize(
    "ended",
    [
        lambda revision: a_prescription(revision=revision, status="stopped"),
        lambda revision: a_prescription(revision=revision, code=IBUPROFEN),
        lambda revision: an_allergy(revision=revision, clinicalStatus={"coding": [{"code": "resolved"}]}),
        lambda revision: an_allergy(revision=revision, code=IBUPROFEN),
    ],
    ids=["stopped", "of something else", "resolved", "to something else"],
)
def test_a_conflict_that_has_ended_is_told_again_when_it_comes_back(systems: Systems, ended: Any) -> None:
    systems.hears(an_allergy(), a_prescription(), ended(2))
    assert systems.row(Medicated).conflicts == ()

    systems.hears(an_allergy(revision=3), a_prescription(revision=3))

    assert systems.conflicts() == [("a1", "m1")] * 2


@pytest.mark.parametrize(
    ("status", "stands"),
    {
        "active": True,
        "on-hold": True,
        "draft": True,
        "unknown": True,
        "cancelled": False,
        "completed": False,
        "entered-in-error": False,
        "stopped": False,
    }.items(),
)
def test_a_prescription_counts_while_it_may_be_given(systems: Systems, status: str, *, stands: bool) -> None:
    systems.hears(an_allergy(), a_prescription(status=status))

    assert bool(systems.conflicts()) == stands


def test_a_prescription_that_forbids_a_medication_is_none(systems: Systems) -> None:
    systems.hears(an_allergy(), a_prescription(doNotPerform=True))
    assert systems.conflicts() == []

    systems.hears(a_prescription(revision=2, doNotPerform=False))

    assert systems.conflicts() == [("a1", "m1")]


@pytest.mark.parametrize(
    ("fields", "stands"),
    [
        ({"clinicalStatus": None}, True),
        ({"clinicalStatus": {"text": "Active"}}, True),
        ({"verificationStatus": {"coding": [{"code": "unconfirmed"}]}}, True),
        ({"clinicalStatus": {"coding": [{"code": "inactive"}]}}, False),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
        ({"clinicalStatus": None, "verificationStatus": {"coding": [{"code": "entered-in-error"}]}}, False),
        (
            {"clinicalStatus": {"coding": [{"system": "https://hospital.example", "code": "x"}, {"code": "inactive"}]}},
            False,
        ),
    ],
    ids=str,
)
def test_an_allergy_counts_unless_it_is_over_or_refuted(
    systems: Systems, fields: dict[str, Any], *, stands: bool
) -> None:
    systems.hears(an_allergy(**fields), a_prescription())

    assert bool(systems.conflicts()) == stands


@pytest.mark.parametrize(
    ("contained", "meant", "they_meet"),
    [
        ([{"id": "med", "code": concept(AMOXICILLIN)}], "#med", True),
        ([{"id": "med", "ingredient": ["M01AE01", AMOXICILLIN]}], "#med", True),
        ([{"id": "med", "code": concept(IBUPROFEN), "ingredient": [AMOXICILLIN]}], "#med", True),
        ([{"id": "med", "code": concept(IBUPROFEN)}], "#med", False),
        ([{"id": "other", "code": concept(AMOXICILLIN)}, {"id": "med", "code": concept(IBUPROFEN)}], "#med", False),
        ([{"id": "med", "code": concept(AMOXICILLIN)}], "Medication/med", False),
    ],
    ids=["code", "ingredient", "ingredient beside a code", "none", "another one's", "not the contained one"],
)
def test_a_contained_medication_counts_by_its_code_and_by_its_ingredients(
    systems: Systems, contained: list[dict[str, Any]], meant: str, *, they_meet: bool
) -> None:
    medications = [
        {"resourceType": "Medication", **each}
        | {"ingredient": [{"itemCodeableConcept": concept(code)} for code in each.get("ingredient", [IBUPROFEN])]}
        for each in contained
    ]
    by_reference = {"reference": meant}
    systems.hears(
        an_allergy(),
        a_prescription(contained=medications, medicationCodeableConcept=None, medicationReference=by_reference),
    )

    assert bool(systems.conflicts()) == they_meet


# What is only referred to is not known here: that is for who asks a terminology server, or the pharmacy's own stock.
def test_a_medication_that_is_only_referred_to_meets_nothing_and_is_kept(systems: Systems) -> None:
    elsewhere = {"reference": "Medication/amoxicillin", "display": "Amoxicillin"}
    systems.hears(an_allergy(), a_prescription(medicationCodeableConcept=None, medicationReference=elsewhere))

    assert systems.conflicts() == []
    assert systems.row(Medicated).value("prescription/m1") == {"stands": True, "codes": [], "words": ""}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0), (0, 2, 1), (1, 2, 0)], ids=str)
def test_what_stands_in_two_records_of_one_person_meets_whichever_comes_last(
    systems: Systems, order: tuple[int, ...]
) -> None:
    events: list[Told] = [an_allergy("ada"), a_prescription("augusta"), merged("augusta", "ada")]

    systems.hears(*(events[place] for place in order))

    (conflict,) = systems.found(AllergyConflictFound)
    assert (conflict.patient_id, conflict.allergy_patient_id) == ("augusta", "ada")


@pytest.mark.parametrize("allergic", ["augusta", "byron", "ada"])
@pytest.mark.parametrize("prescribed", ["augusta", "byron", "ada"])
def test_what_stands_anywhere_in_a_chain_of_records_meets(systems: Systems, allergic: str, prescribed: str) -> None:
    systems.hears(merged("augusta", "byron"), merged("byron", "ada"), an_allergy(allergic), a_prescription(prescribed))

    assert systems.conflicts() == [("a1", "m1")]


@pytest.mark.parametrize("allergic", ["ada", "augusta"])
def test_records_that_are_given_up_for_each_other_are_one_persons(systems: Systems, allergic: str) -> None:
    systems.hears(merged("augusta", "ada"), merged("ada", "augusta"), a_prescription("ada"), an_allergy(allergic))
    assert systems.conflicts() == [("a1", "m1")]

    systems.hears(unmerged("ada"), unmerged("augusta"))

    assert [systems.row(Medicated, patient).replaces for patient in ("ada", "augusta")] == [(), ()]
    assert bool(systems.row(Medicated).conflicts) == (allergic == "ada")


def test_records_that_are_parted_meet_no_longer_and_are_told_again_once_they_are_merged_again(systems: Systems) -> None:
    systems.hears(an_allergy("ada"), a_prescription("augusta"), merged("augusta", "ada"))

    systems.hears(unmerged("augusta"), a_prescription("augusta", key="m2"), an_allergy("ada", key="a2"))
    assert systems.conflicts() == [("a1", "m1")]
    assert systems.row(Medicated, "augusta").conflicts == ()

    systems.hears(merged("augusta", "ada", revision=4))
    assert sorted(systems.conflicts()) == [("a1", "m1"), ("a1", "m1"), ("a1", "m2"), ("a2", "m1"), ("a2", "m2")]


def test_what_was_never_told_is_told_when_records_are_parted(systems: Systems) -> None:
    systems.hears(merged("augusta", "ada"), an_allergy("augusta"), a_prescription("augusta"))
    untold = systems.row(Medicated, "augusta").evolve(conflicts=())
    systems.world.put(untold, version=100)

    systems.hears(unmerged("augusta"))

    assert systems.conflicts() == [("a1", "m1")] * 2


def test_a_record_that_is_given_up_for_another_than_before_leaves_the_first_one(systems: Systems) -> None:
    systems.hears(a_prescription("augusta"), an_allergy("ada"), an_allergy("byron", key="a2"))

    systems.hears(merged("augusta", "ada"), merged("augusta", "byron", revision=3))

    assert systems.conflicts() == [("a1", "m1"), ("a2", "m1")]
    assert systems.row(Medicated, "augusta").conflicts == ("m1 byron/a2",)


# Guards: all records of a person are written, so that two who write at once do not miss each other.
@pytest.mark.parametrize("links", [1, 2], ids=["merged", "merged in a chain"])
@pytest.mark.parametrize("first", [0, 1], ids=["the allergy commits first", "the prescription commits first"])
def test_an_allergy_and_a_prescription_in_two_records_that_are_handled_at_once_meet(
    systems: Systems, links: int, first: int
) -> None:
    systems.hears(*[merged("augusta", "byron"), merged("byron", "ada")][-links:])
    given_up = ["byron", "augusta"][links - 1]
    both = [pharmacy(systems, an_allergy("ada")), pharmacy(systems, a_prescription(given_up))]

    faults.meanwhile("TransactWriteItems", lambda: systems.delivers(both[first]))
    systems.delivers(both[1 - first])

    assert systems.conflicts() == [("a1", "m1")]


def test_a_merge_and_an_allergy_that_are_handled_at_once_meet(systems: Systems) -> None:
    systems.hears(a_prescription("augusta"))
    (merging,) = systems.records(merged("augusta", "ada"))
    allergy = pharmacy(systems, an_allergy("ada"))

    faults.meanwhile("TransactWriteItems", lambda: systems.delivers(allergy))
    systems.delivers(*systems.deliveries(merging))

    assert systems.conflicts() == [("a1", "m1")]


# 500 prescriptions, of which this many are of what is not borne.
@pytest.mark.parametrize("many", [50, 120])
def test_an_allergy_that_meets_very_many_prescriptions_is_known_and_told_in_portions(
    systems: Systems, many: int
) -> None:
    prescribed = a_prescription().resource
    facts = {
        f"prescription/m{number}": Fact(value=value, revision=1, event=f"{number:036}")
        for number in range(500)
        for value in Medicated.share(prescribed if number < many else a_prescription(code=IBUPROFEN).resource).values()
    }
    systems.world.put(Medicated(patient_id="ada", facts=facts))

    systems.hears(an_allergy())
    assert systems.row(Medicated).value("allergy/a1")["stands"]
    assert len(systems.conflicts()) == min(many, 50)

    for revision in range(1, 4):
        systems.hears(a_patient(revision=revision))
    assert len(systems.conflicts()) == len(set(systems.conflicts())) == many


def term(code: str) -> str:
    return code if "|" in code else f"{ATC}|{code}"


def pharmacy(systems: Systems, event: PatientRecordUpdated) -> Delivery:
    """An event, recorded, on its way to the pharmacy alone."""
    (envelope,) = systems.records(event)
    return sync_pharmacy, envelope  # type: ignore[return-value]
