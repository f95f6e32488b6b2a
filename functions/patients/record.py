"""What a system knows of a patient, and how the records of one person hang together.

Each system keeps its own share of a record, in a table of its own. A record that is given up for another one stays what
it is; both know of each other, so that a person's records are found from any of them, and can be parted again.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeVar

from daybook.consumers.work import RecordedEvent, Work
from daybook.store.state import State
from events.fhir import Resource
from events.patients import PatientRecordsMerged, PatientRecordsUnmerged, PatientRecordUpdated
from functions.patients.facts import Facts, newest

Told = PatientRecordUpdated | PatientRecordsMerged | PatientRecordsUnmerged

LINK = "link"
REPLACES = "replaces"


class Record(State, table="", key="patient_id"):
    """One patient's record in one system. A row of each system's table is one."""

    patient_id: str
    facts: Facts = {}
    replaces: tuple[str, ...] = ()  # the records that are given up for this one

    @classmethod
    @abstractmethod
    def share(cls, resource: Resource) -> Mapping[str, Any]:
        """What of a resource the system keeps: facts by their names."""

    @classmethod
    def told_by(cls, event: Told) -> Mapping[str, Any]:
        """What an event says, as far as the system keeps it."""
        match event:
            case PatientRecordUpdated():
                return cls.share(event.resource)
            case PatientRecordsMerged():
                return {LINK: event.into}
            case PatientRecordsUnmerged():
                return {LINK: None}

    def after(self, event: Told, event_id: str) -> Self:
        """The record once the event has happened, whatever else has been heard of already."""
        return self.with_facts(newest(self.facts, self.told_by(event), event.revision, event_id))

    def with_facts(self, facts: Facts) -> Self:
        """The same record with other facts."""
        return self.evolve(facts=facts)

    def replacing(self, records: Iterable[str]) -> Self:
        """The same record, for which these are given up."""
        return self.evolve(replaces=tuple(sorted(set(records))))

    def value(self, name: str) -> Any:
        """What is known under a name; None if nothing is."""
        return self.facts[name].value if name in self.facts else None

    def under(self, kind: str) -> dict[str, Any]:
        """What is known of all resources of a kind, by their ids."""
        found = {name.partition("/"): fact.value for name, fact in self.facts.items()}
        return {key: value for (of, slash, key), value in found.items() if slash and of == kind and value is not None}

    @property
    def replaced_by(self) -> str | None:
        """The record that this one is given up for."""
        link: str | None = self.value(LINK)
        return link


Rec = TypeVar("Rec", bound=Record)


def recalled(system: type[Rec], patient_id: str, history: Iterable[RecordedEvent[Told]]) -> Rec:
    """The record as the store has it, by all that has been said of it. Which others it replaces, those have to say."""
    record = system.blank(patient_id)
    for past in history:
        record = record.after(past.event, past.metadata.id)
    return record


def relinked(work: Work, system: type[Rec], event: PatientRecordsMerged | PatientRecordsUnmerged) -> dict[str, Rec]:
    """The records that are other ones once the event has happened: the one that it tells of, and those it is, or was,
    given up for.
    """
    before = work.read(system, event.patient_id)
    after = before.after(event, work.cause.id)
    records = {} if after == before else {event.patient_id: after}
    if after.replaced_by != before.replaced_by:
        if before.replaced_by:
            was = work.read(system, before.replaced_by)
            records[was.patient_id] = was.replacing({*was.replaces} - {event.patient_id})
        if after.replaced_by:
            now = work.read(system, after.replaced_by)
            records[now.patient_id] = now.replacing({*now.replaces, event.patient_id})
    return records


def of_one_person(work: Work, record: Rec, known: Mapping[str, Rec] | None = None) -> dict[str, Rec]:
    """All records of the person whose record it is. Those in `known` are about to be written so."""
    known = {record.patient_id: record, **(known or {})}
    found: dict[str, Rec] = {}
    new = {record.patient_id}
    while new:
        read = work.read_all(type(record), sorted(new - known.keys()))
        found |= {patient_id: known.get(patient_id) or read[patient_id] for patient_id in new}
        linked = {other for each in found.values() for other in (each.replaced_by, *each.replaces) if other}
        new = linked - found.keys()
    return found
