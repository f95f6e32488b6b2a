"""Records are reconciled while events arrive: newer rows are not overwritten, and pending events not reported."""

import pytest

from daybook.contracts import clock
from daybook.store.ledger import DEAD, LedgerEntry
from events.patients import RecordDivergenceFound
from functions.patients.index import IndexRecord, NumberHolders
from functions.patients.record import RecordEvent
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus
from tests.unit.hospital.records import MRN, a_patient, a_prescription, an_allergy, merged, unmerged
from tests.unit.hospital.systems import SYSTEMS, Delivery, Systems
from tests.unit.world import World

KING = [{"family": "King"}]
# A moment in a reconciliation: before the call of this operation with this number.
Moment = tuple[str, int]
MOMENTS: list[Moment] = [("BatchGetItem", number) for number in range(7)]
MOMENTS += [("Query", 0), ("TransactWriteItems", 0)]

at_every_moment = pytest.mark.parametrize("moment", MOMENTS, ids=str)
# Billing saves rows as the index does. The pharmacy saves all records of a person.
by_a_system = pytest.mark.parametrize("system", ["index", "sync-pharmacy"])


@pytest.fixture
def systems(world: World) -> Systems:
    systems = Systems(world)
    systems.receives(a_patient(), an_allergy(), a_patient("augusta"), a_prescription("augusta"))
    return systems


# Guards: rows are read before the event store.
@by_a_system
@at_every_moment
def test_an_event_that_is_committed_meanwhile_is_not_overwritten_and_not_reported(
    systems: Systems, moment: Moment, system: str
) -> None:
    assert reconciles(systems, "ada", moment, a_patient(revision=2, name=KING), by=system) == []

    assert names(systems) == [KING] * 3
    assert systems.reconciles() == []


# Guards: the version of a corrected row.
@by_a_system
@at_every_moment
def test_damage_is_corrected_to_the_newest_value(systems: Systems, moment: Moment, system: str) -> None:
    for each in SYSTEMS:
        row = systems.row(each)
        wrong = row.facts["names"].model_copy(update={"value": [{"family": "Byron"}]})
        systems.put(row.with_facts({**row.facts, "names": wrong}))

    reconciles(systems, "ada", moment, a_patient(revision=2, name=KING), by=system)

    assert names(systems) == [KING] * 3
    assert systems.reconciles() == []


@by_a_system
@at_every_moment
@pytest.mark.parametrize("patient", ["ada", "augusta"])
def test_records_that_are_merged_meanwhile_stay_merged(
    systems: Systems, moment: Moment, system: str, patient: str
) -> None:
    assert reconciles(systems, patient, moment, merged("augusta", "ada"), by=system) == []

    assert links(systems) == [("ada", ("augusta",))] * 3


# Guards: a record is saved together with the record that replaces it.
@by_a_system
@at_every_moment
@pytest.mark.parametrize("patient", ["ada", "augusta"])
def test_records_that_are_unmerged_meanwhile_stay_unmerged(
    systems: Systems, moment: Moment, system: str, patient: str
) -> None:
    systems.receives(merged("augusta", "ada"))

    assert reconciles(systems, patient, moment, unmerged("augusta"), by=system) == []

    assert links(systems) == [(None, ())] * 3


@by_a_system
@at_every_moment
def test_a_damaged_link_is_not_restored_after_an_unmerge(systems: Systems, moment: Moment, system: str) -> None:
    systems.receives(merged("augusta", "ada"))
    for each in SYSTEMS:
        systems.put(systems.row(each, "ada").replacing([]))

    reconciles(systems, "augusta", moment, unmerged("augusta"), by=system)

    assert links(systems) == [(None, ())] * 3


# Guards: for an event that a system has not processed, its row decides.
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
@pytest.mark.parametrize("failing", [False, True], ids=["not delivered", "failed"])
def test_an_event_that_is_still_being_processed_is_not_a_divergence(
    systems: Systems, event: RecordEvent, *, failing: bool
) -> None:
    deliveries = systems.deliveries(*systems.record(event))
    if failing:
        for consumer, envelope in deliveries:
            faults.deny_the_next_commit()
            message = Message(from_the_bus(envelope))
            assert systems.world.deliver(consumer, message) == [message]

    assert systems.reconciles("ada") == systems.reconciles("augusta") == []

    systems.deliver(*deliveries)
    assert systems.reconciles("ada") == systems.reconciles("augusta") == []


def test_an_event_that_is_dead_is_reported_and_applied(systems: Systems) -> None:
    (envelope,) = systems.record(a_patient(revision=2, name=KING))
    for consumer, _ in systems.deliveries(envelope):
        systems.world.ledger.record_dead(LedgerEntry(envelope.metadata.id, consumer.name, DEAD, clock.now()))

    findings = systems.reconciles()

    assert {finding.system for finding in findings} == {"index", "pharmacy", "billing"}
    assert names(systems) == [KING] * 3
    assert systems.reconciles() == []


# Guards: each row is saved once, for any lost hints.
def test_lost_hints_and_links_of_two_records_with_one_number_are_restored(systems: Systems) -> None:
    systems.receives(merged("augusta", "ada"))
    before = links(systems)
    for system in SYSTEMS:
        systems.put(systems.row(system, "ada").replacing([]))
    systems.world.clear("patient-terms", "patient-identifiers")

    systems.reconciles("augusta")
    systems.reconciles("ada")

    assert links(systems) == before
    assert systems.world.row(NumberHolders, f"{MRN}|4711") == NumberHolders(
        number=f"{MRN}|4711", patients=("augusta", "ada")
    )


@pytest.mark.parametrize(
    "merges",
    [
        [merged("augusta", "ada")],
        [merged("augusta", "byron"), merged("byron", "ada")],
        [merged("augusta", "ada"), merged("ada", "augusta")],
        [merged("augusta", "byron"), merged("augusta", "ada", revision=3)],
        [merged("augusta", "ada"), unmerged("augusta"), merged("augusta", "ada", revision=4)],
    ],
    ids=["one into the other", "chain", "each into the other", "first into another", "twice"],
)
def test_a_person_whose_rows_are_all_lost_is_restored(systems: Systems, merges: list[RecordEvent]) -> None:
    systems.receives(a_patient("byron"), *merges)
    before = systems.tables()
    systems.world.clear(*before)

    # What a record replaces follows from the other records, so each is reconciled twice.
    for patient in ("ada", "augusta", "byron") * 2:
        systems.reconciles(patient)

    assert systems.tables() == before


def test_a_number_is_reported_when_its_lost_holder_is_restored(systems: Systems) -> None:
    before = len(systems.shared())
    systems.lose(IndexRecord)
    systems.receives(a_patient("grace"))
    assert len(systems.shared()) == before

    systems.reconciles("ada")

    assert [(each.patient_id, each.others) for each in systems.shared()[before:]] == [("ada", ("grace",))]


def reconciles(
    systems: Systems, patient: str, moment: Moment, event: RecordEvent, *, by: str
) -> list[RecordDivergenceFound]:
    """Reconcile. At a moment of it, or after it, one system processes an event. The other systems do so at the end."""
    operation, number = moment
    deliveries: list[Delivery] = []

    def act() -> None:
        deliveries.extend(systems.deliveries(*systems.record(event)))
        systems.deliver(*(each for each in deliveries if each[0].name.startswith(by)))

    faults.meanwhile(operation, *[_nothing] * number, act)
    findings = systems.reconciles(patient)
    if not deliveries:
        act()
    systems.deliver(*deliveries)
    return findings


def _nothing() -> None:
    pass


def names(systems: Systems) -> list[object]:
    """The name of ada in each system."""
    return [systems.row(system).value("names") for system in SYSTEMS]


def links(systems: Systems) -> list[tuple[str | None, tuple[str, ...]]]:
    """The record that replaces augusta's, and the records that ada's replaces, in each system."""
    return [(systems.row(system, "augusta").replaced_by, systems.row(system, "ada").replaces) for system in SYSTEMS]
