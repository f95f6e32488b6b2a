"""A patient's name, number and address, and what they are treated with, stand where they must and nowhere else."""

import json
import uuid

import pytest

from daybook.local.faults import Fault, Faults
from events.patients import PatientRecordsMerged, PatientRecordUpdated, ReconciliationAsked
from tests.deployed.deployed import Deployed, short_visibility_timeout, unique
from tests.deployed.test_commands import daybook
from tests.deployed.test_patients import entry, receives, sends
from tests.deployed.test_privacy import bury_waits, is_no_event, what_is_kept
from tests.local.processes import until
from tests.unit.records import MRN, a_coverage, a_patient, a_prescription, a_stay, an_allergy

NAME, NUMBER, STREET, DRUG = (uuid.uuid4().hex for _ in range(4))
STORED = {"store: data", "ledger: body"}
# What each system must know of a person to do its work.
WHERE = {
    NAME: STORED
    | {"patient-index: facts", "pharmacy-records: facts", "billing-records: facts"}
    | {"patient-terms: id", "patient-terms: term"},
    NUMBER: STORED | {"patient-index: facts", "patient-identifiers: id"} | {"patient-terms: id", "patient-terms: term"},
    STREET: STORED | {"billing-records: facts"},
    DRUG: STORED | {"pharmacy-records: facts"},
}
WORDS = {NAME: "name", NUMBER: "number", STREET: "address", DRUG: "medication"}


@pytest.fixture(scope="module")
def kept(running_system: Deployed, faults: Faults) -> dict[str, str]:
    """All that is left of patients who have met all that a patient can meet, by where it was found."""
    system = running_system.from_now_on()
    ada, augusta = unique("p"), unique("p")
    with bury_waits(system) as dead_letters:
        refused = system.sends(*refused_records(ada))
        is_no_event(system, "sync-pharmacy", json.dumps({"detail": {"name": NAME, "address": STREET}}))
        died = Fault.death("before", function="sync-pharmacy", operation="TransactWriteItems")
        with (
            short_visibility_timeout(system, "sync-pharmacy", until_true=lambda: faults.injected_count(died)),
            faults.inject(died),
        ):
            (sent,) = sends(system, an_allergy(ada, code="N02BE01", verificationStatus={"text": DRUG}))
            # Nothing is quiet while bury waits: what other tests have left may be dying just now.
            until(
                lambda: "committed" in system.log_messages("sync-pharmacy", sent),
                what="sync-pharmacy has done it at last",
            )
        denied = Fault.denied(function="index-patient", operation="TransactWriteItems", times=3)
        with faults.inject(denied):
            (dead,) = system.sends(entry(about(ada)))
            until(lambda: "dead" in system.log_messages("index-patient", dead), what="index-patient has given it up")
        letters = [*dead_letters(len(refused) + 2)]
    system.refusals(*refused)
    treated = {"coding": [{"system": "http://www.whocc.no/atc", "code": "J01CA04"}], "text": DRUG}
    receives(system, about(ada, 2), about(augusta), a_coverage(ada), a_stay(ada), an_allergy(ada))
    receives(system, a_prescription(ada, medicationCodeableConcept=treated))
    receives(system, PatientRecordsMerged(patient_id=augusta, into=ada, revision=2))
    receives(system, ReconciliationAsked(patient_id=ada))
    outputs = [
        daybook(system, "trace", f"patient/{ada}", "--data"),
        daybook(system, "trace", f"patient/{ada}", "--data", "--json"),
        daybook(system, "trace", refused[0]),
        daybook(system, "events", "--json"),
    ]
    services_tables = {
        **dict.fromkeys(("patient-index", "patient-identifiers", "patient-terms"), "index-patient"),
        "pharmacy-records": "sync-pharmacy",
        "billing-records": "sync-billing",
    }
    return {
        "attributes": json.dumps(letters),
        "daybook": "".join(output.stdout + output.stderr for output in outputs),
        **what_is_kept(system, services_tables),
    }


@pytest.mark.parametrize("marker", WHERE, ids=lambda marker: WORDS[marker])
def test_what_is_about_a_patient_stands_where_it_must_and_nowhere_else(kept: dict[str, str], marker: str) -> None:
    assert {place for place, text in kept.items() if marker in text} == WHERE[marker]


def about(patient: str, revision: int = 1) -> PatientRecordUpdated:
    """A patient whose name, number and address hold markers."""
    return a_patient(
        patient,
        revision,
        name=[{"family": NAME, "given": [NAME]}],
        identifier=[{"system": MRN, "value": NUMBER}],
        address=[{"line": [STREET], "city": STREET}],
    )


def refused_records(patient: str) -> list[dict[str, object]]:
    """Records that admit refuses, each for another reason."""
    several = [entry(about(patient)) for _ in range(5)]
    datas = [each["Detail"]["data"] for each in several]
    datas[0]["resource"]["birthDate"] = NAME
    datas[1]["patient_id"] = NUMBER
    datas[1]["resource"].pop("id")
    datas[2]["resource"]["address"] = STREET
    datas[3]["resource"]["resourceType"] = NAME
    datas[4]["resource"]["gender"] = DRUG
    return several
