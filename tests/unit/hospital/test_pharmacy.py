"""The pharmacy: each conflict of a prescription with an allergy is reported once, in any order of arrival."""

from typing import Any

import pytest

from events.patients import AllergyConflictFound, PatientRecordUpdated
from functions.patients.facts import Fact
from functions.patients.medication import conflict
from functions.patients.pharmacy import PharmacyRecord, sync_pharmacy
from functions.patients.record import RecordEvent
from tests.unit import faults
from tests.unit.hospital.records import (
    AMOXICILLIN,
    ATC,
    IBUPROFEN,
    PENICILLINS,
    RXNORM,
    SNOMED,
    a_patient,
    a_prescription,
    an_allergy,
    concept,
    merged,
    unmerged,
)
from tests.unit.hospital.systems import Delivery, Systems
from tests.unit.world import World

# The prescribed code, the code of the allergy, and whether they conflict. Codes without a code system are ATC codes.
CODES = {
    "the same substance": (AMOXICILLIN, AMOXICILLIN, True),
    "a substance and its group": (AMOXICILLIN, PENICILLINS, True),
    "a substance and the whole anatomical group": (AMOXICILLIN, "J", True),
    "a substance and another group": (IBUPROFEN, PENICILLINS, False),
    # A prescribed group may be any of its substances, so the allergen need not be among them: it is unchecked.
    "a group and a substance of it": (PENICILLINS, AMOXICILLIN, False),
    "a group and itself": (PENICILLINS, PENICILLINS, True),
    "two substances of a group": ("J01CA01", AMOXICILLIN, False),
    "the same code of another system": (f"{RXNORM}|723", f"{RXNORM}|723", True),
    "a code with the same beginning, in a system without groups": (f"{RXNORM}|7234", f"{RXNORM}|723", False),
    "the same code of two systems": (f"{RXNORM}|723", f"{SNOMED}|723", False),
    "a code of a system whose name begins like ATC's": (f"{ATC}-veterinary|{AMOXICILLIN}", PENICILLINS, False),
}


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


@pytest.mark.parametrize(("prescribed", "allergen", "conflicts"), CODES.values(), ids=CODES)
def test_a_prescription_conflicts_with_an_allergy_by_code_or_by_group(
    prescribed: str, allergen: str, *, conflicts: bool
) -> None:
    assert conflict([f"{SNOMED}|1", term(prescribed)], [f"{SNOMED}|2", term(allergen)]) == conflicts


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["allergy first", "prescription first"])
def test_a_conflict_is_reported_with_both_resources(systems: Systems, order: tuple[int, int]) -> None:
    events = an_allergy(), a_prescription()

    systems.receives(*(events[place] for place in order))

    assert systems.found(AllergyConflictFound) == [
        AllergyConflictFound(
            patient_id="ada",
            prescription_id="m1",
            prescribed="the drug",
            allergy_patient_id="ada",
            allergy_id="a1",
            substance="the allergen",
            criticality="high",
        )
    ]


def test_a_conflict_is_reported_once_for_any_number_of_updates(systems: Systems) -> None:
    systems.receives(an_allergy(), a_prescription(), a_patient())

    systems.receives(an_allergy(revision=2, criticality="low"), a_prescription(revision=2, status="on-hold"))
    systems.receives(a_patient(revision=2, deceasedBoolean=True))

    assert systems.conflicts() == [("a1", "m1")]


def test_two_allergies_and_two_prescriptions_are_four_conflicts(systems: Systems) -> None:
    systems.receives(an_allergy(), an_allergy(key="a2", code=AMOXICILLIN), a_prescription(), a_prescription(key="m2"))

    assert sorted(systems.conflicts()) == [("a1", "m1"), ("a1", "m2"), ("a2", "m1"), ("a2", "m2")]


@pytest.mark.parametrize(
    "ended",
    [
        lambda revision: a_prescription(revision=revision, status="stopped"),
        lambda revision: a_prescription(revision=revision, code=IBUPROFEN),
        lambda revision: an_allergy(revision=revision, clinicalStatus={"coding": [{"code": "resolved"}]}),
        lambda revision: an_allergy(revision=revision, code=IBUPROFEN),
    ],
    ids=["stopped", "another drug", "resolved", "another allergen"],
)
def test_a_conflict_that_ended_is_reported_again_when_it_returns(systems: Systems, ended: Any) -> None:
    systems.receives(an_allergy(), a_prescription(), ended(2))
    assert systems.row(PharmacyRecord).conflicts == ()

    systems.receives(an_allergy(revision=3), a_prescription(revision=3))

    assert systems.conflicts() == [("a1", "m1")] * 2


@pytest.mark.parametrize(
    ("status", "active"),
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
def test_a_prescription_conflicts_while_the_patient_may_get_it(systems: Systems, status: str, *, active: bool) -> None:
    systems.receives(an_allergy(), a_prescription(status=status))

    assert bool(systems.conflicts()) == active


def test_a_prescription_with_do_not_perform_does_not_conflict(systems: Systems) -> None:
    systems.receives(an_allergy(), a_prescription(doNotPerform=True))
    assert systems.conflicts() == []

    systems.receives(a_prescription(revision=2, doNotPerform=False))

    assert systems.conflicts() == [("a1", "m1")]


@pytest.mark.parametrize(
    ("fields", "active"),
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
def test_an_allergy_conflicts_unless_it_has_ended_or_was_refuted(
    systems: Systems, fields: dict[str, Any], *, active: bool
) -> None:
    systems.receives(an_allergy(**fields), a_prescription())

    assert bool(systems.conflicts()) == active


@pytest.mark.parametrize(
    ("contained", "path", "conflicts"),
    [
        ([{"id": "med", "code": concept(AMOXICILLIN)}], "#med", True),
        ([{"id": "med", "ingredient": ["M01AE01", AMOXICILLIN]}], "#med", True),
        ([{"id": "med", "code": concept(IBUPROFEN), "ingredient": [AMOXICILLIN]}], "#med", True),
        ([{"id": "med", "code": concept(IBUPROFEN)}], "#med", False),
        ([{"id": "other", "code": concept(AMOXICILLIN)}, {"id": "med", "code": concept(IBUPROFEN)}], "#med", False),
        ([{"id": "med", "code": concept(AMOXICILLIN)}], "Medication/med", False),
    ],
    ids=["code", "ingredient", "code and ingredient", "no conflict", "another medication", "not contained"],
)
def test_a_contained_medication_conflicts_by_its_code_or_its_ingredients(
    systems: Systems, contained: list[dict[str, Any]], path: str, *, conflicts: bool
) -> None:
    medications = [
        {"resourceType": "Medication", **each}
        | {"ingredient": [{"itemCodeableConcept": concept(code)} for code in each.get("ingredient", [IBUPROFEN])]}
        for each in contained
    ]
    by_reference = {"reference": path}
    systems.receives(
        an_allergy(),
        a_prescription(contained=medications, medicationCodeableConcept=None, medicationReference=by_reference),
    )

    assert bool(systems.conflicts()) == conflicts


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0), (0, 2, 1), (1, 2, 0)], ids=str)
def test_two_records_of_one_person_conflict_in_any_order_of_arrival(systems: Systems, order: tuple[int, ...]) -> None:
    events: list[RecordEvent] = [an_allergy("ada"), a_prescription("augusta"), merged("augusta", "ada")]

    systems.receives(*(events[place] for place in order))

    (conflict,) = systems.found(AllergyConflictFound)
    assert (conflict.patient_id, conflict.allergy_patient_id) == ("augusta", "ada")


@pytest.mark.parametrize("allergic", ["augusta", "byron", "ada"])
@pytest.mark.parametrize("prescribed", ["augusta", "byron", "ada"])
def test_any_two_records_in_a_chain_of_merges_conflict(systems: Systems, allergic: str, prescribed: str) -> None:
    systems.receives(
        merged("augusta", "byron"), merged("byron", "ada"), an_allergy(allergic), a_prescription(prescribed)
    )

    assert systems.conflicts() == [("a1", "m1")]


@pytest.mark.parametrize("allergic", ["ada", "augusta"])
def test_two_records_that_replace_each_other_are_one_persons(systems: Systems, allergic: str) -> None:
    systems.receives(merged("augusta", "ada"), merged("ada", "augusta"), a_prescription("ada"), an_allergy(allergic))
    assert systems.conflicts() == [("a1", "m1")]

    systems.receives(unmerged("ada"), unmerged("augusta"))

    assert [systems.row(PharmacyRecord, patient).replaces for patient in ("ada", "augusta")] == [(), ()]
    assert bool(systems.row(PharmacyRecord).conflicts) == (allergic == "ada")


def test_an_unmerge_ends_conflicts_and_a_new_merge_reports_them_again(systems: Systems) -> None:
    systems.receives(an_allergy("ada"), a_prescription("augusta"), merged("augusta", "ada"))

    systems.receives(unmerged("augusta"), a_prescription("augusta", key="m2"), an_allergy("ada", key="a2"))
    assert systems.conflicts() == [("a1", "m1")]
    assert systems.row(PharmacyRecord, "augusta").conflicts == ()

    systems.receives(merged("augusta", "ada", revision=4))
    assert sorted(systems.conflicts()) == [("a1", "m1"), ("a1", "m1"), ("a1", "m2"), ("a2", "m1"), ("a2", "m2")]


def test_an_unmerge_reports_a_conflict_that_was_never_reported(systems: Systems) -> None:
    systems.receives(merged("augusta", "ada"), an_allergy("augusta"), a_prescription("augusta"))
    unreported = systems.row(PharmacyRecord, "augusta").evolve(conflicts=())
    systems.put(unreported)

    systems.receives(unmerged("augusta"))

    assert systems.conflicts() == [("a1", "m1")] * 2


def test_a_merge_into_another_record_ends_the_conflicts_with_the_first_one(systems: Systems) -> None:
    systems.receives(a_prescription("augusta"), an_allergy("ada"), an_allergy("byron", key="a2"))

    systems.receives(merged("augusta", "ada"), merged("augusta", "byron", revision=3))

    assert systems.conflicts() == [("a1", "m1"), ("a2", "m1")]
    assert systems.row(PharmacyRecord, "augusta").conflicts == ("m1 byron/a2",)


# Guards: all records of a person are saved, so that two updates at the same time do not miss a conflict.
@pytest.mark.parametrize("links", [1, 2], ids=["merged", "merged in a chain"])
@pytest.mark.parametrize("first", [0, 1], ids=["the allergy commits first", "the prescription commits first"])
def test_an_allergy_and_a_prescription_in_two_records_at_the_same_time_conflict(
    systems: Systems, links: int, first: int
) -> None:
    systems.receives(*[merged("augusta", "byron"), merged("byron", "ada")][-links:])
    replaced = ["byron", "augusta"][links - 1]
    both = [pharmacy(systems, an_allergy("ada")), pharmacy(systems, a_prescription(replaced))]

    faults.meanwhile("TransactWriteItems", lambda: systems.deliver(both[first]))
    systems.deliver(both[1 - first])

    assert systems.conflicts() == [("a1", "m1")]


def test_a_merge_and_an_allergy_at_the_same_time_conflict(systems: Systems) -> None:
    systems.receives(a_prescription("augusta"))
    (merge,) = systems.record(merged("augusta", "ada"))
    allergy = pharmacy(systems, an_allergy("ada"))

    faults.meanwhile("TransactWriteItems", lambda: systems.deliver(allergy))
    systems.deliver(*systems.deliveries(merge))

    assert systems.conflicts() == [("a1", "m1")]


# 500 prescriptions, of which `many` conflict.
@pytest.mark.parametrize("many", [50, 120])
def test_very_many_conflicts_of_one_allergy_are_reported_in_portions(systems: Systems, many: int) -> None:
    prescribed = a_prescription().resource
    facts = {
        f"prescription/m{number}": Fact(value=value, revision=1, event=f"{number:036}")
        for number in range(500)
        for value in PharmacyRecord.values_from(
            prescribed if number < many else a_prescription(code=IBUPROFEN).resource
        ).values()
    }
    systems.put(PharmacyRecord(patient_id="ada").with_facts(facts))

    systems.receives(an_allergy())
    assert systems.row(PharmacyRecord).value("allergy/a1")["active"]
    assert len(systems.conflicts()) == min(many, 50)

    for revision in range(1, 4):
        systems.receives(a_patient(revision=revision))
    assert len(systems.conflicts()) == len(set(systems.conflicts())) == many


def term(code: str) -> str:
    return code if "|" in code else f"{ATC}|{code}"


def pharmacy(systems: Systems, event: PatientRecordUpdated) -> Delivery:
    """Record an event. Returns its delivery to the pharmacy only."""
    (envelope,) = systems.record(event)
    return sync_pharmacy, envelope  # type: ignore[return-value]
