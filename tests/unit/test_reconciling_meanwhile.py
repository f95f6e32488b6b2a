"""Records are reconciled while events go on coming: what is newer is not overwritten, what is on the way not told."""

import pytest

from daybook.contracts import clock
from daybook.store.ledger import DEAD, Entry
from events.patients import RecordDivergenceFound
from functions.patients.index import Numbered
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus
from tests.unit.records import MRN, a_patient, a_prescription, an_allergy, merged, unmerged
from tests.unit.systems import SYSTEMS, Delivery, Systems, Told
from tests.unit.world import World

KING = [{"family": "King"}]
# Where in a reconciliation somebody else may act: before its so-manieth call of this operation.
Moment = tuple[str, int]
MOMENTS: list[Moment] = [("BatchGetItem", number) for number in range(4)]
MOMENTS += [("Query", 0), ("TransactWriteItems", 0)]

at_every_moment = pytest.mark.parametrize("moment", MOMENTS, ids=str)
# Billing is written as the index is; the pharmacy writes all records of a person.
by_a_system = pytest.mark.parametrize("system", ["index", "sync-pharmacy"])


@pytest.fixture
def systems(world: World) -> Systems:
    systems = Systems(world)
    systems.hears(a_patient(), an_allergy(), a_patient("augusta"), a_prescription("augusta"))
    return systems


# Guards: rows are read before the store.
@by_a_system
@at_every_moment
def test_what_is_handled_meanwhile_is_neither_overwritten_nor_told(
    systems: Systems, moment: Moment, system: str
) -> None:
    assert reconciles(systems, "ada", moment, a_patient(revision=2, name=KING), by=system) == []

    assert names(systems) == [KING] * 3
    assert systems.reconciles() == []


# Guards: the condition on which a mended row is written.
@by_a_system
@at_every_moment
def test_damage_is_mended_to_what_is_the_newest_by_then(systems: Systems, moment: Moment, system: str) -> None:
    for each in SYSTEMS:
        row = systems.row(each)
        wrong = row.facts["names"].model_copy(update={"value": [{"family": "Byron"}]})
        systems.world.put(row.with_facts({**row.facts, "names": wrong}), version=100)

    reconciles(systems, "ada", moment, a_patient(revision=2, name=KING), by=system)

    assert names(systems) == [KING] * 3
    assert systems.reconciles() == []


@by_a_system
@at_every_moment
@pytest.mark.parametrize("asked", ["ada", "augusta"])
def test_records_that_are_merged_meanwhile_stay_merged(
    systems: Systems, moment: Moment, system: str, asked: str
) -> None:
    assert reconciles(systems, asked, moment, merged("augusta", "ada"), by=system) == []

    assert links(systems) == [("ada", ("augusta",))] * 3


# Guards: a record is written along with the one that it is given up for.
@by_a_system
@at_every_moment
@pytest.mark.parametrize("asked", ["ada", "augusta"])
def test_records_that_are_parted_meanwhile_stay_parted(
    systems: Systems, moment: Moment, system: str, asked: str
) -> None:
    systems.hears(merged("augusta", "ada"))

    assert reconciles(systems, asked, moment, unmerged("augusta"), by=system) == []

    assert links(systems) == [(None, ())] * 3


@by_a_system
@at_every_moment
def test_a_link_that_was_damaged_is_not_mended_to_what_is_over_by_then(
    systems: Systems, moment: Moment, system: str
) -> None:
    systems.hears(merged("augusta", "ada"))
    for each in SYSTEMS:
        systems.world.put(systems.row(each, "ada").replacing([]), version=100)

    reconciles(systems, "augusta", moment, unmerged("augusta"), by=system)

    assert links(systems) == [(None, ())] * 3


# Guards: what a system has not handled yet is held for what its row says.
@pytest.mark.parametrize(
    "event",
    [
        a_patient(revision=2, name=KING),
        a_patient(revision=2, identifier=None, deceasedBoolean=True),
        an_allergy(revision=2, verificationStatus={"coding": [{"code": "refuted"}]}),
        an_allergy(key="a2"),
        merged("ada", "augusta"),
        unmerged("ada"),
    ],
    ids=lambda event: type(event).__name__,
)
@pytest.mark.parametrize("failing", [False, True], ids=["not heard of yet", "tried in vain"])
def test_what_is_on_the_way_is_no_divergence(systems: Systems, event: Told, *, failing: bool) -> None:
    deliveries = systems.deliveries(*systems.records(event))
    if failing:
        for consumer, envelope in deliveries:
            faults.answer("TransactWriteItems", faults.DENIED)
            message = Message(from_the_bus(envelope))
            assert systems.world.deliver(consumer, message) == [message]

    assert systems.reconciles("ada") == systems.reconciles("augusta") == []

    systems.delivers(*deliveries)
    assert systems.reconciles("ada") == systems.reconciles("augusta") == []


def test_what_a_system_has_given_up_is_told_and_mended(systems: Systems) -> None:
    (envelope,) = systems.records(a_patient(revision=2, name=KING))
    for consumer, _ in systems.deliveries(envelope):
        systems.world.ledger.record_dead(Entry(envelope.metadata.id, consumer.name, DEAD, clock.now()))

    findings = systems.reconciles()

    assert {finding.system for finding in findings} == {"index", "pharmacy", "billing"}
    assert names(systems) == [KING] * 3
    assert systems.reconciles() == []


# Guards: each row is written once, whoever's hints are lost.
def test_two_records_of_one_person_with_one_number_whose_hints_and_links_are_lost_are_mended(systems: Systems) -> None:
    systems.hears(merged("augusta", "ada"))
    before = links(systems)
    for system in SYSTEMS:
        systems.world.put(systems.row(system, "ada").replacing([]), version=100)
    systems.world.clear("patient-terms", "patient-identifiers")

    systems.reconciles("augusta")
    systems.reconciles("ada")

    assert links(systems) == before
    assert systems.world.row(Numbered, f"{MRN}|4711") == Numbered(number=f"{MRN}|4711", patients=("augusta", "ada"))


@pytest.mark.parametrize(
    "merging",
    [
        [merged("augusta", "ada")],
        [merged("augusta", "byron"), merged("byron", "ada")],
        [merged("augusta", "ada"), merged("ada", "augusta")],
        [merged("augusta", "byron"), merged("augusta", "ada", revision=3)],
        [merged("augusta", "ada"), unmerged("augusta"), merged("augusta", "ada", revision=4)],
    ],
    ids=["one for the other", "in a chain", "each for the other", "first for another", "twice"],
)
def test_a_person_of_whom_everything_is_lost_is_made_again(systems: Systems, merging: list[Told]) -> None:
    systems.hears(a_patient("byron"), *merging)
    before = systems.tables()
    systems.world.clear(*before)

    # Which records are given up for another one, these alone can tell: hence twice.
    for patient in ("ada", "augusta", "byron") * 2:
        systems.reconciles(patient)

    assert systems.tables() == before


def test_who_is_given_a_number_while_its_holder_is_lost_is_told_of_once_that_one_is_found(systems: Systems) -> None:
    told_before = len(systems.shared())
    systems.world.clear("patient-index")
    systems.hears(a_patient("grace"))
    assert len(systems.shared()) == told_before

    systems.reconciles("ada")

    assert [(each.patient_id, each.others) for each in systems.shared()[told_before:]] == [("ada", ("grace",))]


def reconciles(systems: Systems, asked: str, moment: Moment, event: Told, *, by: str) -> list[RecordDivergenceFound]:
    """Reconcile, and have one system handle an event at some moment of that, or behind it; the others do afterwards."""
    operation, number = moment
    deliveries: list[Delivery] = []

    def act() -> None:
        deliveries.extend(systems.deliveries(*systems.records(event)))
        systems.delivers(*(each for each in deliveries if each[0].name.startswith(by)))

    faults.meanwhile(operation, *[_nothing] * number, act)
    findings = systems.reconciles(asked)
    if not deliveries:
        act()
    systems.delivers(*deliveries)
    return findings


def _nothing() -> None:
    pass


def names(systems: Systems) -> list[object]:
    """What each system believes ada to be called."""
    return [systems.row(system).value("names") for system in SYSTEMS]


def links(systems: Systems) -> list[tuple[str | None, tuple[str, ...]]]:
    """For whom augusta's record is given up, and which are given up for ada's, in each system."""
    return [(systems.row(system, "augusta").replaced_by, systems.row(system, "ada").replaces) for system in SYSTEMS]
