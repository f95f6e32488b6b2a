"""Three systems agree on every patient, whatever the order, number and delay of deliveries."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daybook.contracts.envelope import Envelope
from functions.patients.billing import Billed
from functions.patients.index import Indexed
from functions.patients.pharmacy import Medicated
from tests.unit.records import (
    MRN,
    a_coverage,
    a_patient,
    a_prescription,
    a_stay,
    an_allergy,
    merged,
    unmerged,
)
from tests.unit.systems import SYSTEMS, Systems, Told
from tests.unit.world import World

STORY: list[Told] = [
    a_patient(),
    a_patient(revision=2, name=[{"family": "King"}], address=[{"city": "London"}]),
    a_patient(revision=3, name=[{"family": "King"}], deceasedDateTime="1852-11-27"),
    a_patient(revision=4, name=[{"family": "Noel"}]),
    an_allergy(revision=1),
    an_allergy(revision=2, verificationStatus={"coding": [{"code": "refuted"}]}),
    a_prescription(revision=1),
    a_prescription(revision=2, status="stopped"),
    a_coverage(revision=1),
    a_coverage(revision=2, status="cancelled"),
    a_stay(revision=1),
    a_stay(revision=2, status="finished"),
    a_patient("augusta", identifier=[{"system": MRN, "value": "4712"}]),
    a_prescription("augusta", key="m2"),
    merged("augusta", "ada", revision=2),
    unmerged("augusta", revision=3),
    merged("augusta", "byron", revision=4),
    merged("byron", "ada", revision=1),
]
# What is told once and for all by chance of arrival: a conflict that was over before it was seen was never one.
CHANCE = {"conflicts"}


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


@given(data=st.data())
@hypothesis_settings(
    max_examples=hypothesis_settings().max_examples // 2,  # each is a long story, told twice
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_they_know_the_same_in_whatever_order_and_however_often_they_hear_of_it(
    systems: Systems, data: st.DataObject
) -> None:
    told = systems.deliveries(*stored(systems))
    systems.delivers(*told)
    straight = known(systems)
    systems.forgets()

    order = data.draw(st.permutations(range(len(told))))
    again = data.draw(st.lists(st.integers(0, len(told) - 1), max_size=20))
    systems.delivers(*(told[place] for place in [*order, *again]))

    assert known(systems) == straight
    for patient in ("ada", "augusta", "byron"):
        agree(systems, patient)
    systems.world.clear_store()
    systems.forgets()


def test_the_newest_revision_decides_though_it_comes_first(systems: Systems) -> None:
    newer, older = systems.records(a_patient(revision=2, birthDate="1815-12-10"), a_patient(birthDate="1815-01-01"))

    systems.delivers(*systems.deliveries(newer), *systems.deliveries(older))

    assert [each["birth_date"] for each in systems.values()] == ["1815-12-10"] * 3


def test_a_late_revision_still_says_what_no_newer_one_has_said(systems: Systems) -> None:
    died, moved = systems.records(a_patient(deceasedBoolean=True), a_patient(revision=2, address=[{"city": "London"}]))

    systems.delivers(*systems.deliveries(moved), *systems.deliveries(died))

    assert [each["deceased"] for each in systems.values()] == [True] * 3
    assert systems.row(Billed).value("addresses") == [{"city": "London"}]


def test_what_a_newer_revision_no_longer_says_is_no_longer_known(systems: Systems) -> None:
    systems.hears(a_patient(address=[{"city": "London"}]), a_patient(revision=2, identifier=None))

    assert systems.row(Billed).value("addresses") is None
    assert systems.row(Indexed).value("identifiers") is None


def test_whoever_has_died_stays_dead_when_the_record_is_updated(systems: Systems) -> None:
    systems.hears(a_patient(deceasedDateTime="1852-11-27"), a_patient(revision=2, name=[{"family": "King"}]))

    assert [each["deceased"] for each in systems.values()] == ["1852-11-27"] * 3
    assert [each["names"] for each in systems.values()] == [[{"family": "King"}]] * 3


def test_a_death_is_taken_back_by_another_word_on_it(systems: Systems) -> None:
    systems.hears(a_patient(deceasedBoolean=True), a_patient(revision=2, deceasedBoolean=False))

    assert [each["deceased"] for each in systems.values()] == [False] * 3


def test_two_sayings_of_one_revision_leave_the_same_whichever_comes_first(systems: Systems) -> None:
    told = systems.deliveries(*systems.records(a_patient(birthDate="1815-12-10"), a_patient(birthDate="1815-12-11")))
    systems.delivers(*told)
    straight = known(systems)
    systems.forgets()

    systems.delivers(*reversed(told))

    assert known(systems) == straight


def test_each_system_keeps_its_share_and_no_more(systems: Systems) -> None:
    systems.hears(a_patient(), an_allergy(), a_prescription(), a_coverage(), a_stay())

    common = {"names", "birth_date"}
    assert systems.row(Indexed).facts.keys() == common | {"identifiers", "gender", "encounter/e1"}
    assert systems.row(Medicated).facts.keys() == common | {"allergy/a1", "prescription/m1"}
    assert systems.row(Billed).facts.keys() == common | {"gender", "addresses", "coverage/c1"}


def test_records_that_are_merged_know_of_each_other_and_forget_when_they_are_parted(systems: Systems) -> None:
    systems.hears(a_patient("ada"), a_patient("augusta"), merged("augusta", "ada"))

    for system in SYSTEMS:
        assert systems.row(system, "augusta").replaced_by == "ada"
        assert systems.row(system, "ada").replaces == ("augusta",)

    systems.hears(unmerged("augusta"))

    for system in SYSTEMS:
        assert systems.row(system, "augusta").replaced_by is None
        assert systems.row(system, "ada").replaces == ()


def test_a_record_that_was_parted_has_all_it_had(systems: Systems) -> None:
    systems.hears(a_patient("ada"), a_patient("augusta", name=[{"family": "Leigh"}]), a_prescription("augusta"))
    before = systems.values("augusta")

    systems.hears(merged("augusta", "ada"), unmerged("augusta"))

    after = [{name: value for name, value in each.items() if name != "link"} for each in systems.values("augusta")]
    assert after == before


def test_a_merge_that_comes_after_its_parting_changes_nothing(systems: Systems) -> None:
    merging, parting = systems.records(merged("augusta", "ada", 2), unmerged("augusta", 3))

    systems.delivers(*systems.deliveries(parting), *systems.deliveries(merging))

    for system in SYSTEMS:
        assert systems.row(system, "augusta").replaced_by is None
        assert systems.row(system, "ada") is None


def test_one_system_that_is_down_delays_no_other_and_catches_up(systems: Systems) -> None:
    told = systems.deliveries(*stored(systems))
    systems.delivers(*told)
    straight = known(systems)
    systems.forgets()
    pharmacy = [each for each in told if each[0].name.startswith("sync-pharmacy")]

    systems.delivers(*(each for each in told if each not in pharmacy))

    assert systems.row(Indexed) is not None
    assert systems.row(Medicated) is None
    systems.delivers(*pharmacy)
    assert known(systems) == straight


def stored(systems: Systems) -> list[Envelope]:
    return systems.records(*STORY)


def known(systems: Systems) -> object:
    return {
        table: [{name: value for name, value in row.items() if name not in CHANCE} for row in rows]
        for table, rows in systems.tables().items()
        if table not in {"patient-identifiers", "patient-terms"}
    }


def agree(systems: Systems, patient: str) -> None:
    """What more than one of them knows, they know alike."""
    rows = [row for system in SYSTEMS if (row := systems.row(system, patient))]
    assert len({row.replaces for row in rows}) <= 1
    for name in {name for row in rows for name in row.facts}:
        assert len({row.facts[name].model_dump_json() for row in rows if name in row.facts}) == 1
