"""The unit of work: what one received event does, as one transaction.

A function's body reads state, decides, and says what changes: rows and new events. It calls no AWS API itself. When it
has returned, everything is committed at once together with the ledger's row, or nothing is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from daybook.contracts import clock
from daybook.contracts.contract import Event, Place
from daybook.contracts.envelope import Metadata
from daybook.contracts.identity import emitted_id
from daybook.runtime.settings import Settings
from daybook.store import ledger_keys
from daybook.store.attributes import pack, unpack, unpack_item
from daybook.store.event_store import Draft, EventStore, Head, successor
from daybook.store.ledger import COMMITTED, TRYING, Entry, Ledger
from daybook.store.state import KEY, VERSION, State
from daybook.store.timers import DueTable, Timer
from daybook.store.transaction import Pauses, batch_get

R = TypeVar("R", bound=State)
H = TypeVar("H", bound=Event)

# DynamoDB's quota for one BatchGetItem.
_MAX_READS = 100

# The name of the ledger's part in every transaction of a consumer.
LEDGER = "ledger"


class NotDeclared(TypeError):
    """A function emits an event that its decorator does not name. Add it to `emits`."""


class NotATimersEvent(TypeError):
    """A function arms an event whose contract is not a timer's, or emits one whose contract is. Use the other."""


class NoSuchField(TypeError):
    """A function changes a field that its row does not have. Is it misspelled?"""


class WrittenTwice(ValueError):
    """A unit of work saves a row that it also changes or saves again. One row, one way of writing it."""


class NotRead(TypeError):
    """A function sets a least for a row that it has not read. Read it first: the body decides on what it has seen."""


class RowExists(RuntimeError):
    """A row that was saved without having been read is there already. Read it first, or give the row another key."""


class StreamTaken(RuntimeError):
    """An event that opens its stream found it open. Two causes share one id, which a contract should have prevented."""


class StreamNotOpen(RuntimeError):
    """An event that continues its stream found none. What should have opened it has not happened."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The parts of the backbone that a unit of work stands on."""

    dynamodb: Any
    store: EventStore
    ledger: Ledger
    due: DueTable
    settings: Settings


@dataclass(frozen=True, slots=True)
class Past(Generic[H]):
    """An event that was recorded before, and what is told of it."""

    event: H
    metadata: Metadata


@dataclass(slots=True)
class _Change:
    """The sum of all changes to one row: differences, and the least that each field may be left with."""

    row: type[State]
    differences: Counter[str] = field(default_factory=Counter)
    at_least: dict[str, int] = field(default_factory=dict)


class Work:
    """What a body sees. `cause` is the metadata of the event that is being handled."""

    def __init__(
        self,
        backbone: Backbone,
        consumer: str,
        cause: Metadata,
        *,
        emits: tuple[type[Event], ...],
        pauses: Pauses,
    ) -> None:
        self.cause = cause
        self._pauses = pauses
        self._backbone = backbone
        self._consumer = consumer
        self._emits = emits
        self._now = clock.now()
        self._rows: dict[tuple[str, str], tuple[State, int]] = {}
        self._saved: dict[tuple[str, str], State] = {}
        self._changed: dict[tuple[str, str], _Change] = {}
        self._emitted: list[tuple[str, Event]] = []
        self._armed: list[tuple[str, Event, str]] = []

    @property
    def now(self) -> datetime:
        """This moment, the same however often it is asked."""
        return clock.moment(self._now)

    def read(self, row: type[R], key: str) -> R:
        """The row with that key, read consistently; a blank one if there is none."""
        return self.read_all(row, [key])[key]

    def read_all(self, row: type[R], keys: Iterable[str]) -> dict[str, R]:
        """The rows with those keys, in one call; blank ones where there are none."""
        wanted = list(dict.fromkeys(keys))
        self.prefetch((row, wanted))
        return {key: cast("R", self._rows[row.table, key][0]) for key in wanted}

    def prefetch(self, *wanted: tuple[type[State], Iterable[str]]) -> None:
        """Read rows of several tables in one call, so that `read` and `read_all` find them at hand."""
        missing = [
            (row, key) for row, keys in wanted for key in dict.fromkeys(keys) if (row.table, key) not in self._rows
        ]
        for start in range(0, len(missing), _MAX_READS):
            self._fetch(missing[start : start + _MAX_READS])

    def history(self, stream: str, *types: type[H]) -> list[Past[H]]:
        """The events of these types in a stream, from its beginning, read consistently. For streams that stay short.

        Raises UnknownVersion and ContractBroken, as reading an event does that is delivered.
        """
        read = {event.contract.type: event for event in types}
        return [
            Past(read[m.type].read(envelope.data, version=m.version), m)
            for envelope in self._backbone.store.stream(stream)
            if (m := envelope.metadata).type in read
        ]

    def on_the_way(self, deliveries: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the deliveries, each an event's id and a consumer, of which nothing has come yet and still may: they
        were not handled, or failed and will be tried again.
        """
        wanted = list(dict.fromkeys(deliveries))
        keys = [ledger_keys.of_event(event, consumer) for event, consumer in wanted]
        states: dict[tuple[str, str], str] = {}
        for start in range(0, len(keys), _MAX_READS):
            for row in self._backbone.ledger.several(keys[start : start + _MAX_READS], self._pauses):
                states[row.event, row.consumer] = row.state
        return {each for each in wanted if states.get(each, TRYING) == TRYING}

    def save(self, row: State) -> None:
        """Write the whole row, if it is still as this unit of work has read it; unread, if there is none yet.

        If another was faster, the body runs again on what that one left.
        """
        place = (row.table, row.row_id)
        if place in self._saved or place in self._changed:
            msg = f"{type(row).__name__} is written twice in one unit of work"
            raise WrittenTwice(msg)
        self._saved[place] = row

    def change(self, row: State, *, at_least: int | None = None, **differences: int) -> None:
        """Add to whole-number fields of the row, without regard to who else does so at the same time.

        `at_least` is what each lowered field must be left with; when it would be less, the body runs again on the row
        as it is then. Rows that many write at once are best changed, not saved.
        """
        if unknown := differences.keys() - type(row).model_fields:
            msg = f"{type(row).__name__} has no field {', '.join(sorted(unknown))}"
            raise NoSuchField(msg)
        place = (row.table, row.row_id)
        if at_least is not None and place not in self._rows:
            msg = f"{self._consumer} sets a least for a {type(row).__name__} that it has not read"
            raise NotRead(msg)
        if place in self._saved:
            msg = f"{type(row).__name__} is written twice in one unit of work"
            raise WrittenTwice(msg)
        change = self._changed.setdefault(place, _Change(type(row)))
        change.differences.update(differences)
        if at_least is not None:
            for name in differences:
                change.at_least[name] = max(at_least, change.at_least.get(name, at_least))

    def emit(self, event: Event) -> None:
        """Say that something has happened. It is stored with all else that this unit of work does, then published."""
        if event.contract.timer:
            msg = f"{self._consumer} emits {type(event).__name__}, which is a timer's; arm it"
            raise NotATimersEvent(msg)
        self._emitted.append((self._new_id(event), event))

    def arm(self, event: Event, at: datetime) -> None:
        """Have the event recorded at that time; at once, if it lies in the past. Nothing can take it back: whoever
        handles the event looks whether it still applies.
        """
        if not event.contract.timer:
            msg = f"{self._consumer} arms a timer with {type(event).__name__}, whose contract is not a timer's"
            raise NotATimersEvent(msg)
        # Minutes that have passed may be finished: no sweep looks there any more.
        self._armed.append((self._new_id(event), event, max(clock.timestamp(at), self._now)))

    # --- what the runtime asks for once the body has returned -------------------------------------------------------

    @property
    def emitted(self) -> list[Event]:
        """The events, in the order in which the body emitted them."""
        return [event for _, event in self._emitted]

    @property
    def emitted_ids(self) -> list[str]:
        """Their ids."""
        return [event_id for event_id, _ in self._emitted]

    def parts(self, *, happened: bool = False) -> tuple[dict[str, dict[str, Any]], dict[str, Exception]]:
        """The parts of the transaction by name, and the errors of those whose refusal is final, if nothing else was
        refused beside them.

        Any other refused part means that another was faster, and that the body should run again. `happened`: it is an
        account of what the world outside has done (see Ledger.record).
        """
        entry = Entry(
            event=self.cause.id,
            consumer=self._consumer,
            state=COMMITTED,
            at=self._now,
            stream=self.cause.stream,
            sequence=self.cause.sequence,
            emitted=self.emitted_ids,
        )
        parts = {LEDGER: self._backbone.ledger.record(entry, happened=happened)}
        final: dict[str, Exception] = {}
        for place, row in self._saved.items():
            name = f"row {'/'.join(place)}"
            if place not in self._rows:
                exists = f"{self._consumer} saves a {type(row).__name__} unread that is there already"
                final[name] = RowExists(exists)
            parts[name] = self._saving(place, row)
        for place, change in self._changed.items():
            parts[f"row {'/'.join(place)}"] = self._changing(place, change)
        parts |= self._arming()
        for stream, drafts in self._drafts().items():
            kind = stream.partition("/")[0]
            first, *later = (event.contract.place for event in self.emitted if event.stream == stream)
            taken = StreamTaken(f"{self._consumer} opens a stream of {kind} that is open already")
            if Place.OPENS in later:
                raise taken
            head = None if first is Place.OPENS else self._backbone.store.head(stream)
            if head is None and first is Place.CONTINUES:
                msg = f"{drafts[0].type} continues a stream of {kind} that nothing has opened"
                raise StreamNotOpen(msg)
            for draft in drafts:
                if head is None and first is Place.OPENS:
                    final[f"event {draft.id}"] = taken
                envelope = successor(draft, head, self._now)
                head = Head.at(envelope)
                parts[f"event {draft.id}"] = self._backbone.store.append(envelope)
        return parts, final

    def _new_id(self, event: Event) -> str:
        if type(event) not in self._emits:
            msg = f"{self._consumer} emits {type(event).__name__}, which its decorator does not name"
            raise NotDeclared(msg)
        earlier = [*self.emitted, *(armed for _, armed, _ in self._armed)]
        ordinal = sum(type(each) is type(event) for each in earlier)
        return emitted_id(self.cause.id, self._consumer, type(event).__name__, ordinal)

    def _arming(self) -> dict[str, dict[str, Any]]:
        parts = {}
        for event_id, event, at in self._armed:
            draft = self._draft(event_id, event, at)
            successor(draft, None, self._now)  # raises EventTooLarge now, when somebody can still do something about it
            parts[f"timer {event_id}"] = self._backbone.due.arm(Timer(draft, event.contract.place))
        return parts

    def _drafts(self) -> dict[str, list[Draft]]:
        drafts: dict[str, list[Draft]] = {}
        for event_id, event in self._emitted:
            drafts.setdefault(event.stream, []).append(self._draft(event_id, event, self._now))
        return drafts

    def _draft(self, event_id: str, event: Event, time: str) -> Draft:
        return Draft(
            id=event_id,
            type=event.contract.type,
            version=event.contract.version,
            stream=event.stream,
            time=time,
            data=event.to_json(),
            producer=self._consumer,
            source=event.contract.published_source,
            correlation_id=self.cause.correlation_id,
            causation_id=self.cause.id,
        )

    def _fetch(self, missing: list[tuple[type[State], str]]) -> None:
        if not missing:
            return
        settings = self._backbone.settings
        rows = {(settings.table(row.table), key): row for row, key in missing}
        for row, key in missing:
            self._rows[row.table, key] = (row.blank(key), 0)
        request: Mapping[str, Any] = {
            table: {"Keys": [row.address(key) for name, key in rows if name == table], "ConsistentRead": True}
            for table, row in {name: row for (name, _), row in rows.items()}.items()
        }
        for table, item in batch_get(self._backbone.dynamodb, request, self._pauses):
            found = rows[table, unpack(item[KEY])].from_item(item)
            self._rows[found.table, found.row_id] = (found, unpack_item(item).get(VERSION, 0))

    def _saving(self, place: tuple[str, str], row: State) -> dict[str, Any]:
        version = self._rows[place][1] if place in self._rows else 0
        put: dict[str, Any] = {
            "TableName": self._backbone.settings.table(row.table),
            "Item": row.to_item(version + 1),
            "ExpressionAttributeNames": {"#version": VERSION},
        }
        if version:
            put["ConditionExpression"] = "#version = :version"
            put["ExpressionAttributeValues"] = {":version": pack(version)}
        else:
            put["ConditionExpression"] = "attribute_not_exists(#version)"
        return {"Put": put}

    def _changing(self, place: tuple[str, str], change: _Change) -> dict[str, Any]:
        # The version counts changes too, so that a row that someone saves meanwhile is not overwritten.
        names = {"#version": VERSION}
        values = {":one": pack(1)}
        additions = ["#version :one"]
        conditions = []
        for number, (name, difference) in enumerate(change.differences.items()):
            names[f"#f{number}"] = name
            values[f":d{number}"] = pack(difference)
            additions.append(f"#f{number} :d{number}")
            if difference < 0 and name in change.at_least:
                needed = change.at_least[name] - difference
                values[f":m{number}"] = pack(needed)
                # A field that is not there counts as 0.
                absent = f"attribute_not_exists(#f{number}) OR " if needed <= 0 else ""
                conditions.append(f"({absent}#f{number} >= :m{number})")
        update: dict[str, Any] = {
            "TableName": self._backbone.settings.table(change.row.table),
            "Key": {KEY: pack(place[1])},
            "UpdateExpression": "ADD " + ", ".join(additions),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
        return {"Update": update}
