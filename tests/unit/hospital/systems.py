"""The three systems that keep patients' records, and the deliveries of events to them."""

from dataclasses import dataclass
from typing import Any, TypeVar

from daybook.consumers.consumer import Consumer
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from events.patients import (
    AllergyConflictFound,
    ReconciliationRequested,
    RecordDivergenceFound,
    SharedIdentifierFound,
)
from functions.patients import reconcile_records
from functions.patients.billing import BillingRecord, sync_billing, sync_billing_merged, sync_billing_unmerged
from functions.patients.index import IndexRecord, index_merged, index_patient, index_unmerged
from functions.patients.pharmacy import (
    PharmacyRecord,
    questions_about,
    sync_pharmacy,
    sync_pharmacy_merged,
    sync_pharmacy_unmerged,
    unchecked_prescriptions,
)
from functions.patients.record import Record, RecordEvent
from functions.patients.terminology import TerminologyAnswer, terminology
from tests.unit.builders import from_the_bus, recorded
from tests.unit.world import World

E = TypeVar("E", bound=Event)

SYSTEMS: tuple[type[Record], ...] = (IndexRecord, PharmacyRecord, BillingRecord)
TABLES = (
    *("patient-index", "patient-identifiers", "patient-terms", "pharmacy-records", "billing-records"),
    *("index-resources", "pharmacy-resources", "billing-resources"),
)
CONSUMERS: tuple[Consumer[Any], ...] = (
    *(index_patient, index_merged, index_unmerged),
    *(sync_pharmacy, sync_pharmacy_merged, sync_pharmacy_unmerged),
    *(sync_billing, sync_billing_merged, sync_billing_unmerged),
)

Delivery = tuple[Consumer[Event], Envelope]


@dataclass
class Systems:
    """The three systems in the world of a test."""

    world: World

    def record(self, *events: Event) -> list[Envelope]:
        """Append events to their streams, without delivering them."""
        envelopes = []
        for event in events:
            stream = self.world.stream(event.stream)
            envelope = recorded(event, after=stream[-1] if stream else None)
            self.world.append(envelope)
            envelopes.append(envelope)
        return envelopes

    def receives(self, *events: RecordEvent) -> None:
        """Record events, and deliver them to all systems in this order."""
        for delivery in self.deliveries(*self.record(*events)):
            self.deliver(delivery)

    @staticmethod
    def deliveries(*envelopes: Envelope) -> list[Delivery]:
        """The deliveries of these events: one for each of their consumers."""
        return [
            (consumer, envelope)
            for envelope in envelopes
            for consumer in CONSUMERS
            if consumer.event_type.contract.type == envelope.metadata.type
        ]

    def deliver(self, *deliveries: Delivery) -> None:
        """Deliver one by one. All must succeed."""
        for consumer, envelope in deliveries:
            assert self.world.deliver(consumer, from_the_bus(envelope)) == []
        assert self.world.dead_letters() == []

    def reconciles(self, patient: str = "ada") -> list[RecordDivergenceFound]:
        """Reconcile a patient's records. Returns the divergences that this found."""
        before = len(self.found(RecordDivergenceFound))
        (request,) = self.record(ReconciliationRequested(patient_id=patient))
        assert self.world.deliver(reconcile_records.handler, from_the_bus(request)) == []
        assert self.world.dead_letters() == []
        return self.found(RecordDivergenceFound)[before:]

    def row(self, system: type[Record], patient: str = "ada") -> Any:
        """A system's record of a patient, with all its resources. None if there is no row of the patient."""
        row = self.world.row(system, patient)
        items = self.world.items(system.resource_rows.table)
        resources = [system.resource_rows.from_values(item) for item in items if item["patient_id"] == patient]
        return row and row.including(resources)

    def put(self, record: Record) -> None:
        """Write all rows of a record, as an operator would by hand."""
        self.world.put(*record.rows(), version=100)

    def lose(self, system: type[Record]) -> None:
        """Delete all rows of a system."""
        self.world.clear(system.table, system.resource_rows.table)

    def values(self, patient: str = "ada") -> list[dict[str, Any]]:
        """The values of the facts of a patient in each of the three systems."""
        rows = [self.row(system, patient) for system in SYSTEMS]
        return [{name: fact.value for name, fact in row.facts.items()} if row else {} for row in rows]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all systems, without their versions."""
        return {
            table: [{name: value for name, value in item.items() if name != "version"} for item in rows]
            for table in TABLES
            if (rows := self.world.items(table)) is not None
        }

    def clear(self) -> None:
        """Delete all rows of the systems and the ledger. The event store stays."""
        self.world.clear(*TABLES, "ledger")

    def found(self, event: type[E]) -> list[E]:
        """All events of a type, in the order of recording."""
        return [
            event.read(envelope.data, version=envelope.metadata.version)
            for envelope in sorted(self.world.recorded(), key=lambda each: each.metadata.recorded_at)
            if envelope.metadata.type == event.contract.type
        ]

    def conflicts(self) -> list[tuple[str, str]]:
        """The ids of the allergy and the prescription of each reported conflict."""
        return [(found.allergy_id, found.prescription_id) for found in self.found(AllergyConflictFound)]

    def unchecked(self, patient: str = "ada", *others: str) -> list[tuple[str, str | None, str]]:
        """Prescription, allergy and reason of each unchecked prescription. `others` are records of the same person."""
        rows = [self.row(PharmacyRecord, each) for each in (patient, *others)]
        answers = [self.world.row(TerminologyAnswer, key) for key in questions_about(rows)]
        known = terminology({answer.question: answer for answer in answers if answer})
        return [
            (each.prescription, each.allergy, each.reason) for each in unchecked_prescriptions(rows[0], rows, known)
        ]

    def shared(self) -> list[SharedIdentifierFound]:
        """The reports of shared numbers."""
        return self.found(SharedIdentifierFound)

    def terms(self, patient: str = "ada") -> list[str]:
        """The search terms that lead to a patient."""
        return sorted(row["term"] for row in self.world.items("patient-terms") if row["patient_id"] == patient)
