"""What a function calls, and what DynamoDB counts for it.

Writes are counted by DynamoDB's own answer, which is asked for: two units for each started KB of an item in a
transaction, one outside, and one for each started KB of what stands in an index. Reads are counted here, by the size of
what came back.
"""

from collections.abc import Mapping
from typing import Any

from .note import note
from .sizes import item_bytes, read_units

_PARAMS = "daybook-usage"
# Of these DynamoDB tells read units under the same name.
_READS = {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"}
_EVENT_BYTES = 65_536  # what EventBridge bills as one event


def handlers() -> list[tuple[str, Any]]:
    """What to add to botocore's own handlers."""
    return [("provide-client-params", _calling), ("after-call", _answered)]


def _calling(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> dict[str, Any]:
    context[_PARAMS] = params
    if model.input_shape and "ReturnConsumedCapacity" in model.input_shape.members:
        return {**params, "ReturnConsumedCapacity": "INDEXES"}
    return params


def _answered(parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
    params = context.get(_PARAMS, {})
    refused = "Error" in parsed
    table, index = (0.0, 0.0) if model.name in _READS else _written(parsed)
    note(
        kind="call",
        service=model.service_model.service_name,
        operation=model.name,
        refused=refused,
        parts=len(params.get("TransactItems", ())),
        entries=sum(_events(entry) for entry in params.get("Entries", ())),
        written=table,
        indexed=index,
        read=0 if refused else _read(model.name, params, parsed),
    )


def _events(entry: Mapping[str, Any]) -> int:
    """As how many events EventBridge bills the entry."""
    size = sum(len(str(entry.get(part, "")).encode()) for part in ("Source", "DetailType", "Detail"))
    return -(-size // _EVENT_BYTES)


def _written(parsed: Mapping[str, Any]) -> tuple[float, float]:
    """Write request units: those of tables, and those of their indexes."""
    consumed = parsed.get("ConsumedCapacity") or []
    table = index = 0.0
    for each in [consumed] if isinstance(consumed, Mapping) else consumed:
        of_indexes = sum(one.get("CapacityUnits", 0.0) for one in (each.get("GlobalSecondaryIndexes") or {}).values())
        table += each.get("CapacityUnits", 0.0) - of_indexes
        index += of_indexes
    return table, index


def _read(operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    """Read request units. What is not there costs as much as the smallest item."""
    if operation == "GetItem":
        return read_units(item_bytes(parsed.get("Item", {})), consistent=params.get("ConsistentRead", False))
    if operation in {"Query", "Scan"}:
        size = sum(map(item_bytes, parsed.get("Items", ())))
        return read_units(size, consistent=params.get("ConsistentRead", False))
    if operation == "BatchGetItem":
        return sum(
            read_units(size, consistent=request.get("ConsistentRead", False))
            for table, request in params["RequestItems"].items()
            for size in _sizes(request["Keys"], parsed.get("Responses", {}).get(table, ()))
        )
    return 0.0


def _sizes(keys: Any, items: Any) -> list[int]:
    found = [item_bytes(item) for item in items]
    return found + [0] * (len(keys) - len(found))
