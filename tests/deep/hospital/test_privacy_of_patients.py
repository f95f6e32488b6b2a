"""The name, number, address and medication of a patient are only where they must be."""

import json
import uuid

import pytest

from daybook.local.faults import Fault, Faults
from events.patients import PatientRecordsMerged, PatientRecordUpdated, ReconciliationRequested
from tests.deployed.deployed import Deployed, short_visibility_timeout
from tests.deployed.hospital.test_patients import entry, receives, sends
from tests.deployed.test_commands import daybook
from tests.deployed.test_privacy import put_invalid_message, stored_texts, unrecorded_dead_letters
from tests.local.processes import unique, until
from tests.unit.hospital.records import MRN, a_coverage, a_patient, a_prescription, a_stay, an_allergy

NAME, NUMBER, STREET, DRUG = (uuid.uuid4().hex for _ in range(4))
STORED = {"store: data", "ledger: body"}
# The facts that each system needs for its work.
WHERE = {
    NAME: STORED
    | {"patient-index: facts", "pharmacy-records: facts", "billing-records: facts"}
    | {"patient-terms: id", "patient-terms: term"},
    NUMBER: STORED | {"patient-index: facts", "patient-identifiers: id"} | {"patient-terms: id", "patient-terms: term"},
    STREET: STORED | {"billing-records: facts"},
    DRUG: STORED | {"pharmacy-resources: fact"},
}
WORDS = {NAME: "name", NUMBER: "number", STREET: "address", DRUG: "medication"}


@pytest.fixture(scope="module")
def kept(running_system: Deployed, faults: Faults) -> dict[str, str]:
    """Everything that is stored or logged about two patients, by place, after all kinds of events and failures."""
    system = running_system.from_now_on()
    ada, augusta = unique("p"), unique("p")
    with unrecorded_dead_letters(system) as dead_letters:
        rejected = system.sends(*rejected_records(ada))
        put_invalid_message(system, "sync-pharmacy", json.dumps({"detail": {"name": NAME, "address": STREET}}))
        died = Fault.death("before", function="sync-pharmacy", operation="TransactWriteItems")
        with (
            short_visibility_timeout(system, "sync-pharmacy", until_true=lambda: faults.injected_count(died)),
            faults.inject(died),
        ):
            (sent,) = sends(system, an_allergy(ada, code="N02BE01", verificationStatus={"text": DRUG}))
            # The system is not idle here: while record-dead-letters is paused, events of other tests may become dead.
            until(
                lambda: "committed" in system.log_messages("sync-pharmacy", sent),
                what="sync-pharmacy has committed it",
            )
        denied = Fault.denied(function="index-patient", operation="TransactWriteItems", times=3)
        with faults.inject(denied):
            (dead,) = system.sends(entry(about(ada)))
            until(lambda: "dead" in system.log_messages("index-patient", dead), what="it is dead at index-patient")
        kept_dead_letters = [*dead_letters(len(rejected) + 2)]
    system.refusals(*rejected)
    treated = {"coding": [{"system": "http://www.whocc.no/atc", "code": "J01CA04"}], "text": DRUG}
    receives(system, about(ada, 2), about(augusta), a_coverage(ada), a_stay(ada), an_allergy(ada))
    receives(system, a_prescription(ada, medicationCodeableConcept=treated))
    receives(system, PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))
    receives(system, ReconciliationRequested(patient_id=ada))
    outputs = [
        daybook(system, "trace", f"patient/{ada}", "--data"),
        daybook(system, "trace", f"patient/{ada}", "--data", "--json"),
        daybook(system, "trace", rejected[0]),
        daybook(system, "events", "--json"),
    ]
    services_tables = {
        **dict.fromkeys(("patient-index", "patient-identifiers", "patient-terms", "index-resources"), "index-patient"),
        **dict.fromkeys(("pharmacy-records", "pharmacy-resources"), "sync-pharmacy"),
        **dict.fromkeys(("billing-records", "billing-resources"), "sync-billing"),
    }
    return {
        "attributes": json.dumps(kept_dead_letters),
        "daybook": "".join(output.stdout + output.stderr for output in outputs),
        **stored_texts(system, services_tables),
    }


@pytest.mark.parametrize("marker", WHERE, ids=lambda marker: WORDS[marker])
def test_personal_data_of_a_patient_is_only_where_it_must_be(kept: dict[str, str], marker: str) -> None:
    assert {place for place, text in kept.items() if marker in text} == WHERE[marker]


def about(patient: str, revision: int = 1) -> PatientRecordUpdated:
    """A patient whose name, number and address contain markers."""
    return a_patient(
        patient,
        revision,
        name=[{"family": NAME, "given": [NAME]}],
        identifier=[{"system": MRN, "value": NUMBER}],
        address=[{"line": [STREET], "city": STREET}],
    )


def rejected_records(patient: str) -> list[dict[str, object]]:
    """Records that admit rejects, each for another reason."""
    several = [entry(about(patient)) for _ in range(5)]
    datas = [each["Detail"]["data"] for each in several]
    datas[0]["resource"]["birthDate"] = NAME
    datas[1]["patient_id"] = NUMBER
    datas[1]["resource"].pop("id")
    datas[2]["resource"]["address"] = STREET
    datas[3]["resource"]["resourceType"] = NAME
    datas[4]["resource"]["gender"] = DRUG
    return several
