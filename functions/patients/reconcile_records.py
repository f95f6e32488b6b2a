"""Compare the three systems' rows of a patient with the event store, report what differs, and correct it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from daybook.consumers.reaction import reaction
from daybook.consumers.work import RecordedEvent, Work
from events.patients import (
    AllergyConflictFound,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    ReconciliationRequested,
    RecordDivergenceFound,
    SharedIdentifierFound,
    System,
)
from functions.patients.billing import BillingRecord
from functions.patients.index import IndexRecord, lacks_hints, save_hints, shared_identifiers
from functions.patients.pharmacy import PharmacyRecord, save_and_report_conflicts
from functions.patients.record import (
    CURRENT,
    LINKS,
    REPLACES,
    Record,
    RecordEvent,
    from_history,
    is_resource,
    read_record,
    save_record,
)


def _consumers(prefix: str, *, update: str) -> Mapping[type[RecordEvent], str]:
    return {
        PatientRecordUpdated: update,
        PatientRecordsMerged: f"{prefix}-merged",
        PatientRecordsUnmerged: f"{prefix}-unmerged",
    }


# The rows of each system, and the consumer of each event that writes them.
SYSTEMS: Mapping[System, tuple[type[Record], Mapping[type[RecordEvent], str]]] = {
    "index": (IndexRecord, _consumers("index", update="index-patient")),
    "pharmacy": (PharmacyRecord, _consumers("sync-pharmacy", update="sync-pharmacy")),
    "billing": (BillingRecord, _consumers("sync-billing", update="sync-billing")),
}
HINTS = "hints"

# How many facts about resources one transaction corrects, because each has a row of its own. If more differ, the next
# request corrects them.
_MAX_RESOURCES = 20


@reaction(
    ReconciliationRequested,
    emits=(RecordDivergenceFound, AllergyConflictFound, SharedIdentifierFound, ReconciliationRequested),
)
def handler(request: ReconciliationRequested, work: Work) -> None:
    # The rows are read before the event store, which is never behind them. A row that is written in between is not
    # overwritten, because its version has changed.
    work.prefetch(*((record, [request.patient_id]) for record, _ in SYSTEMS.values()))
    store = _Store(work)
    rows = [read_record(work, record, request.patient_id) for record, _ in SYSTEMS.values()]
    related = {other for row in rows for other in row.replaces}
    room = _MAX_RESOURCES
    for (system, (_, consumers)), row in zip(SYSTEMS.items(), rows, strict=True):
        comparison = _Comparison(system, consumers, store, work, room=room)
        comparison.compare(row, related)
        comparison.correct()
        room = comparison.room
    if room < 0:
        work.emit(request)


class _Store:
    """The streams of patients in the event store. Each is read once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._histories: dict[str, list[RecordedEvent[RecordEvent]]] = {}

    def history(self, patient_id: str) -> list[RecordedEvent[RecordEvent]]:
        """All events that change a patient's record."""
        if patient_id not in self._histories:
            types = (PatientRecordUpdated, PatientRecordsMerged, PatientRecordsUnmerged)
            self._histories[patient_id] = self._work.history(f"patient/{patient_id}", *types)
        return self._histories[patient_id]


@dataclass
class _Comparison:
    """What differs in one system: the corrected rows, and the names of the facts that differed, by patient."""

    system: System
    consumers: Mapping[type[RecordEvent], str]
    store: _Store
    work: Work
    room: int  # how many more facts about resources may be corrected; negative if there were too many
    corrected: dict[str, Record] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def compare(self, row: Record, related: Iterable[str]) -> None:
        """Compare a row, and the row that replaces it, with the event store. It may replace the `related` records."""
        true = from_history(type(row), row.patient_id, self.store.history(row.patient_id))
        row = read_record(self.work, type(row), row.patient_id, true.facts)
        names = sorted(row.facts.keys() | true.facts.keys())
        different = self._within_room(
            self._settled(true, [name for name in names if row.facts.get(name) != true.facts.get(name)])
        )
        facts = {name: fact for name, fact in row.facts.items() if name not in different}
        facts |= {name: true.facts[name] for name in different if name in true.facts}
        after = row.with_facts(facts)
        if row.current != row.with_facts(row.facts).current:
            different = [*different, CURRENT]
        replaces = set(self._replaced_by(row, {*related, *row.replaces}))
        if replaces != set(row.replaces):
            after = after.replacing(replaces)
            different = [*different, REPLACES]
        if isinstance(after, IndexRecord) and lacks_hints(self.work, after):
            different = [*different, HINTS]
        if different:
            self.corrected[row.patient_id] = after
            self.names[row.patient_id] = different
        if after.replaced_by:
            self._compare_replacement(after)

    def correct(self) -> None:
        """Save the corrected rows, and emit an event for each row that differed."""
        for patient_id, names in self.names.items():
            self.work.emit(RecordDivergenceFound(patient_id=patient_id, system=self.system, fields=tuple(names)))
        in_pharmacy = [row for row in self.corrected.values() if isinstance(row, PharmacyRecord)]
        save_and_report_conflicts(self.work, in_pharmacy)
        for row in self.corrected.values():
            if isinstance(row, PharmacyRecord):
                continue
            save_record(self.work, row)
            if isinstance(row, IndexRecord) and self.names.get(row.patient_id, [REPLACES]) != [REPLACES]:
                before = self.work.read(IndexRecord, row.patient_id)
                for found in shared_identifiers(self.work, row, save_hints(self.work, row.values, before)):
                    self.work.emit(found)

    def _compare_replacement(self, row: Record) -> None:
        replacement = read_record(self.work, type(row), str(row.replaced_by))
        if row.patient_id not in replacement.replaces:
            # Both rows are saved, so that an unmerge after they were read makes this transaction fail.
            self.corrected.setdefault(row.patient_id, row)
            self.corrected[replacement.patient_id] = replacement.replacing({*replacement.replaces, row.patient_id})
            self.names[replacement.patient_id] = [REPLACES]

    def _replaced_by(self, row: Record, candidates: Iterable[str]) -> Iterator[str]:
        """The candidates that the record replaces. If the link of one is still being processed, the row decides."""
        for other in candidates:
            true = from_history(type(row), other, self.store.history(other))
            if self._settled(true, LINKS) != list(LINKS):
                if other in row.replaces:
                    yield other
            elif true.replaced_by == row.patient_id:
                yield other

    def _within_room(self, names: Iterable[str]) -> list[str]:
        """These names, with at most as many facts about resources as may still be corrected."""
        found = list(names)
        resources = [name for name in found if is_resource(name)]
        postponed = set(resources[max(self.room, 0) :])
        self.room -= len(resources)
        return [name for name in found if name not in postponed]

    def _settled(self, true: Record, names: Iterable[str]) -> list[str]:
        """The names of the facts whose event the system is no longer processing, or that no event has set."""
        types = {past.metadata.id: type(past.event) for past in self.store.history(true.patient_id)}
        deliveries = {
            name: (fact.event, self.consumers[types[fact.event]]) for name in names if (fact := true.facts.get(name))
        }
        pending = self.work.pending(deliveries.values())
        return [name for name in names if deliveries.get(name) not in pending]
