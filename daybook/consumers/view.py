"""Views: rows that are made from events, and can be made from them again.

A view's function only says what an event changes. There are two ways, and both give the same rows in whatever order and
however often the events arrive:

* *set if newer* writes fields unless what stands there comes from a newer event, field by field, by an order that is in
  the events themselves (a version, a time of measurement, a milestone), never by arrival;
* *add* adds whole numbers, which is exact in any order. That each event is added once is the ledger's business.

A view is made anew beside the one that people read. So its rows have a *generation*: those of the first stand under
their plain keys, those of generation 2 under `@2/<key>`, all in one table. One more row, `@generation`, says which of
them is live, and which is being built. Functions write both; readers read what is live (LiveView).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from daybook.consumers.work import Backbone
from daybook.contracts import clock
from daybook.contracts.envelope import Metadata
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.ledger import COMMITTED, Entry
from daybook.store.state import KEY, State
from daybook.store.transaction import MAX_WRITES, TooManyWrites

# Beside each field that is set stands the place of its event in the order, under the field's name with this behind it.
ORDER = "@"
_ORDER_DIGITS = 20

# The row that says which generation is live. No row of a view may have a key that begins as this does.
_RESERVED = "@"
POINTER = "@generation"

# One event may change so many rows: as many again, of the generation that is being built, and the ledger's row still go
# into one transaction.
MOST_ROWS = MAX_WRITES // 2 - 1

R = TypeVar("R", bound=State)


class ReservedKey(ValueError):
    """A view's function names a row by a key that generations are told by. Give it another."""


@dataclass(frozen=True, slots=True)
class Generations:
    """What stands in a view's table: the generation that people read, and one that is being built beside it.

    `last` is the highest number that was ever given, so that none is given twice; `version` counts how often this was
    written; `operation` is the act of the operator who builds.
    """

    live: int = 0
    building: int | None = None
    last: int = 0
    version: int = 0
    operation: str = ""

    @classmethod
    def in_item(cls, item: Mapping[str, Any] | None) -> Self:
        """What the pointer's item says; without one, there is but the first generation."""
        if item is None:
            return cls()
        values = unpack_item(item)
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})

    @property
    def written(self) -> tuple[int, ...]:
        """The generations that functions write to."""
        return (self.live,) if self.building is None else (self.live, self.building)

    def part(self, table: str) -> dict[str, Any]:
        """The part of a transaction that writes the pointer, if nobody has since the version before was read."""
        values = {name: getattr(self, name) for name in self.__slots__}
        put: dict[str, Any] = {
            "TableName": table,
            "Item": pack_item({KEY: POINTER, **values}),
            "ConditionExpression": "attribute_not_exists(#version)",
            "ExpressionAttributeNames": {"#version": "version"},
        }
        if self.version > 1:
            put["ConditionExpression"] = "#version = :read"
            put["ExpressionAttributeValues"] = {":read": pack(self.version - 1)}
        return {"Put": put}


def generation_name(table: str, generation: int, operation: str) -> str:
    """What the ledger notes of an event that was written to a generation while that was being built, in this act of an
    operator's: a table that is lost and made again begins to count again.
    """
    return f"{table}@{generation}:{operation}"


def row_id(generation: int, key: str) -> str:
    """Under which id a row stands in its table."""
    return f"{_prefix(generation)}{key}"


def row_key(generation: int, stands_under: str) -> str | None:
    """The key of a row of this generation that stands under that id; None for a row of another, and for the pointer."""
    if generation:
        prefix = _prefix(generation)
        return stands_under.removeprefix(prefix) if stands_under.startswith(prefix) else None
    return None if stands_under.startswith(_RESERVED) else stands_under


def _prefix(generation: int) -> str:
    return f"{_RESERVED}{generation}/" if generation else ""


class LiveView:
    """Reads a view as people should see it: the generation that is live at this moment.

    `dynamodb` is a client of botocore or boto3, `table` the view's deployed name.
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def row(self, row: type[R], key: str) -> R | None:
        """The row with that key, read consistently, or None.

        Rows of a generation that was live a moment ago are kept for longer than this takes.
        """
        live = Generations.in_item(self._item(POINTER)).live
        item = self._item(row_id(live, key))
        return row.from_item({**item, KEY: pack(key)}) if item else None

    def _item(self, stands_under: str) -> Any:
        key = {KEY: pack(stands_under)}
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return found.get("Item")


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
        if change.key.startswith(_RESERVED):
            msg = f"a row of the view {change.row.table} is named with {_RESERVED} first, which is kept for generations"
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

    def parts(self) -> list[dict[str, Any]]:
        """The parts of the transaction, the ledger's first."""
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
        parts = [row.part(table(row.table), generation) for row, generation in self._rows]
        return [self._backbone.ledger.record(entry), *parts]

    def give_up_superseded(self, failed: Mapping[int, Mapping[str, Any] | None]) -> None:
        """Leave out what newer events have set, by the rows that a refused transaction found."""
        left = []
        for position, (row, generation) in enumerate(self._rows, 1):
            rest = row.without_superseded(failed[position] or {}) if position in failed else row
            if rest:
                left.append((rest, generation))
        self._rows = left


def _stamp(order: int | str, event_id: str) -> str:
    """The order as text that sorts. The event's id decides between equals, so that arrival never does."""
    if isinstance(order, int) and not 0 <= order < 10**_ORDER_DIGITS:
        msg = (
            f"an order must be a whole number of up to {_ORDER_DIGITS} digits, and not negative: it is compared as text"
        )
        raise ValueError(msg)
    placed = f"{order:0{_ORDER_DIGITS}d}" if isinstance(order, int) else order
    return f"{placed}#{event_id}"
