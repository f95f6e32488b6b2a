"""Patients' records in three systems."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from daybook.runtime.settings import option_variable
from events.patients import (
    PatientBundleReceived,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    ReconciliationRequested,
    TerminologyAnswered,
    TerminologyAsked,
)


class Patients(Service):
    """The index, the pharmacy and billing each keep a part of every record. Reconciliation corrects them."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "patients", stage=stage)
        index, numbers = self.table("patient-index"), self.table("patient-identifiers")
        terms = self.table("patient-terms", index="term")
        pharmacy, billing = self.table("pharmacy-records"), self.table("billing-records")
        stays, medication, coverage = (
            self.table(f"{system}-resources", index="patient_id") for system in ("index", "pharmacy", "billing")
        )
        in_index, in_pharmacy, in_billing = [index, stays, numbers, terms], [pharmacy, medication], [billing, coverage]
        self.reaction("unpack_bundle", PatientBundleReceived)
        self.reaction("index_patient", PatientRecordUpdated, reads=in_index, saves=in_index)
        linked = [index, numbers]
        self.reaction("index_merged", PatientRecordsMerged, reads=[*linked, stays], saves=linked)
        self.reaction("index_unmerged", PatientRecordsUnmerged, reads=[*linked, stays], saves=linked)
        answers = self.table("terminology-answers")
        # The base URL of a FHIR R4 terminology server, such as https://terminology.example/fhir.
        server = {"terminology-server": stage.option("terminology_server", "off")}
        prescribed = [*in_pharmacy, answers]
        for asking in (
            self.reaction("sync_pharmacy", PatientRecordUpdated, reads=prescribed, saves=in_pharmacy),
            self.reaction("sync_pharmacy_merged", PatientRecordsMerged, reads=prescribed, saves=[pharmacy]),
        ):
            for name, value in server.items():
                asking.function.add_environment(option_variable(name), value)
        self.reaction("sync_pharmacy_unmerged", PatientRecordsUnmerged, reads=prescribed, saves=[pharmacy])
        self.effect("ask_terminology", TerminologyAsked, options=server)
        self.reaction("save_terminology_answer", TerminologyAnswered, reads=prescribed, saves=[pharmacy, answers])
        self.reaction("sync_billing", PatientRecordUpdated, reads=in_billing, saves=in_billing)
        self.reaction("sync_billing_merged", PatientRecordsMerged, reads=[billing], saves=[billing])
        self.reaction("sync_billing_unmerged", PatientRecordsUnmerged, reads=[billing], saves=[billing])
        systems = [*in_index, *in_pharmacy, *in_billing]
        self.reaction(
            "reconcile_records",
            ReconciliationRequested,
            reads=[*systems, answers],
            saves=systems,
            reads_history=PatientRecordUpdated,
            reads_statuses_of=[
                *("index-patient", "index-merged", "index-unmerged"),
                *("sync-pharmacy", "sync-pharmacy-merged", "sync-pharmacy-unmerged"),
                *("sync-billing", "sync-billing-merged", "sync-billing-unmerged"),
            ],
        )
