"""Views: rows that are made from events, and can be made from them again.

A view's function only says what an event changes. There are two ways, and both give the same rows in whatever order and
however often the events arrive:

* *set if newer* writes fields unless what stands there comes from a newer event, field by field, by an order that is in
  the events themselves (a version, a time of measurement, a milestone), never by arrival;
* *add* adds whole numbers, which is exact in any order. That each event is added once is the ledger's business.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backbone import clock
from backbone.attributes import pack, unpack_item
from backbone.envelope import Metadata
from backbone.ledger import COMMITTED, Entry
from backbone.state import KEY, State
from backbone.work import Backbone

# Beside each field that is set stands the place of its event in the order, under the field's name with this behind it.
_ORDER = "@"
_ORDER_DIGITS = 20


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
class _RowChange:
    """All that one event changes in one row."""

    row: type[State]
    key: str
    sets: dict[str, tuple[object, str]] = field(default_factory=dict)
    adds: dict[str, int] = field(default_factory=dict)

    def part(self, table: str) -> dict[str, Any]:
        """The update: every set only if all of them are newer than what is there."""
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        assignments, additions, conditions = [], [], []
        for number, (name, (value, stamp)) in enumerate(self.sets.items()):
            names |= {f"#s{number}": name, f"#o{number}": name + _ORDER}
            values |= {f":s{number}": pack(value), f":o{number}": pack(stamp)}
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
            "Key": {KEY: pack(self.key)},
            "UpdateExpression": " ".join(clauses),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
        return {"Update": update}

    def without_superseded(self, found: Mapping[str, Any]) -> "_RowChange":
        """What is left to do on a row that already holds `found`: the fields that no newer event has set."""
        orders = unpack_item(found)
        newer = {
            name: (value, stamp) for name, (value, stamp) in self.sets.items() if orders.get(name + _ORDER, "") < stamp
        }
        return _RowChange(self.row, self.key, newer, self.adds)


class Projection:
    """The changes of one event, as a transaction that may have to give up fields to newer events."""

    def __init__(self, backbone: Backbone, consumer: str, cause: Metadata, changes: Iterable[Change]) -> None:
        self._backbone = backbone
        self._consumer = consumer
        self._cause = cause
        self._rows: dict[tuple[str, str], _RowChange] = {}
        for change in changes:
            row = self._rows.setdefault((change.row.table, change.key), _RowChange(change.row, change.key))
            if isinstance(change, Add):
                for name, difference in change.differences.items():
                    row.adds[name] = row.adds.get(name, 0) + difference
            else:
                stamp = _stamp(change.order, cause.id)
                for name, value in change.fields.items():
                    if name not in row.sets or row.sets[name][1] <= stamp:
                        row.sets[name] = (value, stamp)

    def parts(self) -> list[dict[str, Any]]:
        """The parts of the transaction, the ledger's first."""
        entry = Entry(
            event=self._cause.id,
            consumer=self._consumer,
            state=COMMITTED,
            at=clock.now(),
            stream=self._cause.stream,
            sequence=self._cause.sequence,
        )
        table = self._backbone.settings.table
        return [self._backbone.ledger.record(entry), *(row.part(table(row.row.table)) for row in self._rows.values())]

    def give_up_superseded(self, failed: Mapping[int, Mapping[str, Any] | None]) -> None:
        """Leave out what newer events have set, by the rows that a refused transaction found."""
        places = list(self._rows)
        for position, found in failed.items():
            place = places[position - 1]
            left = self._rows[place].without_superseded(found or {})
            if left.sets or left.adds:
                self._rows[place] = left
            else:
                del self._rows[place]


def _stamp(order: int | str, event_id: str) -> str:
    """The order as text that sorts. The event's id decides between equals, so that arrival never does."""
    if isinstance(order, int) and not 0 <= order < 10**_ORDER_DIGITS:
        msg = (
            f"an order must be a whole number of up to {_ORDER_DIGITS} digits, and not negative: it is compared as text"
        )
        raise ValueError(msg)
    placed = f"{order:0{_ORDER_DIGITS}d}" if isinstance(order, int) else order
    return f"{placed}#{event_id}"
