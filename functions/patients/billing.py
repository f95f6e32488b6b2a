"""Billing: the demographics and addresses of patients, and who pays for them."""

from collections.abc import Mapping
from typing import Any

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.fhir import Coverage, Patient, Resource
from events.patients import PatientRecordsMerged, PatientRecordsUnmerged, PatientRecordUpdated
from functions.patients.demographics import GENDER, as_json, demographics
from functions.patients.record import Record, RecordEvent, ResourceRow, changed, save_record

ADDRESSES, COVERAGE = "addresses", "coverage"


class BillingResource(ResourceRow, table="billing-resources", key="resource"):
    """One coverage."""


class BillingRecord(Record, table="billing-records", key="patient_id"):
    """One patient in billing."""

    resource_rows = BillingResource

    @classmethod
    def values_from(cls, resource: Resource) -> Mapping[str, Any]:
        match resource:
            case Patient():
                return {**demographics(resource), GENDER: resource.gender, ADDRESSES: as_json(resource.address)}
            case Coverage():
                return {f"{COVERAGE}/{resource.id}": _coverage(resource)}
            case _:
                return {}


@reaction(PatientRecordUpdated)
def sync_billing(update: PatientRecordUpdated, work: Work) -> None:
    """Keep a patient's demographics, addresses, coverage, and links to other records."""
    _save(work, update)


@reaction(PatientRecordsMerged)
def sync_billing_merged(merge: PatientRecordsMerged, work: Work) -> None:
    """Link two records of one person."""
    _save(work, merge)


@reaction(PatientRecordsUnmerged)
def sync_billing_unmerged(unmerge: PatientRecordsUnmerged, work: Work) -> None:
    """Remove the link between two records."""
    _save(work, unmerge)


def _save(work: Work, event: RecordEvent) -> None:
    for record in changed(work, BillingRecord, event).values():
        save_record(work, record)


def _coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        "status": coverage.status,
        "payors": [payor.display or payor.reference or "" for payor in coverage.payor],
        "subscriber": coverage.subscriberId,
        "period": coverage.period.model_dump(mode="json") if coverage.period else None,
    }
