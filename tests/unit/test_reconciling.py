"""Each system is held against the store; what was damaged is told by name, and mended."""

from typing import Any

import pytest

from daybook.store.state import State
from events.patients import RecordDivergenceFound
from functions.patients.billing import Billed
from functions.patients.facts import Fact
from functions.patients.index import Indexed, Numbered
from functions.patients.pharmacy import Medicated
from functions.patients.reconcile_records import SYSTEMS as CONSUMERS
from functions.patients.record import Record
from tests.unit.records import MRN, a_coverage, a_patient, a_prescription, a_stay, an_allergy, merged, unmerged
from tests.unit.systems import CONSUMERS as HANDLERS
from tests.unit.systems import SYSTEMS, Systems
from tests.unit.world import World

NAMES: dict[type[Record], str] = {Indexed: "index", Medicated: "pharmacy", Billed: "billing"}


@pytest.fixture
def systems(world: World) -> Systems:
    systems = Systems(world)
    systems.hears(
        a_patient(), a_patient(revision=2), an_allergy(), a_prescription(), a_coverage(), a_stay(), a_patient("augusta")
    )
    return systems


def test_where_all_agree_nothing_is_found_and_nothing_written(systems: Systems) -> None:
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
def test_what_was_damaged_by_hand_is_told_and_mended(systems: Systems, system: type[Record], damage: Any) -> None:
    right = systems.row(system)
    damages(systems, damage(right))

    assert systems.reconciles() == [found(NAMES[system], "names")]

    assert systems.row(system) == right
    assert systems.reconciles() == []


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_a_row_that_is_gone_is_made_again(systems: Systems, system: type[Record]) -> None:
    right = systems.row(system)
    systems.world.clear(system.table)

    (finding,) = systems.reconciles()

    assert finding == found(NAMES[system], *sorted(right.facts))
    assert systems.row(system) == right


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_what_nobody_has_ever_said_is_taken_away(systems: Systems, system: type[Record]) -> None:
    right = systems.row(system)
    damages(systems, right.with_facts({**right.facts, "blood": Fact(value="A", revision=1, event="by hand")}))

    assert systems.reconciles() == [found(NAMES[system], "blood")]

    assert systems.row(system) == right


# Guards: what is still on the way is no divergence.
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_what_has_not_reached_a_system_yet_is_no_divergence(systems: Systems, system: type[Record]) -> None:
    (update,) = systems.records(a_patient(revision=3, name=[{"family": "King"}]))

    assert systems.reconciles() == []

    systems.delivers(*systems.deliveries(update))
    assert systems.row(system).value("names") == [{"family": "King"}]


def test_several_systems_are_each_told_of(systems: Systems) -> None:
    systems.world.clear("pharmacy-records", "billing-records")

    assert {finding.system for finding in systems.reconciles()} == {"pharmacy", "billing"}


def test_hints_that_are_gone_are_left_again(systems: Systems) -> None:
    systems.world.clear("patient-terms", "patient-identifiers")

    assert systems.reconciles() == [found("index", "hints")]

    assert systems.terms() == ["born:1815-12-10", "name:ada", "name:lovelace", "number:4711", "ward:ICU-2"]
    assert systems.world.row(Numbered, f"{MRN}|4711") == Numbered(number=f"{MRN}|4711", patients=("ada",))


def test_an_allergy_that_was_damaged_away_is_found_to_meet_what_was_prescribed_meanwhile(systems: Systems) -> None:
    row = systems.row(Medicated)
    damages(systems, row.with_facts({name: fact for name, fact in row.facts.items() if name != "allergy/a1"}))
    systems.hears(a_prescription(key="m2"))
    assert systems.conflicts() == [("a1", "m1")]

    systems.reconciles()

    # The first one had ended with the allergy, and has come back with it.
    assert systems.conflicts() == [("a1", "m1"), ("a1", "m1"), ("a1", "m2")]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
@pytest.mark.parametrize("asked", ["ada", "augusta"])
def test_a_merge_that_one_side_has_lost_is_mended_from_either(
    systems: Systems, system: type[Record], asked: str
) -> None:
    systems.hears(merged("augusta", "ada"))
    right = [systems.row(system, patient) for patient in ("ada", "augusta")]
    damages(systems, right[0].replacing([]))

    assert systems.reconciles(asked) == [found(NAMES[system], "replaces")]

    assert [systems.row(system, patient) for patient in ("ada", "augusta")] == right


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: NAMES[system])
def test_a_merge_that_never_was_is_taken_away(systems: Systems, system: type[Record]) -> None:
    systems.hears(merged("augusta", "ada"), unmerged("augusta"))
    right = systems.row(system)
    damages(systems, right.replacing(["augusta", "nobody"]))

    assert systems.reconciles() == [found(NAMES[system], "replaces")]

    assert systems.row(system) == right


def test_a_merge_that_is_still_on_the_way_is_no_divergence(systems: Systems) -> None:
    systems.records(merged("augusta", "ada"))

    assert systems.reconciles("ada") == systems.reconciles("augusta") == []


def test_a_patient_whom_nobody_knows_has_nothing_to_reconcile(systems: Systems) -> None:
    assert systems.reconciles("nobody") == []


def test_the_functions_that_it_asks_the_ledger_about_are_those_that_keep_the_rows() -> None:
    named = {name for _, consumers in CONSUMERS.values() for name in consumers.values()}

    assert named == {handler.name for handler in HANDLERS}


def damages(systems: Systems, row: State) -> None:
    systems.world.put(row, version=100)


def found(system: str, *fields: str) -> RecordDivergenceFound:
    return RecordDivergenceFound(patient_id="ada", system=system, fields=fields)
