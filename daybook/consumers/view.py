"""Views (projections, read models): rows for readers, computed from events only, so that they can be rebuilt.

A view's function only returns the changes for an event. There are two kinds of change. Both give the same rows in
whatever order and however often the events arrive:

* *set if newer* writes a field unless a newer event has already written it. The order comes from the events (a version,
  a time of measurement, a milestone), never from the order of arrival
* *add* adds integers, in any order. The ledger guarantees that each event is added once
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from daybook.consumers.consumer import Consumer, E, backbone, duplicate, end_if_done
from daybook.consumers.failure import kind, reason
from daybook.consumers.generations import POINTER, RESERVED, Generations, generation_name, row_id
from daybook.consumers.work import LEDGER, Backbone
from daybook.contracts import clock
from daybook.contracts.envelope import Metadata
from daybook.store.attributes import pack, unpack_item
from daybook.store.ledger import COMMITTED, LedgerEntry
from daybook.store.state import KEY, State
from daybook.store.transaction import (
    MAX_WRITES,
    Backoff,
    ConditionsFailed,
    TooManyWrites,
    batch_get,
    write,
    write_alone,
)

# The suffix of the attribute with a field's order: `status@` holds the order of the event that has set `status`.
ORDER = "@"
_ORDER_DIGITS = 20

# The maximum number of rows that one event may change. During a rebuild each is written twice, in one transaction that
# also has the ledger's row.
MAX_ROWS = MAX_WRITES // 2 - 1

# The key of an invocation that returns the changes of events without writing them (see View.__call__).
PROJECT = "project"


class ReservedKey(ValueError):
    """A view's function uses a row key with the prefix that is reserved for generations. Use another key."""


@dataclass(frozen=True, slots=True)
class SetIfNewer:
    """Write `fields` of a row, each unless a newer event has written it.

    `order` is a non-negative integer of up to 20 digits, or a text that sorts, such as a time as this system writes it.
    All orders of one field must have the same type.
    """

    row: type[State]
    key: str
    order: int | str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Add:
    """Add integers to fields of a row."""

    row: type[State]
    key: str
    differences: Mapping[str, int]


Change = SetIfNewer | Add


@dataclass(slots=True)
class RowChange:
    """All changes of one or several events to one row. `table` is the table's name in its stack.

    `sets` maps a field to its value, as an attribute of DynamoDB's low-level API, and its order as text.
    """

    table: str
    key: str
    sets: dict[str, tuple[Any, str]] = field(default_factory=dict)
    adds: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The change from the result of `as_data`."""
        sets = {name: (value, stamp) for name, (value, stamp) in data["sets"].items()}
        return cls(data["table"], data["key"], sets, dict(data["adds"]))

    def as_data(self) -> dict[str, Any]:
        """The change as JSON values."""
        return {"table": self.table, "key": self.key, "sets": self.sets, "adds": self.adds}

    def merge(self, other: "RowChange") -> None:
        """Merge another change into this one: the newest value of each field wins, and additions are summed."""
        for name, difference in other.adds.items():
            self.adds[name] = self.adds.get(name, 0) + difference
        for name, (value, stamp) in other.sets.items():
            if name not in self.sets or self.sets[name][1] <= stamp:
                self.sets[name] = (value, stamp)

    def part(self, table: str, generation: int = 0) -> dict[str, Any]:
        """The update of the row in a generation, on the condition that no field has a newer value.

        `table` is the deployed name. If the condition fails, DynamoDB returns the row (see without_superseded).
        """
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        assignments, additions, conditions = [], [], []
        for number, (name, (value, stamp)) in enumerate(self.sets.items()):
            names |= {f"#s{number}": name, f"#o{number}": name + ORDER}
            values |= {f":s{number}": value, f":o{number}": pack(stamp)}
            assignments += [f"#s{number} = :s{number}", f"#o{number} = :o{number}"]
            conditions.append(f"(attribute_not_exists(#o{number}) OR #o{number} < :o{number})")
        for number, (name, difference) in enumerate(self.adds.items()):
            names[f"#a{number}"] = name
            values[f":a{number}"] = pack(difference)
            additions.append(f"#a{number} :a{number}")
        clauses = [f"SET {', '.join(assignments)}"] if assignments else []
        clauses += [f"ADD {', '.join(additions)}"] if additions else []
        update: dict[str, Any] = {
            "TableName": table,
            "Key": {KEY: pack(row_id(generation, self.key))},
            "UpdateExpression": " ".join(clauses),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
        return {"Update": update}

    def without_superseded(self, found: Mapping[str, Any]) -> "RowChange | None":
        """The change without the fields for which the row `found` has newer values. None if nothing is left."""
        orders = unpack_item(found)
        newer = {
            name: (value, stamp) for name, (value, stamp) in self.sets.items() if orders.get(name + ORDER, "") < stamp
        }
        return RowChange(self.table, self.key, newer, self.adds) if newer or self.adds else None


def row_changes(changes: Change | Iterable[Change], event_id: str) -> list[RowChange]:
    """The changes of an event, one RowChange for each row. Raises ReservedKey."""
    rows: dict[tuple[str, str], RowChange] = {}
    for change in [changes] if isinstance(changes, SetIfNewer | Add) else changes:
        if change.key.startswith(RESERVED):
            msg = f"a key of the view {change.row.table} begins with {RESERVED}, which is reserved for generations"
            raise ReservedKey(msg)
        row = rows.setdefault((change.row.table, change.key), RowChange(change.row.table, change.key))
        if isinstance(change, Add):
            row.merge(RowChange(row.table, row.key, adds=dict(change.differences)))
        else:
            stamp = _stamp(change.order, event_id)
            row.merge(
                RowChange(row.table, row.key, {name: (pack(each), stamp) for name, each in change.fields.items()})
            )
    return list(rows.values())


class Projection:
    """The writes with the changes of one event. Fields that newer events have set are dropped from them.

    `generations` has the generations of each table, by its name in the stack. Raises TooManyWrites.
    """

    def __init__(
        self,
        backbone: Backbone,
        consumer: str,
        cause: Metadata,
        changes: Iterable[RowChange],
        generations: Mapping[str, Generations],
    ) -> None:
        self._backbone = backbone
        self._consumer = consumer
        self._cause = cause
        self._rows: list[tuple[RowChange, int]] = []
        self._built: set[str] = set()
        for change in changes:
            current = generations[change.table]
            self._rows += [(change, generation) for generation in current.written]
            if current.building is not None:
                self._built.add(generation_name(change.table, current.building, current.operation))
        if len({(change.table, change.key) for change, _ in self._rows}) > MAX_ROWS:
            msg = f"{consumer} changes more than {MAX_ROWS} rows for one event; a rebuild could not write twice as many"
            raise TooManyWrites(msg)

    @property
    def is_repeatable(self) -> bool:
        """Whether there is at most one row to write, which only takes newer values: it needs no transaction."""
        return len(self._rows) <= 1 and not any(row.adds for row, _ in self._rows)

    def write(self, backoff: Backoff) -> None:
        """Write the rows and the event's row in the ledger. Raises ConditionsFailed.

        Without a transaction, which would cost twice as much, the ledger's row is last: if the process dies before it,
        the event is redelivered, and the same is written again.
        """
        dynamodb, parts = self._backbone.dynamodb, self.parts()
        if not self.is_repeatable:
            write(dynamodb, parts, backoff)
            return
        for name, part in reversed(parts.items()):
            write_alone(dynamodb, name, part, backoff)

    def parts(self) -> dict[str, dict[str, Any]]:
        """The parts of the transaction, by name: the ledger's row first."""
        entry = LedgerEntry(
            event=self._cause.id,
            consumer=self._consumer,
            state=COMMITTED,
            at=clock.now(),
            stream=self._cause.stream,
            sequence=self._cause.sequence,
            details={"generations": sorted(self._built)} if self._built else {},
        )
        table = self._backbone.settings.table
        rows = {_name(*each): each[0].part(table(each[0].table), each[1]) for each in self._rows}
        writer = self._backbone.keyring.writer(self._consumer)
        return {LEDGER: self._backbone.ledger.record(entry, writer), **rows}

    def drop_superseded(self, failed: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Drop the fields that newer events have set. `failed` are the rows whose conditions failed (see
        ConditionsFailed).
        """
        remaining = []
        for row, generation in self._rows:
            name = _name(row, generation)
            rest = row.without_superseded(failed[name] or {}) if name in failed else row
            if rest:
                remaining.append((rest, generation))
        self._rows = remaining


def _name(row: RowChange, generation: int) -> str:
    """The name of a row's part of the transaction."""
    return f"row {row.table}/{row_id(generation, row.key)}"


def _stamp(order: int | str, event_id: str) -> str:
    """The order as text that sorts. The event id decides between equal orders, so that arrival never does."""
    if isinstance(order, int) and not 0 <= order < 10**_ORDER_DIGITS:
        msg = f"an order must be a non-negative integer of up to {_ORDER_DIGITS} digits: it is compared as text"
        raise ValueError(msg)
    text = f"{order:0{_ORDER_DIGITS}d}" if isinstance(order, int) else order
    return f"{text}#{event_id}"


ViewBody = Callable[[E], Change | Iterable[Change]]


class View(Consumer[E]):
    """A consumer that keeps rows for readers, computed from events only."""

    kind = "view"

    def __init__(self, event_type: type[E], body: ViewBody[E]) -> None:
        super().__init__(event_type, body)
        self.body = body

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch. Or, if invoked by a rebuild, return the changes of events without writing them.

        A rebuild sends {"project": [{"id", "version", "data"}, …]}. The result is {"projected": […]}, with one of
        {"rows": [RowChange.as_data(), …]} and {"error", "reason"} for each event.
        """
        if PROJECT in batch:
            return {"projected": [self._project(event) for event in batch[PROJECT]]}
        # Read again in each invocation: a rebuild waits until all invocations that began before it have ended.
        self._generations: dict[str, Generations] = {}
        return super().__call__(batch, context)

    def react(self, event: E, metadata: Metadata, backoff: Backoff) -> None:
        rows = row_changes(self.body(event), metadata.id)
        self._read_generations({row.table for row in rows} - self._generations.keys(), backoff)
        projection = Projection(backbone(), self.name, metadata, rows, self._generations)
        if projection.is_repeatable:  # the row is written first, and a discarded event must not change it
            end_if_done(backbone().ledger.find(metadata.id, self.name))
        while True:
            try:
                projection.write(backoff)
            except ConditionsFailed as conflict:
                if LEDGER in conflict.failed:
                    raise duplicate(conflict) from None
                projection.drop_superseded(conflict.failed)
                backoff.wait()
            else:
                return

    def _read_generations(self, tables: Iterable[str], backoff: Backoff) -> None:
        names = {backbone().settings.table(table): table for table in tables}
        if not names:
            return
        pointer = {KEY: pack(POINTER)}
        request = {name: {"Keys": [pointer], "ConsistentRead": True} for name in names}
        found = {names[name]: item for name, item in batch_get(backbone().dynamodb, request, backoff)}
        self._generations |= {table: Generations.in_item(found.get(table)) for table in names.values()}

    def _project(self, record: Mapping[str, Any]) -> dict[str, Any]:
        try:
            event = self.event_type.read(record["data"], version=record["version"])
            return {"rows": [row.as_data() for row in row_changes(self.body(event), record["id"])]}
        except Exception as error:  # noqa: BLE001 - each event has a result of its own
            return {"error": kind(error), "reason": reason(error)}


def view(event_type: type[E]) -> Callable[[ViewBody[E]], View[E]]:
    """Decorate a body that maps an event to changes of rows as a handler for one type of event."""
    return lambda body: View(event_type, body)
