"""Billing: whom to bill, where, and who pays."""

from collections.abc import Mapping
from typing import Any

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.fhir import Coverage, Patient, Resource
from events.patients import PatientRecordsMerged, PatientRecordsUnmerged, PatientRecordUpdated
from functions.patients.demographics import GENDER, demographics, written
from functions.patients.record import Record, relinked

ADDRESSES, COVERAGE = "addresses", "coverage"


class Billed(Record, table="billing-records", key="patient_id"):
    """One patient in billing."""

    @classmethod
    def share(cls, resource: Resource) -> Mapping[str, Any]:
        match resource:
            case Patient():
                return {**demographics(resource), GENDER: resource.gender, ADDRESSES: written(resource.address)}
            case Coverage():
                return {f"{COVERAGE}/{resource.id}": _coverage(resource)}
            case _:
                return {}


@reaction(PatientRecordUpdated)
def sync_billing(update: PatientRecordUpdated, work: Work) -> None:
    """Keep whom to bill, where, and who pays."""
    before = work.read(Billed, update.patient_id)
    after = before.after(update, work.cause.id)
    if after != before:
        work.save(after)


@reaction(PatientRecordsMerged)
def sync_billing_merged(merging: PatientRecordsMerged, work: Work) -> None:
    """Two records are one person's."""
    for record in relinked(work, Billed, merging).values():
        work.save(record)


@reaction(PatientRecordsUnmerged)
def sync_billing_unmerged(parting: PatientRecordsUnmerged, work: Work) -> None:
    """A record is a person's own again."""
    for record in relinked(work, Billed, parting).values():
        work.save(record)


def _coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        "status": coverage.status,
        "payors": [payor.display or payor.reference or "" for payor in coverage.payor],
        "subscriber": coverage.subscriberId,
        "period": coverage.period.model_dump(mode="json") if coverage.period else None,
    }
