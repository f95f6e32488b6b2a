"""No row grows with all resources of a patient's life: each resource has a row, and a row that is full is reported."""

import pytest

from daybook.store.attributes import item_size
from daybook.store.limits import ITEM_BYTES
from events.patients import PatientRecordUpdated
from functions.patients.facts import Fact
from functions.patients.pharmacy import PharmacyRecord, sync_pharmacy
from functions.patients.record import Record
from tests.unit.builders import from_the_bus
from tests.unit.hospital.records import a_coverage, a_prescription, a_stay, an_allergy, update
from tests.unit.hospital.systems import SYSTEMS, Systems
from tests.unit.world import World

CODINGS = [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": f"{1_000_000 + n}"} for n in range(15)]


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


def test_a_patient_with_430_prescriptions_of_15_codes_gets_another_one(systems: Systems) -> None:
    has_prescriptions(systems, 430)

    allergy = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": {"reference": "Patient/ada"}}
    systems.receives(prescription(430), update(allergy | {"code": {"coding": CODINGS[-1:]}}))

    record = systems.row(PharmacyRecord)
    assert len(record.resources("prescription")) == 431
    assert len(systems.conflicts()) == 50
    own, *resources = (item_size(row.to_item(1)) for row in record.rows())
    assert max(resources) < 2_000
    assert own < 35_000


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.__name__)
def test_a_resource_that_has_ended_leaves_nothing_in_the_record_row(systems: Systems, system: type[Record]) -> None:
    ended = [
        an_allergy(revision=2, clinicalStatus={"coding": [{"code": "resolved"}]}),
        a_prescription(revision=2, status="completed"),
        a_coverage(revision=2, status="cancelled"),
        a_stay(revision=2, status="finished"),
    ]
    systems.receives(an_allergy(), a_prescription(), a_coverage(), a_stay())

    systems.receives(*ended)

    row = systems.world.row(system, "ada")
    assert row is not None
    assert (row.facts, row.current) == ({}, ())
    assert systems.row(system).facts


def test_an_older_revision_of_a_resource_that_has_ended_does_not_start_it_again(systems: Systems) -> None:
    newer, older = systems.record(a_prescription(revision=2, status="completed"), a_prescription())

    systems.deliver(*systems.deliveries(newer), *systems.deliveries(older))
    systems.receives(an_allergy())

    assert systems.conflicts() == []


def test_a_full_row_is_a_dead_letter_that_names_the_row_its_size_and_the_limit(systems: Systems) -> None:
    almost_full = Fact(value="x" * (ITEM_BYTES - 150), revision=1, event="by hand")
    systems.world.put(PharmacyRecord(patient_id="ada", facts={"names": almost_full}))
    (envelope,) = systems.record(a_prescription(key="m" * 64))

    systems.world.deliver(sync_pharmacy, from_the_bus(envelope))

    (dead_letter,) = systems.world.dead_letters()
    assert dead_letter.error == "RowTooLarge"
    reason = dead_letter.attributes["reason"]
    assert reason.startswith("sync-pharmacy saves a PharmacyRecord of 4096")
    assert f"a row has at most {ITEM_BYTES} bytes" in reason


def prescription(number: int) -> PatientRecordUpdated:
    """An active prescription with 15 codes."""
    return a_prescription(key=f"m{number:036d}", medicationCodeableConcept={"coding": CODINGS})


def has_prescriptions(systems: Systems, count: int) -> None:
    """The pharmacy has this many active prescriptions of a patient."""
    facts = {
        name: Fact(value=value, revision=1, event=f"{number:036d}")
        for number in range(count)
        for name, value in PharmacyRecord.values_of(prescription(number)).items()
    }
    systems.put(PharmacyRecord(patient_id="ada").with_facts(facts))
