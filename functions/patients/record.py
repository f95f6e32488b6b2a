"""The record of a patient in one system, and the links between the records of one person.

Each system keeps its own part of a record, in two tables of its own. One has a row for each record. The other has a row
for each of the record's resources (a prescription, a stay …), so that no row grows with all resources of a patient's
life. The record's row names only the resources that decisions need, such as active prescriptions.

A record that another one replaces keeps its facts. Both records name each other, so that all records of a person are
found from any of them, and a merge can be undone.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from daybook.consumers.work import RecordedEvent, Work
from daybook.store.state import State
from events.fhir import Resource
from events.patients import PatientRecordsMerged, PatientRecordsUnmerged, PatientRecordUpdated
from functions.patients.demographics import REPLACED_BY
from functions.patients.facts import Fact, Facts, newest

RecordEvent = PatientRecordUpdated | PatientRecordsMerged | PatientRecordsUnmerged

LINK = "link"
LINKS = (LINK, REPLACED_BY)
REPLACES = "replaces"
CURRENT = "current"


class ResourceRow(State, table="", key="resource"):
    """What one system keeps of one resource of a record. Each system has a subclass, whose table holds the rows."""

    resource: str  # `<record>/<name of the fact>`
    patient_id: str = ""
    fact: Fact | None = None

    @property
    def name(self) -> str:
        """The name of the fact: `prescription/m1`."""
        return self.resource.partition("/")[2]


class Record(State, table="", key="patient_id"):
    """One patient's record in one system. Each system has a subclass, whose table holds the rows.

    `facts` has the facts of the record's row, and those of the resources that were read with it: read_records.
    """

    resource_rows: ClassVar[type[ResourceRow]]
    # The field that is set in the value of a resource while decisions need it. None: decisions need no resources.
    current_field: ClassVar[str | None] = None

    patient_id: str
    facts: Facts = {}
    current: tuple[str, ...] = ()  # the names of the facts about resources that decisions need
    replaces: tuple[str, ...] = ()  # the records that this one replaces

    @classmethod
    @abstractmethod
    def values_from(cls, resource: Resource) -> Mapping[str, Any]:
        """The facts that the system keeps of a resource: values by name."""

    @classmethod
    def values_of(cls, event: RecordEvent) -> Mapping[str, Any]:
        """The facts that the system keeps of an event: values by name."""
        match event:
            case PatientRecordUpdated():
                return cls.values_from(event.resource)
            case PatientRecordsMerged():
                return {LINK: event.into}
            case PatientRecordsUnmerged():
                return {LINK: None}

    def after(self, event: RecordEvent, event_id: str) -> Self:
        """The record after the event. Newer events may have been applied before."""
        return self.with_facts(newest(self.facts, self.values_of(event), event.revision, event_id))

    def with_facts(self, facts: Facts) -> Self:
        """The same record with other facts."""
        field = self.current_field
        current = (
            name for name, fact in facts.items() if field and is_resource(name) and (fact.value or {}).get(field)
        )
        return self.evolve(facts=facts, current=tuple(sorted(current)))

    def including(self, resources: Iterable[ResourceRow]) -> Self:
        """The same record with the facts of these rows."""
        return self.evolve(facts=self.facts | {row.name: row.fact for row in resources if row.fact})

    def rows(self) -> list[State]:
        """The rows of the record: its own, and those of its resources."""
        resources = {name: fact for name, fact in self.facts.items() if is_resource(name)}
        own = {name: fact for name, fact in self.facts.items() if name not in resources}
        row = self.resource_rows
        return [
            self.evolve(facts=own),
            *(
                row(resource=resource_key(self.patient_id, name), patient_id=self.patient_id, fact=fact)
                for name, fact in resources.items()
            ),
        ]

    def replacing(self, records: Iterable[str]) -> Self:
        """The same record, which replaces these records."""
        return self.evolve(replaces=tuple(sorted(set(records))))

    def value(self, name: str) -> Any:
        """The value of a fact. None if there is no such fact, or if it no longer holds."""
        return self.facts[name].value if name in self.facts else None

    def resources(self, kind: str) -> dict[str, Any]:
        """The values of all facts about resources of a kind, by the resource's id."""
        found = {name.partition("/"): fact.value for name, fact in self.facts.items()}
        return {key: value for (of, slash, key), value in found.items() if slash and of == kind and value is not None}

    @property
    def replaced_by(self) -> str | None:
        """The record that replaces this one, by the newer of two facts: of merges, and of the Patient's links."""
        merge, resource = self.facts.get(LINK), self.facts.get(REPLACED_BY)
        # A Patient without a link says nothing about a merge, which has events of its own.
        stated = [fact for fact in (merge, resource if resource and resource.value else None) if fact]
        link: str | None = max(stated, key=lambda fact: fact.version).value if stated else None
        return link


Rec = TypeVar("Rec", bound=Record)


def from_history(system: type[Rec], patient_id: str, history: Iterable[RecordedEvent[RecordEvent]]) -> Rec:
    """The record that results from these events. `replaces` is empty, because it follows from other records' events."""
    record = system.blank(patient_id)
    facts = record.facts
    for past in history:
        facts = newest(facts, record.values_of(past.event), past.event.revision, past.metadata.id)
    return record.with_facts(facts)


def is_resource(name: str) -> bool:
    """Whether a fact with this name is about one of the record's resources, and has a row of its own."""
    return "/" in name


def resource_key(patient_id: str, name: str) -> str:
    """The key of the row of a fact about a resource."""
    return f"{patient_id}/{name}"


def read_records(work: Work, system: type[Rec], patients: Iterable[str], names: Iterable[str] = ()) -> dict[str, Rec]:
    """The records, by id. Each has the facts about its current resources, and the existing facts with these names."""
    wanted = list(patients)
    named = [name for name in names if is_resource(name)]
    resource_row = system.resource_rows
    work.prefetch((system, wanted), (resource_row, [resource_key(each, name) for each in wanted for name in named]))
    found = {}
    rows = work.read_all(system, wanted)
    keys = {each: [resource_key(each, name) for name in (*row.current, *named)] for each, row in rows.items()}
    resources = work.read_all(resource_row, [key for each in keys.values() for key in each])
    for patient_id, row in rows.items():
        found[patient_id] = row.including(resources[key] for key in keys[patient_id])
    return found


def read_record(work: Work, system: type[Rec], patient_id: str, names: Iterable[str] = ()) -> Rec:
    """One record, as read_records reads it."""
    return read_records(work, system, [patient_id], names)[patient_id]


def save_record(work: Work, record: Record) -> None:
    """Save the record's row, and the rows of the resources that have changed. The record was read with all of them.

    The record's row is always saved. So units of work that change two resources of a record at once do not miss each
    other's change.
    """
    before = read_record(work, type(record), record.patient_id, record.facts)
    own, *resources = record.rows()
    work.save(own)
    for row in resources:
        if isinstance(row, ResourceRow) and row.fact != before.facts.get(row.name):
            work.save(row)
    for name in before.facts.keys() - record.facts.keys():
        if is_resource(name):
            work.save(record.resource_rows.blank(resource_key(record.patient_id, name)))


def changed(work: Work, system: type[Rec], event: RecordEvent) -> dict[str, Rec]:
    """The records that the event changes: its own, and those that replaced it before or replace it now."""
    values = system.values_of(event)
    if not values:
        return {}
    before = read_record(work, system, event.patient_id, values)
    after = before.after(event, work.cause.id)
    records = {} if after == before else {event.patient_id: after}
    if after.replaced_by != before.replaced_by:
        if before.replaced_by:
            old = read_record(work, system, before.replaced_by)
            records[old.patient_id] = old.replacing({*old.replaces} - {event.patient_id})
        if after.replaced_by:
            new = read_record(work, system, after.replaced_by)
            records[new.patient_id] = new.replacing({*new.replaces, event.patient_id})
    return records


def of_one_person(work: Work, record: Rec, unsaved: Mapping[str, Rec] | None = None) -> dict[str, Rec]:
    """All records of the person, by id. Records in `unsaved` are used in place of their rows."""
    unsaved = {record.patient_id: record, **(unsaved or {})}
    found: dict[str, Rec] = {}
    new = {record.patient_id}
    while new:
        read = read_records(work, type(record), sorted(new - unsaved.keys()))
        found |= {patient_id: unsaved.get(patient_id) or read[patient_id] for patient_id in new}
        linked = {other for each in found.values() for other in (each.replaced_by, *each.replaces) if other}
        new = linked - found.keys()
    return found
