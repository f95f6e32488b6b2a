"""The same requests for two DynamoDBs, and their answers in a form that can be compared."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from tests.dynamodb.service import Answer, DynamoDB, Request
from tests.tables import Definition

Asked = tuple[str, Request]


class Recording(DynamoDB):
    """Notes what it is asked."""

    def __init__(self, tables: Iterable[Definition]) -> None:
        super().__init__(tables)
        self.asked: list[Asked] = []

    def answer(self, operation: str, request: Request) -> Answer:
        """The answer, once the request is noted."""
        self.asked.append((operation, request))
        return super().answer(operation, request)


def answers(client: Any, asked: Iterable[Asked]) -> list[Any]:
    """What the client says to each of the requests, page by page until the end. Which items are in which segment of a
    scan is DynamoDB's own affair: the last segment stands for all.
    """
    told, segments = [], list[Any]()
    for operation, request in asked:
        answer = _answer(client, operation, request)
        if "Segment" in request:
            segments += answer
            answer = _in_any_order(segments) if request["Segment"] == request["TotalSegments"] - 1 else None
        told.append(answer)
    return told


def _answer(client: Any, operation: str, request: Request) -> Any:
    try:
        answer = getattr(client, xform_name(operation))(**request)
        pages = [answer]
        while "LastEvaluatedKey" in answer:  # DynamoDB may say so of the last page too
            answer = getattr(client, xform_name(operation))(**request, ExclusiveStartKey=answer["LastEvaluatedKey"])
            pages.append(answer)
    except ClientError as error:
        told = error.response
        reasons = [[reason["Code"], _plain(reason.get("Item"))] for reason in told.get("CancellationReasons", [])]
        return told["Error"]["Code"], reasons, _plain(told.get("Item"))
    if operation in {"Query", "Scan"}:
        items = [_plain(item) for page in pages for item in page["Items"]]
        return _in_any_order(items) if operation == "Scan" else items
    if operation == "BatchGetItem":
        return {table: _in_any_order(map(_plain, items)) for table, items in answer["Responses"].items()}
    return {name: _plain(answer[name]) for name in ("Item", "Attributes") if name in answer}


def _plain(value: Any) -> Any:
    """Numbers by what they say, sets in no order: only what AWS promises of how values are written."""
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
