"""Send the same requests to two DynamoDBs, and make their answers comparable."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from daybook.testing.dynamodb.service import Answer, DynamoDB, Request
from daybook.testing.tables import Definition

Call = tuple[str, Request]


class Recording(DynamoDB):
    """Records all requests."""

    def __init__(self, tables: Iterable[Definition]) -> None:
        super().__init__(tables)
        self.calls: list[Call] = []

    def answer(self, operation: str, request: Request) -> Answer:
        """Record the request, and answer it."""
        self.calls.append((operation, request))
        return super().answer(operation, request)


def answers(client: Any, calls: Iterable[Call]) -> list[Any]:
    """The client's answers to the requests, with all pages. DynamoDB itself decides which items belong to which segment
    of a scan: the last segment has the items of all.
    """
    found, segments = [], list[Any]()
    for operation, request in calls:
        answer = _answer(client, operation, request)
        if "Segment" in request:
            segments += answer
            answer = _in_any_order(segments) if request["Segment"] == request["TotalSegments"] - 1 else None
        found.append(answer)
    return found


def capacities(client: Any, calls: Iterable[Call]) -> list[Any]:
    """The write units that the client says the requests have consumed, by table and index; None for other answers."""
    found = []
    for operation, request in calls:
        asked = {"ReturnConsumedCapacity": "INDEXES"} if operation in _WRITES else {}
        try:
            answer = getattr(client, xform_name(operation))(**request, **asked)
        except ClientError:
            answer = {}
        consumed = answer.get("ConsumedCapacity") if asked else None
        several = [consumed] if isinstance(consumed, Mapping) else consumed
        found.append(several and sorted(map(_units, several)))
    return found


_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}


def _units(consumed: Mapping[str, Any]) -> tuple[str, float, list[tuple[str, float]]]:
    indexes = {name: one["CapacityUnits"] for name, one in consumed.get("GlobalSecondaryIndexes", {}).items()}
    written = sorted((name, units) for name, units in indexes.items() if units)
    return consumed["TableName"], consumed["CapacityUnits"], written


def _answer(client: Any, operation: str, request: Request) -> Any:
    try:
        answer = getattr(client, xform_name(operation))(**request)
        pages = [answer]
        while "LastEvaluatedKey" in answer:  # DynamoDB may return it with the last page too
            answer = getattr(client, xform_name(operation))(**request, ExclusiveStartKey=answer["LastEvaluatedKey"])
            pages.append(answer)
    except ClientError as error:
        response = error.response
        reasons = [[reason["Code"], _plain(reason.get("Item"))] for reason in response.get("CancellationReasons", [])]
        return response["Error"]["Code"], reasons, _plain(response.get("Item"))
    if operation in {"Query", "Scan"}:
        items = [_plain(item) for page in pages for item in page["Items"]]
        return _in_any_order(items) if operation == "Scan" else items
    if operation == "BatchGetItem":
        return {table: _in_any_order(map(_plain, items)) for table, items in answer["Responses"].items()}
    return {name: _plain(answer[name]) for name in ("Item", "Attributes") if name in answer}


def _plain(value: Any) -> Any:
    """Parse numbers and sort sets: AWS does not guarantee how it writes them."""
    match value:
        case {"N": text}:
            return {"N": Decimal(text)}
        case {"SS": texts}:
            return {"SS": sorted(texts)}
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value


def _in_any_order(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str))
