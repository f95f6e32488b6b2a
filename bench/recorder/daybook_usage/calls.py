"""Record a function's calls and their capacity units in DynamoDB.

Write units are from DynamoDB's own answer: two for each started KB of an item in a transaction, one outside, and one
for each started KB in an index. Read units are calculated here from the size of the answer.
"""

from collections.abc import Mapping
from typing import Any

from .parts import units
from .record import record
from .sizes import item_bytes, read_units

_PARAMS = "daybook-usage"
# For these DynamoDB reports read units under the same name.
_READS = {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"}
_EVENT_BYTES = 65_536  # EventBridge bills this as one event


def handlers() -> list[tuple[str, Any]]:
    """The handlers to add to botocore's own."""
    return [("provide-client-params", _calling), ("after-call", _answered)]


def _calling(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> dict[str, Any]:
    context[_PARAMS] = params
    if model.input_shape and "ReturnConsumedCapacity" in model.input_shape.members:
        return {**params, "ReturnConsumedCapacity": "INDEXES"}
    return params


def _answered(parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
    params = context.get(_PARAMS, {})
    refused = "Error" in parsed
    record(
        kind="call",
        service=model.service_model.service_name,
        operation=model.name,
        refused=refused,
        parts=len(params.get("TransactItems", ())),
        entries=sum(_events(entry) for entry in params.get("Entries", ())),
        written={} if model.name in _READS else units(model.name, params, parsed),
        read=0 if refused else _read(model.name, params, parsed),
    )


def _events(entry: Mapping[str, Any]) -> int:
    """The number of events that EventBridge bills for the entry."""
    size = sum(len(str(entry.get(part, "")).encode()) for part in ("Source", "DetailType", "Detail"))
    return -(-size // _EVENT_BYTES)


def _read(operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    """Read request units. A missing item costs as much as the smallest."""
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
