"""The write capacity units that a write consumes
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from daybook.testing.dynamodb.tables import Collection, Table
from daybook.testing.dynamodb.values import Item, size_of_item

_UNIT = 1024  # bytes
# DynamoDB writes each item of a transaction twice: to prepare it, and to commit it. Its indexes follow once.
IN_A_TRANSACTION = 2

Change = tuple[Table, Item | None, Item | None]


def consumed(changes: Iterable[Change], *, times: int = 1) -> list[dict[str, Any]]:
    """The ConsumedCapacity of these changes of items by table, with its indexes. `times`: how often items are written.

    Indexes that nothing was written to are left out.
    """
    tables: dict[str, Counter[str]] = {}
    for table, before, after in changes:
        units = tables.setdefault(table.name, Counter())
        units[""] += times * max(_units(before), _units(after), 1)
        for name, index in table.indexes.items():
            units[name] += _of_index(index, before, after)
    return [_answer(name, +units) for name, units in tables.items()]


def _answer(table: str, units: Mapping[str, int]) -> dict[str, Any]:
    by_index = {name: {"CapacityUnits": float(number)} for name, number in units.items() if name}
    answer: dict[str, Any] = {"TableName": table, "CapacityUnits": float(sum(units.values()))}
    answer["Table"] = {"CapacityUnits": float(units[""])}
    return answer | ({"GlobalSecondaryIndexes": by_index} if by_index else {})


def _of_index(index: Collection, before: Item | None, after: Item | None) -> int:
    old, new = (index.entry(item) if item and index.holds(item) else None for item in (before, after))
    if old == new:
        return 0
    if old and new and all(old[name] == new[name] for name in index.keys.names):
        return max(_units(old), _units(new))
    return _units(old) + _units(new)  # an entry whose key changes is deleted and written again


def _units(item: Item | None) -> int:
    return -(-size_of_item(item) // _UNIT) if item else 0
