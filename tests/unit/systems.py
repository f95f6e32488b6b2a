"""The three systems that know patients: what is recorded is delivered to them as a test says."""

from dataclasses import dataclass
from typing import Any, TypeVar

from daybook.consumers.consumer import Consumer
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from events.patients import (
    AllergyConflictFound,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    ReconciliationAsked,
    RecordDivergenceFound,
    SharedIdentifierFound,
)
from functions.patients import reconcile_records
from functions.patients.billing import Billed, sync_billing, sync_billing_merged, sync_billing_unmerged
from functions.patients.index import Indexed, index_merged, index_patient, index_unmerged
from functions.patients.pharmacy import Medicated, sync_pharmacy, sync_pharmacy_merged, sync_pharmacy_unmerged
from functions.patients.record import Record
from tests.unit.builders import from_the_bus, recorded
from tests.unit.world import World

E = TypeVar("E", bound=Event)

Told = PatientRecordUpdated | PatientRecordsMerged | PatientRecordsUnmerged

SYSTEMS: tuple[type[Record], ...] = (Indexed, Medicated, Billed)
TABLES = ("patient-index", "patient-identifiers", "patient-terms", "pharmacy-records", "billing-records")
CONSUMERS: tuple[Consumer[Any], ...] = (
    *(index_patient, index_merged, index_unmerged),
    *(sync_pharmacy, sync_pharmacy_merged, sync_pharmacy_unmerged),
    *(sync_billing, sync_billing_merged, sync_billing_unmerged),
)

Delivery = tuple[Consumer[Event], Envelope]


@dataclass
class Systems:
    """Patients' records, told to the systems event by event."""

    world: World

    def records(self, *events: Event) -> list[Envelope]:
        """Put events into the store, each behind its stream's last, and tell nobody."""
        kept = []
        for event in events:
            envelopes = self.world.stream(event.stream)
            envelope = recorded(event, after=envelopes[-1] if envelopes else None)
            self.world.append(envelope)
            kept.append(envelope)
        return kept

    def hears(self, *events: Told) -> None:
        """Record events, and tell all systems of them in this order."""
        for delivery in self.deliveries(*self.records(*events)):
            self.delivers(delivery)

    @staticmethod
    def deliveries(*envelopes: Envelope) -> list[Delivery]:
        """Who is to hear of what."""
        return [
            (consumer, envelope)
            for envelope in envelopes
            for consumer in CONSUMERS
            if consumer.event_type.contract.type == envelope.metadata.type
        ]

    def delivers(self, *deliveries: Delivery) -> None:
        """Tell them, one by one. All must succeed."""
        for consumer, envelope in deliveries:
            assert self.world.deliver(consumer, from_the_bus(envelope)) == []
        assert self.world.dead_letters() == []

    def reconciles(self, patient: str = "ada") -> list[RecordDivergenceFound]:
        """Ask for it, and say what it has found this time."""
        before = len(self.found(RecordDivergenceFound))
        (asked,) = self.records(ReconciliationAsked(patient_id=patient))
        assert self.world.deliver(reconcile_records.handler, from_the_bus(asked)) == []
        assert self.world.dead_letters() == []
        return self.found(RecordDivergenceFound)[before:]

    def row(self, system: type[Record], patient: str = "ada") -> Any:
        """What a system has of a patient."""
        return self.world.row(system, patient)

    def values(self, patient: str = "ada") -> list[dict[str, Any]]:
        """What each of the three has of a patient, without saying since when."""
        rows = [self.row(system, patient) for system in SYSTEMS]
        return [{name: fact.value for name, fact in row.facts.items()} if row else {} for row in rows]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all systems, but for how often they were written."""
        return {
            table: [{name: value for name, value in item.items() if name != "version"} for item in rows]
            for table in TABLES
            if (rows := self.world.items(table)) is not None
        }

    def forgets(self) -> None:
        """Take all that the systems know, and the account of it, but not the store."""
        self.world.clear(*TABLES, "ledger")

    def found(self, event: type[E]) -> list[E]:
        """What was found of a kind, by patient, in the order of recording."""
        return [
            event.read(envelope.data, version=envelope.metadata.version)
            for envelope in sorted(self.world.recorded(), key=lambda each: each.metadata.recorded_at)
            if envelope.metadata.type == event.contract.type
        ]

    def conflicts(self) -> list[tuple[str, str]]:
        """The allergies and prescriptions that were told to meet."""
        return [(found.allergy_id, found.prescription_id) for found in self.found(AllergyConflictFound)]

    def shared(self) -> list[SharedIdentifierFound]:
        """The numbers that were found with several."""
        return self.found(SharedIdentifierFound)

    def terms(self, patient: str = "ada") -> list[str]:
        """By what a patient is found."""
        return sorted(row["term"] for row in self.world.items("patient-terms") if row["patient_id"] == patient)
