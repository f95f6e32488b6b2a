"""Reconciliation compares each system with the event store, reports damaged facts by name, and corrects them."""

from typing import Any

import pytest

from events.patients import ReconciliationRequested, RecordDivergenceFound
from functions.patients.billing import BillingRecord
from functions.patients.facts import Fact
from functions.patients.index import IndexRecord, NumberHolders
from functions.patients.pharmacy import PharmacyRecord, PharmacyResource
from functions.patients.reconcile_records import SYSTEMS as CONSUMERS
from functions.patients.record import Record
from tests.unit.hospital.records import MRN, a_coverage, a_patient, a_prescription, a_stay, an_allergy, merged, unmerged
from tests.unit.hospital.systems import CONSUMERS as HANDLERS
from tests.unit.hospital.systems import SYSTEMS, Systems
from tests.unit.world import World

NAMES: dict[type[Record], str] = {IndexRecord: "index", PharmacyRecord: "pharmacy", BillingRecord: "billing"}


@pytest.fixture
def systems(world: World) -> Systems:
    systems = Systems(world)
    systems.receives(
        a_patient(), a_patient(revision=2), an_allergy(), a_prescription(), a_coverage(), a_stay(), a_patient("augusta")
    )
    return systems


def test_correct_rows_are_not_reported_and_not_written(systems: Systems) -> None:
    before = systems.world.items("patient-index")

    assert systems.reconciles() == []

    assert systems.world.items("patient-index") == before


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row.with_facts({**row.facts, "names": Fact(value=None, revision=2, event="by hand")}),
        lambda row: row.with_facts({**row.facts, "names": row.facts["names"].model_copy(update={"value": []})}),
        lambda row: row.with_facts({name: fact for name, fact in row.facts.items() if name != "names"}),
        lambda row: row.with_facts({**row.facts, "names": Fact(value=[{"family": "X"}], revision=9, event="by hand")}),
    ],
    ids=["overwritten", "changed", "lost", "from the future"],
)
def test_a_damaged_fact_is_reported_and_corrected(systems: Systems, system: type[Record], damage: Any) -> None:
    right = systems.row(system)
    damages(systems, damage(right))

    assert systems.reconciles() == [found(NAMES[system], "names")]

    assert systems.row(system) == right
    assert systems.reconciles() == []


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_a_deleted_row_is_restored(systems: Systems, system: type[Record]) -> None:
    right = systems.row(system)
    systems.lose(system)

    (finding,) = systems.reconciles()

    assert finding == found(NAMES[system], *sorted(right.facts))
    assert systems.row(system) == right


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_a_fact_that_no_event_has_set_is_removed(systems: Systems, system: type[Record]) -> None:
    right = systems.row(system)
    damages(systems, right.with_facts({**right.facts, "blood": Fact(value="A", revision=1, event="by hand")}))

    assert systems.reconciles() == [found(NAMES[system], "blood")]

    assert systems.row(system) == right


@pytest.mark.parametrize(
    ("system", "name"),
    [(IndexRecord, "encounter/e1"), (PharmacyRecord, "allergy/a1"), (BillingRecord, "coverage/c1")],
    ids=str,
)
def test_a_lost_resource_is_restored(systems: Systems, system: type[Record], name: str) -> None:
    right = systems.row(system)
    systems.world.delete(system.resource_rows, f"ada/{name}")

    (finding,) = systems.reconciles()

    assert set(finding.fields) - {"current"} == {name}
    assert systems.row(system) == right


def test_a_resource_that_is_missing_among_the_current_ones_is_found(systems: Systems) -> None:
    right = systems.row(PharmacyRecord)
    systems.world.put(right.evolve(facts={}, current=()), version=100)

    (finding,) = systems.reconciles()

    assert finding.fields[-1] == "current"
    assert systems.row(PharmacyRecord) == right


def test_many_lost_resources_are_restored_by_several_requests(systems: Systems) -> None:
    systems.receives(*(a_coverage(key=f"c{number}") for number in range(2, 24)))
    right = systems.row(BillingRecord)
    systems.lose(BillingRecord)

    (finding,) = systems.reconciles()

    assert len([name for name in finding.fields if name.startswith("coverage/")]) == 20
    assert len(systems.found(ReconciliationRequested)) == 2
    systems.reconciles()
    assert systems.row(BillingRecord) == right
    assert len(systems.found(ReconciliationRequested)) == 3


# Guards: an event that is still being processed is not a divergence.
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_an_event_that_has_not_reached_a_system_is_not_a_divergence(systems: Systems, system: type[Record]) -> None:
    (update,) = systems.record(a_patient(revision=3, name=[{"family": "King"}]))

    assert systems.reconciles() == []

    systems.deliver(*systems.deliveries(update))
    assert systems.row(system).value("names") == [{"family": "King"}]


def test_each_damaged_system_is_reported(systems: Systems) -> None:
    systems.lose(PharmacyRecord)
    systems.lose(BillingRecord)

    assert {finding.system for finding in systems.reconciles()} == {"pharmacy", "billing"}


def test_deleted_hints_are_restored(systems: Systems) -> None:
    systems.world.clear("patient-terms", "patient-identifiers")

    assert systems.reconciles() == [found("index", "hints")]

    assert systems.terms() == ["born:1815-12-10", "name:ada", "name:lovelace", "number:4711", "ward:ICU-2"]
    assert systems.world.row(NumberHolders, f"{MRN}|4711") == NumberHolders(number=f"{MRN}|4711", patients=("ada",))


def test_a_restored_allergy_conflicts_with_prescriptions_that_came_later(systems: Systems) -> None:
    row = systems.row(PharmacyRecord)
    damages(systems, row.with_facts({name: fact for name, fact in row.facts.items() if name != "allergy/a1"}))
    systems.world.delete(PharmacyResource, "ada/allergy/a1")
    systems.receives(a_prescription(key="m2"))
    assert systems.conflicts() == [("a1", "m1")]

    systems.reconciles()

    # The first conflict had ended when the allergy was lost, so it is reported again.
    assert systems.conflicts() == [("a1", "m1"), ("a1", "m1"), ("a1", "m2")]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
@pytest.mark.parametrize("patient", ["ada", "augusta"])
def test_a_lost_side_of_a_merge_is_restored_from_either_record(
    systems: Systems, system: type[Record], patient: str
) -> None:
    systems.receives(merged("augusta", "ada"))
    right = [systems.row(system, each) for each in ("ada", "augusta")]
    damages(systems, right[0].replacing([]))

    assert systems.reconciles(patient) == [found(NAMES[system], "replaces")]

    assert [systems.row(system, each) for each in ("ada", "augusta")] == right


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_a_link_without_a_merge_is_removed(systems: Systems, system: type[Record]) -> None:
    systems.receives(merged("augusta", "ada"), unmerged("augusta"))
    right = systems.row(system)
    damages(systems, right.replacing(["augusta", "nobody"]))

    assert systems.reconciles() == [found(NAMES[system], "replaces")]

    assert systems.row(system) == right


def test_a_merge_that_is_still_being_processed_is_not_a_divergence(systems: Systems) -> None:
    systems.record(merged("augusta", "ada"))

    assert systems.reconciles("ada") == systems.reconciles("augusta") == []


def test_an_unknown_patient_has_no_divergence(systems: Systems) -> None:
    assert systems.reconciles("nobody") == []


def test_reconciliation_knows_the_consumers_that_write_the_rows() -> None:
    named = {name for _, consumers in CONSUMERS.values() for name in consumers.values()}

    assert named == {handler.name for handler in HANDLERS}


def damages(systems: Systems, record: Record) -> None:
    systems.put(record)


def found(system: str, *fields: str) -> RecordDivergenceFound:
    return RecordDivergenceFound(patient_id="ada", system=system, fields=fields)
