"""Patients."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.patients import (
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    ReconciliationAsked,
)


class Patients(Service):
    """Three systems with a table each, that know a share of every record, and agree; and who looks whether they do."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "patients", stage=stage)
        index, numbers = self.table("patient-index"), self.table("patient-identifiers")
        terms = self.table("patient-terms", index="term")
        pharmacy, billing = self.table("pharmacy-records"), self.table("billing-records")
        hints = [numbers, terms]
        self.reaction("index_patient", PatientRecordUpdated, reads=[index, *hints], saves=[index, *hints])
        linked = [index, numbers]
        self.reaction("index_merged", PatientRecordsMerged, reads=linked, saves=linked)
        self.reaction("index_unmerged", PatientRecordsUnmerged, reads=linked, saves=linked)
        self.reaction("sync_pharmacy", PatientRecordUpdated, reads=[pharmacy], saves=[pharmacy])
        self.reaction("sync_pharmacy_merged", PatientRecordsMerged, reads=[pharmacy], saves=[pharmacy])
        self.reaction("sync_pharmacy_unmerged", PatientRecordsUnmerged, reads=[pharmacy], saves=[pharmacy])
        self.reaction("sync_billing", PatientRecordUpdated, reads=[billing], saves=[billing])
        self.reaction("sync_billing_merged", PatientRecordsMerged, reads=[billing], saves=[billing])
        self.reaction("sync_billing_unmerged", PatientRecordsUnmerged, reads=[billing], saves=[billing])
        systems = [index, *hints, pharmacy, billing]
        self.reaction(
            "reconcile_records", ReconciliationAsked, reads=systems, saves=systems, recalls=PatientRecordUpdated
        )
