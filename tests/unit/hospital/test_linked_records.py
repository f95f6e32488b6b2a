"""Records that Patient.link links: a link replaced-by has the effect of a merge."""

from typing import Any

import pytest

from daybook.contracts.contract import ContractBroken
from events.patients import PatientRecordUpdated
from functions.patients.pharmacy import PharmacyRecord
from tests.unit.hospital.records import a_patient, a_prescription, an_allergy, merged, unmerged
from tests.unit.hospital.systems import SYSTEMS, Systems
from tests.unit.hospital.test_fhir import data_of
from tests.unit.world import World


def replaced(patient: str, by: str | None, revision: int = 1) -> PatientRecordUpdated:
    """A patient whose record another one replaces; None: no other one."""
    link = [{"other": {"reference": f"Patient/{by}"}, "type": "replaced-by"}] if by else None
    return a_patient(patient, revision, active=by is None, link=link, identifier=None)


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0), (0, 2, 1), (1, 2, 0)], ids=str)
def test_the_allergies_of_a_record_that_was_replaced_conflict_in_any_order(
    systems: Systems, order: tuple[int, ...]
) -> None:
    events = [replaced("augusta", "ada"), an_allergy("augusta"), a_prescription("ada")]

    systems.receives(*(events[place] for place in order))

    assert systems.conflicts() == [("a1", "m1")]
    for system in SYSTEMS:
        assert systems.row(system, "augusta").replaced_by == "ada"
        assert systems.row(system, "ada").replaces == ("augusta",)


def test_a_newer_patient_without_the_link_is_no_longer_replaced(systems: Systems) -> None:
    systems.receives(replaced("augusta", "ada"), an_allergy("augusta"), replaced("augusta", None, 2))

    systems.receives(a_prescription("ada"))

    assert systems.conflicts() == []
    assert [systems.row(system, "ada").replaces for system in SYSTEMS if systems.row(system, "ada")] == [()] * 3


def test_a_patient_without_a_link_does_not_undo_a_merge(systems: Systems) -> None:
    systems.receives(merged("augusta", "ada"), replaced("augusta", None, 3))

    assert [systems.row(system, "augusta").replaced_by for system in SYSTEMS] == ["ada"] * 3


@pytest.mark.parametrize(
    ("events", "replacement"),
    [
        ([merged("augusta", "ada", 2), replaced("augusta", "byron", 3)], "byron"),
        ([merged("augusta", "ada", 3), replaced("augusta", "byron", 2)], "ada"),
        ([replaced("augusta", "byron", 2), unmerged("augusta", 3)], None),
        ([unmerged("augusta", 2), replaced("augusta", "byron", 3)], "byron"),
        ([merged("augusta", "ada", 2), replaced("augusta", "byron", 3), replaced("augusta", None, 4)], "ada"),
    ],
    ids=["link after merge", "merge after link", "unmerge after link", "link after unmerge", "link, then no link"],
)
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_the_newest_of_links_and_merges_counts(
    systems: Systems, events: list[Any], replacement: str | None, *, backwards: bool
) -> None:
    systems.receives(*(reversed(events) if backwards else events))

    assert [systems.row(system, "augusta").replaced_by for system in SYSTEMS] == [replacement] * 3
    for other in ("ada", "byron"):
        rows = [systems.row(system, other) for system in SYSTEMS]
        assert {row.replaces for row in rows if row} <= {("augusta",) if other == replacement else ()}


def test_a_number_that_both_records_have_is_reported_when_the_link_is_removed(systems: Systems) -> None:
    link = [{"other": {"reference": "Patient/ada"}, "type": "replaced-by"}]
    systems.receives(a_patient("ada"), a_patient("augusta", link=link))
    assert systems.shared() == []

    systems.receives(a_patient("augusta", 2))

    assert [(found.patient_id, found.others) for found in systems.shared()] == [("augusta", ("ada",))]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.__name__)
def test_a_lost_side_of_a_link_is_restored(systems: Systems, system: Any) -> None:
    systems.receives(a_patient("ada", identifier=None), replaced("augusta", "ada"))
    right = [systems.row(system, each) for each in ("ada", "augusta")]
    systems.put(right[0].replacing([]))

    (finding,) = systems.reconciles("augusta")

    assert (finding.patient_id, finding.fields) == ("ada", ("replaces",))
    assert [systems.row(system, each) for each in ("ada", "augusta")] == right


def test_links_of_other_types_have_no_effect(systems: Systems) -> None:
    links = [{"other": {"reference": "Patient/augusta"}, "type": each} for each in ("replaces", "refer", "seealso")]

    systems.receives(a_patient(link=links))

    assert systems.row(PharmacyRecord).replaced_by is None


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ([{"other": {"reference": "Patient/ada"}, "type": "replaced-by"}], "cannot be replaced by itself"),
        ([{"other": {"display": "Ada"}, "type": "replaced-by"}], "link.other.reference"),
        ([{"other": {"reference": "RelatedPerson/r1"}, "type": "replaced-by"}], "link.other.reference"),
        ([{"other": {"reference": f"Patient/{each}"}, "type": "replaced-by"} for each in "ab"], "2 links replaced-by"),
    ],
    ids=["itself", "no reference", "no patient", "two"],
)
def test_a_link_that_names_no_single_other_record_is_rejected_with_the_reason(
    link: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(ContractBroken, match=reason):
        PatientRecordUpdated.read(data_of({"resourceType": "Patient", "link": link}), version=1)
