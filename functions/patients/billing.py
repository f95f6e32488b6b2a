"""Billing: whom to bill, where, and who pays."""

from collections.abc import Mapping
from typing import Any

from events.fhir import Coverage, Patient, Resource
from functions.patients.demographics import GENDER, demographics, written
from functions.patients.record import Record

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


def _coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        "status": coverage.status,
        "payors": [payor.display or payor.reference or "" for payor in coverage.payor],
        "subscriber": coverage.subscriberId,
        "period": coverage.period.model_dump(mode="json") if coverage.period else None,
    }
