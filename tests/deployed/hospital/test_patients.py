"""The deployed patients service: three systems agree, and damaged rows are reported and corrected."""

import json
from typing import Any

import pytest

from daybook.contracts.contract import Event
from daybook.local.faults import Fault, Faults
from daybook.store.attributes import pack_item
from events.patients import (
    PatientBundleReceived,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    ReconciliationRequested,
    RecordDivergenceFound,
)
from tests.deployed.deployed import Deployed, an_event, paused, short_visibility_timeout
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until
from tests.unit.hospital.records import (
    MRN,
    RXNORM,
    SNOMED,
    a_coverage,
    a_patient,
    a_prescription,
    a_stay,
    an_allergy,
    concept,
)

# Each system's table, and one of the functions that write it.
TABLES = {
    "index": ("patient-index", "index-patient"),
    "pharmacy": ("pharmacy-records", "sync-pharmacy"),
    "billing": ("billing-records", "sync-billing"),
}

RXNORM_AMOXICILLIN = concept("308182", RXNORM)


def test_the_systems_agree_after_late_duplicate_and_unordered_deliveries(system: Deployed, faults: Faults) -> None:
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
    assert values(system, ada, "names") == [[{"family": "Noel"}]] * 3
    assert values(system, ada, "deceased") == ["1852-11-27"] * 3
    assert values(system, augusta, "link") == [ada] * 3
    assert [row(system, name, ada)["replaces"] for name in TABLES] == [[augusta]] * 3


@pytest.mark.parametrize("allergy_first", [True, False], ids=["entered before", "entered after"])
def test_a_conflict_of_prescription_and_allergy_is_reported_once_in_any_order(
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


def test_an_allergy_conflicts_with_a_prescription_in_another_record_after_a_merge(system: Deployed) -> None:
    ada, augusta = unique("p"), unique("p")
    receives(system, an_allergy(ada), a_prescription(augusta))
    assert types(system, augusta) == ["PatientRecordUpdated"]

    receives(system, PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))

    assert types(system, augusta) == ["AllergyConflictFound", "PatientRecordUpdated", "PatientRecordsMerged"]


def test_the_terminology_server_finds_a_conflict_of_codes_of_two_systems(system: Deployed) -> None:
    ada = unique("p")

    receives(system, an_allergy(ada, code=concept("91936005", SNOMED)), a_prescription(ada, code=RXNORM_AMOXICILLIN))

    assert types(system, ada).count("AllergyConflictFound") == 1
    assert json.loads(daybook(system, "patient", ada, "--json").stdout)["unchecked"] == []


def test_two_patients_with_one_number_are_reported(system: Deployed) -> None:
    number, ada, augusta = unique("n"), unique("p"), unique("p")

    receives(system, a_patient(ada, identifier=numbered(number)), a_patient(augusta, identifier=numbered(number)))

    assert (types(system, ada) + types(system, augusta)).count("SharedIdentifierFound") == 1
    assert row(system, "index", ada)["facts"]["identifiers"] is not None
    assert row(system, "index", augusta)["facts"]["identifiers"] is not None


def test_a_patient_without_a_number_is_found_by_name_and_birth_date(system: Deployed) -> None:
    ada, name = unique("p"), unique("Łucja").replace("-", "")

    receives(system, a_patient(ada, identifier=None, name=[{"family": name.upper(), "given": ["Zoë"]}]))

    assert found_by(system, f"name:{name.casefold().replace('ł', 'l')}") == [ada]
    assert ada in found_by(system, "name:zoe")
    assert ada in found_by(system, "born:1815-12-10")


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damaged", ["row deleted", "field changed"])
def test_a_damaged_row_is_reported_and_corrected(system: Deployed, name: str, damaged: str) -> None:
    ada = unique("p")
    receives(system, a_patient(ada, identifier=numbered(unique("n"))), an_allergy(ada), a_coverage(ada), a_stay(ada))
    right = row(system, name, ada)
    fields = ["birth_date"]
    if damaged == "row deleted":
        system.cloud.client("dynamodb").delete_item(TableName=system.table(*TABLES[name]), Key=pack_item({"id": ada}))
        fields = sorted(right["facts"]) + ["current"] * bool(right["current"])
    else:
        damage(system, name, ada)

    receives(system, ReconciliationRequested(patient_id=ada))

    assert divergences(system, ada) == [(name, tuple(fields))]
    assert {**row(system, name, ada), "version": 0} == {**right, "version": 0}
    receives(system, ReconciliationRequested(patient_id=ada))
    assert len(divergences(system, ada)) == 1


def test_an_event_that_waits_for_a_paused_system_is_not_a_divergence(system: Deployed) -> None:
    ada = unique("p")
    with paused(system, "sync-billing"):
        (sent,) = sends(system, a_patient(ada, identifier=None))
        (request,) = sends(system, ReconciliationRequested(patient_id=ada))
        until(
            lambda: "committed" in system.log_messages("reconcile-records", request), what="the records are reconciled"
        )
    system.finishes(sent, request)

    assert divergences(system, ada) == []
    assert row(system, "billing", ada)["facts"]["birth_date"]["value"] == "1815-12-10"


def test_admit_rejects_a_resource_of_another_patient_a_number_as_id_and_an_impossible_date(system: Deployed) -> None:
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


def test_patient_finds_a_patient_shows_differences_and_corrects_them(system: Deployed) -> None:
    ada, augusta, name, number = unique("p"), unique("p"), unique("Ada").replace("-", ""), unique("n")
    receives(system, a_patient(ada, identifier=numbered(number), name=[{"text": f"{name} Byron"}]))
    in_words = {"text": "herbal tea"}
    receives(system, a_prescription(ada, key="rx-9", medicationCodeableConcept=in_words))
    receives(system, a_patient(augusta), PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))

    agreeing = daybook(system, "patient", "--name", f"byron {name.upper()}", "--born", "1815-12-10", "--number", number)
    nobody = daybook(system, "patient", "--name", unique("nobody"))
    with_values = daybook(system, "patient", ada, "--reveal", "--json")
    damage(system, "pharmacy", ada)
    differing = daybook(system, "patient", ada)
    preview = daybook(system, "patient", ada, "--reconcile")
    assert divergences(system, ada) == []
    applied = daybook(system, "patient", ada, "--reconcile", "--apply")
    until(lambda: divergences(system, ada) != [], what="the difference is reported")
    corrected = daybook(system, "patient", ada)

    assert [each.returncode for each in (agreeing, preview, applied, corrected)] == [0] * 4
    assert [each.returncode for each in (nobody, differing)] == [1] * 2
    assert f"Patient {ada}" in agreeing.stdout
    assert f"other records of this person: {augusta}" in agreeing.stdout
    assert "unchecked: prescription rx-9 with any allergy: words only" in agreeing.stdout
    assert name not in agreeing.stdout + differing.stdout
    assert "no such patient" in nobody.stderr
    facts = json.loads(with_values.stdout.splitlines()[0])["facts"]
    assert {fact["value"][0]["text"] for fact in facts["names"].values()} == {f"{name} Byron"}
    assert [line.split()[1] for line in differing.stdout.splitlines() if "differs" in line] == ["birth_date"]
    assert "repeat with --apply" in preview.stdout
    assert "differs" not in corrected.stdout


def damage(system: Deployed, name: str, patient: str) -> None:
    """Write a wrong birth date into a system's row."""
    right = row(system, name, patient)
    changed = {**right["facts"], "birth_date": {**right["facts"]["birth_date"], "value": "1915-12-10"}}
    system.cloud.client("dynamodb").put_item(
        TableName=system.table(*TABLES[name]), Item=pack_item({**right, "facts": changed})
    )


def uses_all_permissions(system: Deployed) -> None:
    """Make each function of the service use all its permissions."""
    ada, augusta, byron = unique("p"), unique("p"), unique("p")
    number = numbered(unique("n"))
    dynamodb = system.cloud.client("dynamodb")
    receives(system, a_patient(ada, identifier=number), an_allergy(ada), a_prescription(ada))
    receives(system, an_allergy(ada, key="a2", code=concept("91936005", SNOMED)))
    receives(system, a_prescription(ada, key="m2", code=concept("723", RXNORM)))
    condition = {"resourceType": "Condition", "id": "d1", "subject": {"reference": f"Patient/{ada}"}}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": condition}]}
    in_bundle = PatientBundleReceived.model_validate({"patient_id": ada, "revision": 1, "bundle": bundle})
    receives(system, in_bundle, a_stay(ada), a_coverage(ada))
    receives(system, a_patient(augusta, identifier=number), a_coverage(augusta), a_prescription(augusta))
    receives(system, a_patient(byron, identifier=number), an_allergy(byron), a_prescription(byron), a_stay(byron))
    # All functions that compare prescriptions read answers of the terminology server. The merge shows a conflict.
    receives(system, an_allergy(byron, key="a2", code=concept("91936005", SNOMED)))
    receives(system, a_prescription(augusta, key="m2", code=concept("723", RXNORM)))
    receives(system, PatientRecordsMerged(patient_id=byron, into=ada, revision=2))
    receives(system, PatientRecordsMerged(patient_id=byron, into=augusta, revision=3))
    unreported = {**row(system, "pharmacy", byron), "conflicts": []}
    dynamodb.put_item(TableName=system.table(*TABLES["pharmacy"]), Item=pack_item(unreported))
    receives(system, PatientRecordsUnmerged(patient_id=byron, revision=4))
    receives(system, PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))
    for table, function in [
        *TABLES.values(),
        ("patient-terms", "index-patient"),
        ("patient-identifiers", "index-patient"),
        ("index-resources", "index-patient"),
        ("pharmacy-resources", "sync-pharmacy"),
        ("billing-resources", "sync-billing"),
    ]:
        name = system.table(table, function)
        for item in system.items(name):
            if ada in str(item):
                dynamodb.delete_item(TableName=name, Key=pack_item({"id": item["id"]}))
    receives(system, ReconciliationRequested(patient_id=ada))
    receives(system, PatientRecordsUnmerged(patient_id=augusta, revision=3))


def entry(event: Event) -> dict[str, Any]:
    """The event as its source sends it."""
    data = event.model_dump(mode="json", exclude_none=True)
    return an_event(event.contract.type, data, source=event.contract.sources[0], producer_id=unique("record"))


def sends(system: Deployed, *events: Event) -> list[str]:
    return system.sends(*map(entry, events))


def receives(system: Deployed, *events: Event) -> None:
    """Send events one after the other, and wait until they and all events that follow are processed."""
    system.receives(*map(entry, events))


def row(system: Deployed, name: str, patient: str) -> dict[str, Any]:
    """A system's row of a patient."""
    table, function = TABLES[name]
    return system.row(table, patient, of=function)


def values(system: Deployed, patient: str, fact: str) -> list[Any]:
    """The value of a fact of a patient in each of the three systems."""
    return [row(system, name, patient)["facts"][fact]["value"] for name in TABLES]


def types(system: Deployed, patient: str) -> list[str]:
    """The types of all events of a patient's stream, sorted."""
    return sorted(envelope.metadata.type for envelope in system.connection.store.stream(f"patient/{patient}"))


def divergences(system: Deployed, patient: str) -> list[tuple[str, tuple[str, ...]]]:
    """The system and the fields of each reported divergence."""
    found = [
        RecordDivergenceFound.read(envelope.data, version=1)
        for envelope in system.connection.store.stream(f"patient/{patient}")
        if envelope.metadata.type == "RecordDivergenceFound"
    ]
    return [(each.system, each.fields) for each in found]


def found_by(system: Deployed, term: str) -> list[str]:
    """The patients to whom a search term leads."""
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
    """The `identifier` of a patient with this number only."""
    return [{"system": MRN, "value": number}]
