"""The unit of work: everything that a consumer does for one event, as one transaction.

A function's body reads state, decides, and registers changes: rows and new events. It calls no AWS API itself. When it
returns, all changes are committed together with the ledger's row, or none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from daybook.consumers.failure import NonRetryable
from daybook.contracts import clock
from daybook.contracts.contract import Event, Place
from daybook.contracts.envelope import Metadata
from daybook.contracts.identity import emitted_id
from daybook.contracts.proof import Writer
from daybook.runtime.keyring import Keyring
from daybook.runtime.settings import Settings
from daybook.store import ledger_keys
from daybook.store.attributes import item_size, pack, unpack, unpack_item
from daybook.store.event_store import Draft, EventStore, Head, successor
from daybook.store.ledger import COMMITTED, EFFECT_KEY, TRYING, Ledger, LedgerEntry
from daybook.store.limits import BATCH_GET_ITEMS, ITEM_BYTES
from daybook.store.state import KEY, VERSION, State
from daybook.store.timers import DueTable, Timer
from daybook.store.transaction import Backoff, batch_get

R = TypeVar("R", bound=State)
H = TypeVar("H", bound=Event)

# The name of the ledger's part in each transaction of a consumer.
LEDGER = "ledger"


class NotDeclared(TypeError):
    """A function emits an event that its decorator does not name. Add it to `emits`."""


class TimerMismatch(TypeError):
    """A function uses `schedule` for an event whose contract has no `timer=True`, or `emit` for one that has it."""


class NoSuchField(TypeError):
    """A function changes a field that its row does not have. Check the spelling."""


class WrittenTwice(ValueError):
    """A unit of work saves a row that it also changes or saves again. Write each row in one way, and save it once."""


class NotRead(TypeError):
    """A function uses `at_least` for a row that it has not read. Read the row first."""


class RowExists(RuntimeError):
    """A row that was saved without being read exists already. Read it first, or use another key."""


class RowTooLarge(NonRetryable):
    """A row to be saved is larger than DynamoDB's limit. Split it into several rows, or keep less in it.

    The error does not quote the row's key, which may be personal data.
    """


class StreamAlreadyOpen(RuntimeError):
    """An event that opens its stream found the stream already open. Two events use the same id for their stream."""


class StreamNotOpen(RuntimeError):
    """An event that continues its stream found no stream. The event that opens it was never recorded."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The parts of the backbone that a unit of work uses."""

    dynamodb: Any
    store: EventStore
    ledger: Ledger
    due: DueTable
    keyring: Keyring
    settings: Settings


@dataclass(frozen=True, slots=True)
class RecordedEvent(Generic[H]):
    """An event in a stream's history, with its metadata."""

    event: H
    metadata: Metadata


@dataclass(slots=True)
class _Change:
    """All changes to one row: the sum of the differences, and the minimum value of each field afterwards."""

    row: type[State]
    differences: Counter[str] = field(default_factory=Counter)
    at_least: dict[str, int] = field(default_factory=dict)


class Work:
    """The unit of work that a body gets. `cause` is the metadata of the event that is being processed."""

    def __init__(
        self,
        backbone: Backbone,
        consumer: str,
        cause: Metadata,
        *,
        emits: tuple[type[Event], ...],
        backoff: Backoff,
    ) -> None:
        self.cause = cause
        self._backoff = backoff
        self._backbone = backbone
        self._consumer = consumer
        self._emits = emits
        self._now = clock.now()
        self._rows: dict[tuple[str, str], tuple[State, int]] = {}
        self._saved: dict[tuple[str, str], State] = {}
        self._changed: dict[tuple[str, str], _Change] = {}
        self._emitted: list[tuple[str, Event]] = []
        self._scheduled: list[tuple[str, Event, str]] = []

    @property
    def now(self) -> datetime:
        """The time at which the unit of work began."""
        return clock.moment(self._now)

    def read(self, row: type[R], key: str) -> R:
        """The row with that key, or a blank row. A consistent read."""
        return self.read_all(row, [key])[key]

    def read_all(self, row: type[R], keys: Iterable[str]) -> dict[str, R]:
        """The rows with those keys, in one call; blank rows for keys that do not exist. A consistent read."""
        wanted = list(dict.fromkeys(keys))
        self.prefetch((row, wanted))
        return {key: cast("R", self._rows[row.table, key][0]) for key in wanted}

    def prefetch(self, *wanted: tuple[type[State], Iterable[str]]) -> None:
        """Read rows of several tables in one call, so that `read` and `read_all` need no further calls."""
        missing = [
            (row, key) for row, keys in wanted for key in dict.fromkeys(keys) if (row.table, key) not in self._rows
        ]
        for start in range(0, len(missing), BATCH_GET_ITEMS):
            self._fetch(missing[start : start + BATCH_GET_ITEMS])

    def history(self, stream: str, *types: type[H]) -> list[RecordedEvent[H]]:
        """All events of these types in a stream, in order. A consistent read. Use it only for streams that stay short.

        Raises UnknownVersion and ContractBroken.
        """
        read = {event.contract.type: event for event in types}
        return [
            RecordedEvent(read[m.type].read(envelope.data, version=m.version), m)
            for envelope in self._backbone.store.stream(stream)
            if (m := envelope.metadata).type in read
        ]

    def pending(self, deliveries: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those deliveries (event id, consumer) that are still pending: not processed yet, or failed and retried."""
        wanted = list(dict.fromkeys(deliveries))
        keys = [ledger_keys.of_event(event, consumer) for event, consumer in wanted]
        states: dict[tuple[str, str], str] = {}
        for start in range(0, len(keys), BATCH_GET_ITEMS):
            for row in self._backbone.ledger.find_all(keys[start : start + BATCH_GET_ITEMS], self._backoff):
                states[row.event, row.consumer] = row.state
        return {each for each in wanted if states.get(each, TRYING) == TRYING}

    def save(self, row: State) -> None:
        """Write the whole row, on the condition that it has not changed since this unit of work read it, or does not
        exist if it was not read.

        If another unit of work was faster, the body runs again on the new row.
        """
        key = (row.table, row.row_id)
        if key in self._saved or key in self._changed:
            msg = f"{type(row).__name__} is written twice in one unit of work; write it once"
            raise WrittenTwice(msg)
        self._saved[key] = row

    def change(self, row: State, *, at_least: int | None = None, **differences: int) -> None:
        """Add to integer fields of the row. Concurrent additions do not conflict with each other.

        `at_least` is the minimum value of each lowered field afterwards; if the value would be lower, the body runs
        again on the current row. Use `change` instead of `save` for rows with many concurrent writes.
        """
        if unknown := differences.keys() - type(row).model_fields:
            msg = f"{type(row).__name__} has no field {', '.join(sorted(unknown))}"
            raise NoSuchField(msg)
        key = (row.table, row.row_id)
        if at_least is not None and key not in self._rows:
            msg = f"{self._consumer} uses at_least for a {type(row).__name__} that it has not read; read it first"
            raise NotRead(msg)
        if key in self._saved:
            msg = f"{type(row).__name__} is written twice in one unit of work; write it once"
            raise WrittenTwice(msg)
        change = self._changed.setdefault(key, _Change(type(row)))
        change.differences.update(differences)
        if at_least is not None:
            for name in differences:
                change.at_least[name] = max(at_least, change.at_least.get(name, at_least))

    def emit(self, event: Event) -> None:
        """Emit an event. It is stored in the unit of work's transaction, and published after that."""
        if event.contract.timer:
            msg = f"{self._consumer} emits {type(event).__name__}, whose contract has timer=True; use work.schedule"
            raise TimerMismatch(msg)
        self._emitted.append((self._new_id(event), event))

    def schedule(self, event: Event, at: datetime) -> None:
        """Schedule the event: it is recorded at that time, or at once if the time has passed.

        A timer cannot be cancelled. The consumer of the event must check whether it still applies.
        """
        if not event.contract.timer:
            msg = f"{self._consumer} schedules {type(event).__name__}, whose contract has no timer=True; use work.emit"
            raise TimerMismatch(msg)
        # Not earlier than now: fire-timers does not query finished minutes again.
        self._scheduled.append((self._new_id(event), event, max(clock.timestamp(at), self._now)))

    # --- for the runtime, after the body has returned ----------------------------------------------------------------

    @property
    def emitted(self) -> list[Event]:
        """The emitted events, in order."""
        return [event for _, event in self._emitted]

    @property
    def emitted_ids(self) -> list[str]:
        """The ids of the emitted events, in order."""
        return [event_id for event_id, _ in self._emitted]

    def parts(self, *, effect: str = "") -> tuple[dict[str, dict[str, Any]], dict[str, Exception]]:
        """The parts of the transaction by name, and the errors for parts whose failed condition is final, if no other
        part failed with them.

        A failed condition of any other part means that another unit of work was faster, and the body must run again.
        `effect`: the idempotency key of the effect whose outcome this is, if it is one.
        """
        entry = LedgerEntry(
            event=self.cause.id,
            consumer=self._consumer,
            state=COMMITTED,
            at=self._now,
            stream=self.cause.stream,
            sequence=self.cause.sequence,
            emitted=self.emitted_ids,
            details={EFFECT_KEY: effect} if effect else {},
        )
        parts = {LEDGER: self._backbone.ledger.record(entry, self._writer)}
        final: dict[str, Exception] = {}
        for key, row in self._saved.items():
            name = f"row {'/'.join(key)}"
            if key not in self._rows:
                final[name] = RowExists(
                    f"{self._consumer} saves a {type(row).__name__} that exists already; read it first"
                )
            parts[name] = self._put(key, row)
        for key, change in self._changed.items():
            parts[f"row {'/'.join(key)}"] = self._update(key, change)
        parts |= self._timers()
        for stream, drafts in self._drafts().items():
            kind = stream.partition("/")[0]
            first, *later = (event.contract.place for event in self.emitted if event.stream == stream)
            already_open = StreamAlreadyOpen(f"{self._consumer} opens a stream of the kind {kind} that is already open")
            if Place.OPENS in later:
                raise already_open
            head = None if first is Place.OPENS else self._backbone.store.head(stream)
            if head is None and first is Place.CONTINUES:
                msg = f"{self._consumer} emits {drafts[0].type}, which continues a stream {kind}/… that does not exist"
                raise StreamNotOpen(msg)
            for draft in drafts:
                if head is None and first is Place.OPENS:
                    final[f"event {draft.id}"] = already_open
                envelope = successor(draft, head, self._now, self._writer)
                head = Head.at(envelope)
                parts[f"event {draft.id}"] = self._backbone.store.append(envelope)
        return parts, final

    def _new_id(self, event: Event) -> str:
        if type(event) not in self._emits:
            msg = f"{self._consumer} emits {type(event).__name__}; add it to emits= of its decorator"
            raise NotDeclared(msg)
        earlier = [*self.emitted, *(scheduled for _, scheduled, _ in self._scheduled)]
        ordinal = sum(type(each) is type(event) for each in earlier)
        return emitted_id(self.cause.id, self._consumer, type(event).__name__, ordinal)

    @property
    def _writer(self) -> Writer:
        """The consumer as a writer."""
        return self._backbone.keyring.writer(self._consumer)

    def _timers(self) -> dict[str, dict[str, Any]]:
        parts = {}
        for event_id, event, at in self._scheduled:
            draft = self._draft(event_id, event, at)
            successor(draft, None, self._now, self._writer)  # raises EventTooLarge now, not when the timer fires
            timer = Timer.proven(draft, event.contract.place, self._writer)
            parts[f"timer {event_id}"] = self._backbone.due.schedule(timer)
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
        for table, item in batch_get(self._backbone.dynamodb, request, self._backoff):
            found = rows[table, unpack(item[KEY])].from_item(item)
            self._rows[found.table, found.row_id] = (found, unpack_item(item).get(VERSION, 0))

    def _put(self, key: tuple[str, str], row: State) -> dict[str, Any]:
        version = self._rows[key][1] if key in self._rows else 0
        item = row.to_item(version + 1)
        if (size := item_size(item)) > ITEM_BYTES:
            msg = (
                f"{self._consumer} saves a {type(row).__name__} of {size} bytes in the table {row.table}; a row has at "
                f"most {ITEM_BYTES} bytes, so split it into several rows, or keep less in it"
            )
            raise RowTooLarge(msg)
        put: dict[str, Any] = {
            "TableName": self._backbone.settings.table(row.table),
            "Item": item,
            "ExpressionAttributeNames": {"#version": VERSION},
        }
        if version:
            put["ConditionExpression"] = "#version = :version"
            put["ExpressionAttributeValues"] = {":version": pack(version)}
        else:
            put["ConditionExpression"] = "attribute_not_exists(#version)"
        return {"Put": put}

    def _update(self, key: tuple[str, str], change: _Change) -> dict[str, Any]:
        # Changes raise the version too, so that a `save` based on an older row fails.
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
                # A missing field counts as 0.
                absent = f"attribute_not_exists(#f{number}) OR " if needed <= 0 else ""
                conditions.append(f"({absent}#f{number} >= :m{number})")
        update: dict[str, Any] = {
            "TableName": self._backbone.settings.table(change.row.table),
            "Key": {KEY: pack(key[1])},
            "UpdateExpression": "ADD " + ", ".join(additions),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
        return {"Update": update}
