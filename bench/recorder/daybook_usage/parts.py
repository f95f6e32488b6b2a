"""Write request units by what was written: events, indexes, rows of the ledger, state, views, timers.

Units are from DynamoDB's own answer, which has one sum for each table and index.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_WRITES = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
# By the names of the backbone's tables and, in the ledger, by what follows the consumer's name in the key.
_TABLES = {"store": "event rows", "due": "timers"}
_LEDGER_ROWS = {"effect": "effect records", "cursor": "cursors", "switch": "switches"}


def units(operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> dict[str, float]:
    """The units of a call by part. The units of one table in a transaction are divided evenly among its items."""
    parts: dict[str, list[str]] = {}
    for table, part in _written(operation, params):
        parts.setdefault(table, []).append(part)
    found: Counter[str] = Counter()
    consumed = parsed.get("ConsumedCapacity") or []
    for each in [consumed] if isinstance(consumed, Mapping) else consumed:
        indexes = {name: one["CapacityUnits"] for name, one in (each.get("GlobalSecondaryIndexes") or {}).items()}
        found.update({f"index {name}": number for name, number in indexes.items()})
        of_table = each.get("CapacityUnits", 0.0) - sum(indexes.values())
        for part in (items := parts.get(each["TableName"], ["others"])):
            found[part] += of_table / len(items)
    return {part: number for part, number in found.items() if number}


def _written(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The table and the part of each item that the call writes."""
    if operation in _WRITES:
        yield params["TableName"], _part(params["TableName"], params)
    for item in params.get("TransactItems", ()):
        for write in item.values():
            yield write["TableName"], _part(write["TableName"], write)


def _part(table: str, write: Mapping[str, Any]) -> str:
    name = table.removeprefix(f"daybook-{os.environ['DAYBOOK_STAGE']}-")
    if name == "ledger":
        kind = write["Key"]["key"]["S"].split("#")[1]
        return _LEDGER_ROWS.get(kind, "ledger rows")
    if name in _TABLES:
        return _TABLES[name]
    consumer = json.loads(os.environ.get("DAYBOOK_CONSUMER", "{}"))
    return "rows of views" if consumer.get("kind") == "view" else "rows of state"
