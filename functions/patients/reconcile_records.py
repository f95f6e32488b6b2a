"""Hold what the three systems have of a patient against the store, tell what is different, and mend it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from daybook.consumers.reaction import reaction
from daybook.consumers.work import RecordedEvent, Work
from events.patients import (
    AllergyConflictFound,
    PatientRecordsMerged,
    PatientRecordsUnmerged,
    PatientRecordUpdated,
    ReconciliationAsked,
    RecordDivergenceFound,
    SharedIdentifierFound,
    System,
)
from functions.patients.billing import Billed
from functions.patients.index import Indexed, leave_hints, lost_hints, shared
from functions.patients.pharmacy import Medicated, keep
from functions.patients.record import LINK, REPLACES, Record, Told, recalled

# Each system's rows, and which of its functions handles what: PatientRecordUpdated, and what merges and parts records.
SYSTEMS: Mapping[System, tuple[type[Record], Mapping[type[Told], str]]] = {
    "index": (
        Indexed,
        {
            PatientRecordUpdated: "index-patient",
            PatientRecordsMerged: "index-merged",
            PatientRecordsUnmerged: "index-unmerged",
        },
    ),
    "pharmacy": (
        Medicated,
        {
            PatientRecordUpdated: "sync-pharmacy",
            PatientRecordsMerged: "sync-pharmacy-merged",
            PatientRecordsUnmerged: "sync-pharmacy-unmerged",
        },
    ),
    "billing": (
        Billed,
        {
            PatientRecordUpdated: "sync-billing",
            PatientRecordsMerged: "sync-billing-merged",
            PatientRecordsUnmerged: "sync-billing-unmerged",
        },
    ),
}
HINTS = "hints"


@reaction(ReconciliationAsked, emits=(RecordDivergenceFound, AllergyConflictFound, SharedIdentifierFound))
def handler(asked: ReconciliationAsked, work: Work) -> None:
    # First the rows, then the store, which never lags behind them: a row that is written meanwhile is not overwritten.
    work.prefetch(*((record, [asked.patient_id]) for record, _ in SYSTEMS.values()))
    store = _Store(work)
    rows = [work.read(record, asked.patient_id) for record, _ in SYSTEMS.values()]
    related = {other for row in rows for other in row.replaces}
    for system, (record, consumers) in SYSTEMS.items():
        found = _Findings(system, consumers, store, work)
        found.look_at(work.read(record, asked.patient_id), related)
        found.mend()


class _Store:
    """What the store says of patients, each stream of which is read once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._histories: dict[str, list[RecordedEvent[Told]]] = {}

    def history(self, patient_id: str) -> list[RecordedEvent[Told]]:
        """All that was said of a patient's record."""
        if patient_id not in self._histories:
            types = (PatientRecordUpdated, PatientRecordsMerged, PatientRecordsUnmerged)
            self._histories[patient_id] = self._work.history(f"patient/{patient_id}", *types)
        return self._histories[patient_id]


@dataclass
class _Findings:
    """What is different in one system. `mended` are the rows as they should be, `fields` names what was not so."""

    system: System
    consumers: Mapping[type[Told], str]
    store: _Store
    work: Work
    mended: dict[str, Record] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)

    def look_at(self, row: Record, related: Iterable[str]) -> None:
        """Hold a row, and those that it hangs together with, against the store. `related` may be given up for it."""
        true = recalled(type(row), row.patient_id, self.store.history(row.patient_id))
        names = sorted(row.facts.keys() | true.facts.keys())
        different = [name for name in names if row.facts.get(name) != true.facts.get(name)]
        different = self._handled(true, different)
        facts = {name: fact for name, fact in row.facts.items() if name not in different}
        facts |= {name: true.facts[name] for name in different if name in true.facts}
        after = row.with_facts(facts)
        replaces = set(self._replaced_by(row, {*related, *row.replaces}))
        if replaces != set(row.replaces):
            after = after.replacing(replaces)
            different = [*different, REPLACES]
        if isinstance(after, Indexed) and lost_hints(self.work, after):
            different = [*different, HINTS]
        if different:
            self.mended[row.patient_id] = after
            self.fields[row.patient_id] = different
        if after.replaced_by:
            self._look_at_survivor(after)

    def mend(self) -> None:
        """Write the rows that were different, and tell of them."""
        for patient_id, fields in self.fields.items():
            self.work.emit(RecordDivergenceFound(patient_id=patient_id, system=self.system, fields=tuple(fields)))
        medicated = [row for row in self.mended.values() if isinstance(row, Medicated)]
        keep(self.work, medicated)
        for row in self.mended.values():
            if isinstance(row, Medicated):
                continue
            self.work.save(row)
            if isinstance(row, Indexed) and self.fields.get(row.patient_id, [REPLACES]) != [REPLACES]:
                before = self.work.read(Indexed, row.patient_id)
                for finding in shared(self.work, row, leave_hints(self.work, row.said, before)):
                    self.work.emit(finding)

    def _look_at_survivor(self, row: Record) -> None:
        into = self.work.read(type(row), str(row.replaced_by))
        if row.patient_id not in into.replaces:
            # Both are written: whoever has parted them since this one was read is not overruled.
            self.mended.setdefault(row.patient_id, row)
            self.mended[into.patient_id] = into.replacing({*into.replaces, row.patient_id})
            self.fields[into.patient_id] = [REPLACES]

    def _replaced_by(self, row: Record, candidates: Iterable[str]) -> Iterator[str]:
        """Which of the candidates are given up for the record. Of those on the way it holds what the row says."""
        for other in candidates:
            true = recalled(type(row), other, self.store.history(other))
            if not self._handled(true, [LINK]):
                if other in row.replaces:
                    yield other
            elif true.replaced_by == row.patient_id:
                yield other

    def _handled(self, true: Record, names: Iterable[str]) -> list[str]:
        """Those names of facts whose event the system should have handled; of facts that there are not, all."""
        types = {past.metadata.id: type(past.event) for past in self.store.history(true.patient_id)}
        deliveries = {
            name: (fact.event, self.consumers[types[fact.event]]) for name in names if (fact := true.facts.get(name))
        }
        awaited = self.work.pending(deliveries.values())
        return [name for name in names if deliveries.get(name) not in awaited]
