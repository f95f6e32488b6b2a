"""Patients' records, deployed: three systems agree, and what is damaged in one of them is found and mended."""

import json
from typing import Any

import pytest

from daybook.contracts.contract import Event
from daybook.local.faults import Fault, Faults
from daybook.store.attributes import pack_item
from events.patients import (
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    ReconciliationAsked,
    RecordDivergenceFound,
)
from tests.deployed.deployed import Deployed, an_event, paused, short_visibility_timeout, unique
from tests.deployed.test_commands import daybook
from tests.local.processes import until
from tests.unit.records import MRN, a_coverage, a_patient, a_prescription, a_stay, an_allergy

# Each system's table, and one of the functions that keep it.
TABLES = {
    "index": ("patient-index", "index-patient"),
    "pharmacy": ("pharmacy-records", "sync-pharmacy"),
    "billing": ("billing-records", "sync-billing"),
}


def test_the_systems_agree_though_deliveries_are_late_and_doubled_and_out_of_order(
    system: Deployed, faults: Faults
) -> None:
    ada, augusta = unique("p"), unique("p")
    with paused(system, "sync-pharmacy"), paused(system, "index-merged"):
        first = sends(
            system,
            a_patient(ada, 3, name=[{"family": "Noel"}], identifier=numbered(unique("n"))),
            a_patient(ada, 2, deceasedDateTime="1852-11-27", identifier=numbered(unique("n"))),
            PatientRecordsUnmerged(patient_id=augusta, revision=3),
            PatientRecordsMerged(patient_id=augusta, into=ada, revision=2),
            a_patient(augusta, 1, identifier=None),
            a_patient(ada, 1, identifier=numbered(unique("n"))),
            PatientRecordsMerged(patient_id=augusta, into=ada, revision=4),
        )
        died = Fault.death("after", function="sync-billing", operation="TransactWriteItems")
        with (
            short_visibility_timeout(system, "sync-billing", until_true=lambda: faults.injected_count(died)),
            faults.inject(died),
        ):
            second = sends(system, a_coverage(ada), an_allergy(augusta), a_stay(ada))
            until(lambda: faults.injected_count(died) == 1, what="sync-billing has died")
    system.finishes(*first, *second)

    assert faults.injected_count(died) == 1
    assert each_knows(system, ada, "names") == [[{"family": "Noel"}]] * 3
    assert each_knows(system, ada, "deceased") == ["1852-11-27"] * 3
    assert each_knows(system, augusta, "link") == [ada] * 3
    assert [row(system, name, ada)["replaces"] for name in TABLES] == [[augusta]] * 3


@pytest.mark.parametrize("allergy_first", [True, False], ids=["entered before", "entered after"])
def test_a_prescription_that_meets_an_allergy_is_told_once_whichever_comes_first(
    system: Deployed, faults: Faults, *, allergy_first: bool
) -> None:
    ada = unique("p")
    events = [an_allergy(ada), a_prescription(ada)]
    died = Fault.death("after", function="sync-pharmacy", operation="TransactWriteItems")

    with (
        short_visibility_timeout(system, "sync-pharmacy", until_true=lambda: faults.injected_count(died)),
        faults.inject(died),
    ):
        for event in events if allergy_first else reversed(events):
            receives(system, event)

    assert faults.injected_count(died) == 1
    assert types(system, ada).count("AllergyConflictFound") == 1


def test_an_allergy_in_one_record_meets_a_prescription_in_the_other_once_they_are_merged(system: Deployed) -> None:
    ada, augusta = unique("p"), unique("p")
    receives(system, an_allergy(ada), a_prescription(augusta))
    assert types(system, augusta) == ["PatientRecordUpdated"]

    receives(system, PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))

    assert types(system, augusta) == ["AllergyConflictFound", "PatientRecordUpdated", "PatientRecordsMerged"]


def test_two_patients_with_one_number_are_told_of(system: Deployed) -> None:
    number, ada, augusta = unique("n"), unique("p"), unique("p")

    receives(system, a_patient(ada, identifier=numbered(number)), a_patient(augusta, identifier=numbered(number)))

    assert (types(system, ada) + types(system, augusta)).count("SharedIdentifierFound") == 1
    assert row(system, "index", ada)["facts"]["identifiers"] is not None
    assert row(system, "index", augusta)["facts"]["identifiers"] is not None


def test_a_patient_without_a_number_is_found_by_name_and_birth_date(system: Deployed) -> None:
    ada, name = unique("p"), unique("Łucja").replace("-", "")

    receives(system, a_patient(ada, identifier=None, name=[{"family": name.upper(), "given": ["Zoë"]}]))

    assert found_by(system, f"name:{name.casefold()}") == [ada]
    assert ada in found_by(system, "name:zoe")
    assert ada in found_by(system, "born:1815-12-10")


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("done", ["a row is gone", "a field is changed"])
def test_what_is_damaged_by_hand_is_found_and_mended(system: Deployed, name: str, done: str) -> None:
    ada = unique("p")
    receives(system, a_patient(ada, identifier=numbered(unique("n"))), an_allergy(ada), a_coverage(ada), a_stay(ada))
    right = row(system, name, ada)
    fields = ["birth_date"]
    if done == "a row is gone":
        system.cloud.client("dynamodb").delete_item(TableName=system.table(*TABLES[name]), Key=pack_item({"id": ada}))
        fields = sorted(right["facts"])
    else:
        damage(system, name, ada)

    receives(system, ReconciliationAsked(patient_id=ada))

    assert divergences(system, ada) == [(name, tuple(fields))]
    assert {**row(system, name, ada), "version": 0} == {**right, "version": 0}
    receives(system, ReconciliationAsked(patient_id=ada))
    assert len(divergences(system, ada)) == 1


def test_what_is_on_the_way_to_a_paused_system_is_no_divergence(system: Deployed) -> None:
    ada = unique("p")
    with paused(system, "sync-billing"):
        (sent,) = sends(system, a_patient(ada, identifier=None))
        (asked,) = sends(system, ReconciliationAsked(patient_id=ada))
        until(lambda: "committed" in system.log_messages("reconcile-records", asked), what="the records are reconciled")
    system.finishes(sent, asked)

    assert divergences(system, ada) == []
    assert row(system, "billing", ada)["facts"]["birth_date"]["value"] == "1815-12-10"


def test_a_resource_of_another_patient_and_a_number_for_an_id_are_refused_at_the_door(system: Deployed) -> None:
    ada = unique("p")
    entries = [
        entry(an_allergy(ada)),
        entry(a_patient(ada, id=None, identifier=[{"value": "4711"}])),
        entry(a_patient(ada, birthDate="1815-12-10")),
    ]
    entries[0]["Detail"]["data"]["patient_id"] = unique("p")
    entries[1]["Detail"]["data"]["patient_id"] = "4711"
    entries[2]["Detail"]["data"]["resource"]["birthDate"] = "1815-02-30"

    ids = system.sends(*entries)

    assert system.refusals(*ids) == dict.fromkeys(ids, "ContractBroken")


def test_an_operator_finds_a_patient_sees_where_systems_differ_and_has_them_mended(system: Deployed) -> None:
    ada, augusta, name, number = unique("p"), unique("p"), unique("Ada").replace("-", ""), unique("n")
    receives(system, a_patient(ada, identifier=numbered(number), name=[{"text": f"{name} Byron"}]))
    in_words = {"text": "what grandmother gave"}
    receives(system, a_prescription(ada, key="rx-9", medicationCodeableConcept=in_words))
    receives(system, a_patient(augusta), PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))

    agreeing = daybook(system, "patient", "--name", f"byron {name.upper()}", "--born", "1815-12-10", "--number", number)
    nobody = daybook(system, "patient", "--name", unique("nobody"))
    with_values = daybook(system, "patient", ada, "--reveal", "--json")
    damage(system, "pharmacy", ada)
    differing = daybook(system, "patient", ada)
    told = daybook(system, "patient", ada, "--reconcile")
    assert divergences(system, ada) == []
    done = daybook(system, "patient", ada, "--reconcile", "--apply")
    until(lambda: divergences(system, ada) != [], what="what differs is found")
    mended = daybook(system, "patient", ada)

    assert [each.returncode for each in (agreeing, nobody, differing, told, done, mended)] == [0, 1, 1, 0, 0, 0]
    assert f"Patient {ada}" in agreeing.stdout
    assert f"the same person: {augusta}" in agreeing.stdout
    assert "prescription rx-9 has no code" in agreeing.stdout
    assert name not in agreeing.stdout + differing.stdout
    assert "no such patient" in nobody.stderr
    facts = json.loads(with_values.stdout.splitlines()[0])["facts"]
    assert {known["value"][0]["text"] for known in facts["names"].values()} == {f"{name} Byron"}
    assert [line.split()[1] for line in differing.stdout.splitlines() if "differs" in line] == ["birth_date"]
    assert "repeat with --apply" in told.stdout
    assert "differs" not in mended.stdout


def damage(system: Deployed, name: str, patient: str) -> None:
    """Write another birth date into a system's row."""
    right = row(system, name, patient)
    changed = {**right["facts"], "birth_date": {**right["facts"]["birth_date"], "value": "1915-12-10"}}
    system.cloud.client("dynamodb").put_item(
        TableName=system.table(*TABLES[name]), Item=pack_item({**right, "facts": changed})
    )


def all_that_may_happen(system: Deployed) -> None:
    """Give each function of the service cause for all that it may do."""
    ada, augusta, byron = unique("p"), unique("p"), unique("p")
    number = numbered(unique("n"))
    dynamodb = system.cloud.client("dynamodb")
    receives(system, a_patient(ada, identifier=number), an_allergy(ada), a_prescription(ada))
    receives(system, a_patient(augusta, identifier=number), a_coverage(augusta), a_prescription(augusta))
    receives(system, a_patient(byron, identifier=number), an_allergy(byron), a_prescription(byron))
    receives(system, PatientRecordsMerged(patient_id=byron, into=ada, revision=2))
    receives(system, PatientRecordsMerged(patient_id=byron, into=augusta, revision=3))
    untold = {**row(system, "pharmacy", byron), "conflicts": []}
    dynamodb.put_item(TableName=system.table(*TABLES["pharmacy"]), Item=pack_item(untold))
    receives(system, PatientRecordsUnmerged(patient_id=byron, revision=4))
    receives(system, PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))
    for table, function in [
        *TABLES.values(),
        ("patient-terms", "index-patient"),
        ("patient-identifiers", "index-patient"),
    ]:
        name = system.table(table, function)
        for item in system.items(name):
            if ada in str(item):
                dynamodb.delete_item(TableName=name, Key=pack_item({"id": item["id"]}))
    receives(system, ReconciliationAsked(patient_id=ada))
    receives(system, PatientRecordsUnmerged(patient_id=augusta, revision=3))


def entry(event: Event) -> dict[str, Any]:
    """The event as its source sends it."""
    data = event.model_dump(mode="json", exclude_none=True)
    return an_event(event.contract.type, data, source=event.contract.sources[0], producer_id=unique("record"))


def sends(system: Deployed, *events: Event) -> list[str]:
    return system.sends(*map(entry, events))


def receives(system: Deployed, *events: Event) -> None:
    """Send events one behind the other, and wait until all that comes of them is done."""
    system.receives(*map(entry, events))


def row(system: Deployed, name: str, patient: str) -> dict[str, Any]:
    """What a system has of a patient."""
    table, function = TABLES[name]
    return system.row(table, patient, of=function)


def each_knows(system: Deployed, patient: str, fact: str) -> list[Any]:
    """What each of the three systems knows of a patient under a name."""
    return [row(system, name, patient)["facts"][fact]["value"] for name in TABLES]


def types(system: Deployed, patient: str) -> list[str]:
    """The types of all events of a patient's stream, sorted."""
    return sorted(envelope.metadata.type for envelope in system.connection.store.stream(f"patient/{patient}"))


def divergences(system: Deployed, patient: str) -> list[tuple[str, tuple[str, ...]]]:
    """What was found to be different, by system."""
    found = [
        RecordDivergenceFound.read(envelope.data, version=1)
        for envelope in system.connection.store.stream(f"patient/{patient}")
        if envelope.metadata.type == "RecordDivergenceFound"
    ]
    return [(each.system, each.fields) for each in found]


def found_by(system: Deployed, term: str) -> list[str]:
    """The patients to whom a term leads."""
    pages = (
        system.cloud.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=system.table("patient-terms", "index-patient"),
            IndexName="term",
            KeyConditionExpression="term = :term",
            ExpressionAttributeValues={":term": {"S": term}},
        )
    )
    return [item["patient_id"]["S"] for page in pages for item in page["Items"]]


def numbered(number: str) -> list[dict[str, str]]:
    """The patient's number, and no other."""
    return [{"system": MRN, "value": number}]
