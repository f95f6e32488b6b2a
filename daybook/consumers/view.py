"""Views: consumers that keep rows for people to read, made from events alone, so that they can be rebuilt.

A view's function only says what an event changes. There are two ways, and both give the same rows in whatever order and
however often the events arrive:

* *set if newer* writes fields unless what stands there comes from a newer event, field by field, by an order that is in
  the events themselves (a version, a time of measurement, a milestone), never by arrival;
* *add* adds whole numbers, which is exact in any order. The ledger sees to it that each event is added once.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from daybook.consumers.consumer import Consumer, E, backbone
from daybook.consumers.failure import kind, reason
from daybook.consumers.generations import POINTER, RESERVED, Generations, generation_name, row_id
from daybook.consumers.outcome import Duplicate
from daybook.consumers.work import LEDGER, Backbone
from daybook.contracts import clock
from daybook.contracts.envelope import Metadata
from daybook.store.attributes import pack, unpack_item
from daybook.store.ledger import COMMITTED, Entry
from daybook.store.state import KEY, State
from daybook.store.transaction import MAX_WRITES, Pauses, Refused, TooManyWrites, batch_get, write

# Beside each field that is set stands the place of its event in the order, under the field's name with this behind it.
ORDER = "@"
_ORDER_DIGITS = 20

# One event may change so many rows: as many again, of the generation that is being built, and the ledger's row still go
# into one transaction.
MOST_ROWS = MAX_WRITES // 2 - 1

# By this a view's function knows that it is only asked what events would change.
PROJECT = "project"


class ReservedKey(ValueError):
    """A view's function names a row by a key that generations are told by. Give it another."""


@dataclass(frozen=True, slots=True)
class SetIfNewer:
    """Write `fields` of a row, each unless a newer event has written it. `order` is a number of up to 20 digits or a
    text that sorts, such as a time as this system writes it; it must be of one kind for one field.
    """

    row: type[State]
    key: str
    order: int | str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Add:
    """Add whole numbers to fields of a row."""

    row: type[State]
    key: str
    differences: Mapping[str, int]


Change = SetIfNewer | Add


@dataclass(slots=True)
class RowChange:
    """All that one event, or several, change in one row. `table` is named as the stack names it. Values are attributes,
    as DynamoDB's low-level API writes them; beside each stands the place of its event in the order.
    """

    table: str
    key: str
    sets: dict[str, tuple[Any, str]] = field(default_factory=dict)
    adds: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_data(cls, told: Mapping[str, Any]) -> Self:
        """The change in what `as_data` gave."""
        sets = {name: (value, stamp) for name, (value, stamp) in told["sets"].items()}
        return cls(told["table"], told["key"], sets, dict(told["adds"]))

    def as_data(self) -> dict[str, Any]:
        """The change as what JSON can hold."""
        return {"table": self.table, "key": self.key, "sets": self.sets, "adds": self.adds}

    def merge(self, other: "RowChange") -> None:
        """Change what the other changes too: of each field the newest value counts, and what is added is summed up."""
        for name, difference in other.adds.items():
            self.adds[name] = self.adds.get(name, 0) + difference
        for name, (value, stamp) in other.sets.items():
            if name not in self.sets or self.sets[name][1] <= stamp:
                self.sets[name] = (value, stamp)

    def part(self, table: str, generation: int = 0) -> dict[str, Any]:
        """The update of the row in a generation: every set only if all of them are newer than what is there. `table` is
        the deployed name.
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
        """What is left to do on a row that already holds `found`: the fields that no newer event has set. None, if that
        is nothing.
        """
        orders = unpack_item(found)
        newer = {
            name: (value, stamp) for name, (value, stamp) in self.sets.items() if orders.get(name + ORDER, "") < stamp
        }
        return RowChange(self.table, self.key, newer, self.adds) if newer or self.adds else None


def row_changes(changes: Change | Iterable[Change], event_id: str) -> list[RowChange]:
    """What an event changes, row by row. Raises ReservedKey."""
    rows: dict[tuple[str, str], RowChange] = {}
    for change in [changes] if isinstance(changes, SetIfNewer | Add) else changes:
        if change.key.startswith(RESERVED):
            msg = f"a row of the view {change.row.table} is named with {RESERVED} first, which is kept for generations"
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
    """The changes of one event, as a transaction that may have to give up fields to newer events.

    `generations` tells of each table, by its name in the stack, what is live there and what is being built. Raises
    TooManyWrites.
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
        self._also: set[str] = set()
        for change in changes:
            there = generations[change.table]
            self._rows += [(change, generation) for generation in there.written]
            if there.building is not None:
                self._also.add(generation_name(change.table, there.building, there.operation))
        if len({(change.table, change.key) for change, _ in self._rows}) > MOST_ROWS:
            msg = (
                f"{consumer} changes more than {MOST_ROWS} rows for one event, which would be too many during a rebuild"
            )
            raise TooManyWrites(msg)

    def parts(self) -> dict[str, dict[str, Any]]:
        """The parts of the transaction, by name."""
        entry = Entry(
            event=self._cause.id,
            consumer=self._consumer,
            state=COMMITTED,
            at=clock.now(),
            stream=self._cause.stream,
            sequence=self._cause.sequence,
            details={"also": sorted(self._also)} if self._also else {},
        )
        table = self._backbone.settings.table
        rows = {_name(*each): each[0].part(table(each[0].table), each[1]) for each in self._rows}
        return {LEDGER: self._backbone.ledger.record(entry), **rows}

    def give_up_superseded(self, failed: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Leave out what newer events have set, by the rows that a refused transaction found."""
        left = []
        for row, generation in self._rows:
            name = _name(row, generation)
            rest = row.without_superseded(failed[name] or {}) if name in failed else row
            if rest:
                left.append((rest, generation))
        self._rows = left


def _name(row: RowChange, generation: int) -> str:
    """What a row's part of the transaction is named."""
    return f"row {row.table}/{row_id(generation, row.key)}"


def _stamp(order: int | str, event_id: str) -> str:
    """The order as text that sorts. The event's id decides between equals, so that arrival never does."""
    if isinstance(order, int) and not 0 <= order < 10**_ORDER_DIGITS:
        msg = (
            f"an order must be a whole number of up to {_ORDER_DIGITS} digits, and not negative: it is compared as text"
        )
        raise ValueError(msg)
    placed = f"{order:0{_ORDER_DIGITS}d}" if isinstance(order, int) else order
    return f"{placed}#{event_id}"


ViewBody = Callable[[E], Change | Iterable[Change]]


class View(Consumer[E]):
    """A consumer that keeps rows for people to read, made from nothing but the events."""

    kind = "view"

    def __init__(self, event_type: type[E], body: ViewBody[E]) -> None:
        super().__init__(event_type, body)
        self.body = body

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch; or say what events would change, and change nothing.

        That is asked as {"project": [{"id", "version", "data"}, …]}, and answered as {"projected": […]}: for each event
        {"rows": [RowChange.as_data(), …]}, or {"error", "reason"}.
        """
        if PROJECT in batch:
            return {"projected": [self._projected(told) for told in batch[PROJECT]]}
        # For this invocation alone: whoever builds a generation waits until every invocation before has ended.
        self._generations: dict[str, Generations] = {}
        return super().__call__(batch, context)

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        rows = row_changes(self.body(event), metadata.id)
        self._look_at_generations({row.table for row in rows} - self._generations.keys(), pauses)
        projection = Projection(backbone(), self.name, metadata, rows, self._generations)
        while True:
            try:
                write(backbone().dynamodb, projection.parts(), pauses)
            except Refused as refused:
                if LEDGER in refused.failed:
                    raise Duplicate from None
                projection.give_up_superseded(refused.failed)
                pauses.pause()
            else:
                return

    def _look_at_generations(self, tables: Iterable[str], pauses: Pauses) -> None:
        names = {backbone().settings.table(table): table for table in tables}
        if not names:
            return
        pointer = {KEY: pack(POINTER)}
        request = {name: {"Keys": [pointer], "ConsistentRead": True} for name in names}
        found = {names[name]: item for name, item in batch_get(backbone().dynamodb, request, pauses)}
        self._generations |= {table: Generations.in_item(found.get(table)) for table in names.values()}

    def _projected(self, told: Mapping[str, Any]) -> dict[str, Any]:
        try:
            event = self.event_type.read(told["data"], version=told["version"])
            return {"rows": [row.as_data() for row in row_changes(self.body(event), told["id"])]}
        except Exception as error:  # noqa: BLE001 - whoever asked is told of each event by itself
            return {"error": kind(error), "reason": reason(error)}


def view(event_type: type[E]) -> Callable[[ViewBody[E]], View[E]]:
    """Make a body that maps an event to changes of rows into a handler for one type of event."""
    return lambda body: View(event_type, body)
