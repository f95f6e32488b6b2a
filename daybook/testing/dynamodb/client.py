"""A DynamoDB client without a connection: the methods of boto3's client, in a tenth of the time."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from daybook.testing.dynamodb.errors import ServiceError
from daybook.testing.dynamodb.service import DynamoDB


class Client:
    """Calls a DynamoDB of this process directly, for tests that prepare or read tables. It validates no requests."""

    def __init__(self, dynamodb: DynamoDB) -> None:
        self._dynamodb = dynamodb

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return partial(self._call, "".join(word.capitalize() for word in method.split("_")))

    def get_paginator(self, method: str) -> "_Paginator":
        """The paginator of an operation, `query` or `scan`."""
        return _Paginator(getattr(self, method))

    def _call(self, operation: str, **request: Any) -> Any:
        if operation == "TransactWriteItems":
            request.setdefault("ClientRequestToken", str(uuid4()))
        try:
            return _from_json(self._dynamodb.answer(operation, _to_json(request)))
        except ServiceError as error:
            response: Any = {"Error": {"Code": error.code, "Message": error.message}, **_from_json(error.more)}
            raise ClientError(response, operation) from error


@dataclass(frozen=True, slots=True)
class _Paginator:
    _call: Callable[..., Any]

    def paginate(self, *, PaginationConfig: Mapping[str, int] | None = None, **request: Any) -> Iterator[Any]:  # noqa: N803
        if size := (PaginationConfig or {}).get("PageSize"):
            request["Limit"] = size
        page = self._call(**request)
        yield page
        while "LastEvaluatedKey" in page:
            page = self._call(**request, ExclusiveStartKey=page["LastEvaluatedKey"])
            yield page


def _to_json(value: Any) -> Any:
    """The value as DynamoDB's protocol has it: bytes are base64."""
    match value:
        case bytes():
            return b64encode(value).decode()
        case Mapping():
            return {name: _to_json(each) for name, each in value.items()}
        case list() | tuple():
            return [_to_json(each) for each in value]
        case _:
            return value


def _from_json(value: Any) -> Any:
    """The reverse. A value of the type B is the only thing that is called B and is a text."""
    match value:
        case {"B": str(text)}:
            return {"B": b64decode(text)}
        case Mapping():
            return {name: _from_json(each) for name, each in value.items()}
        case list():
            return [_from_json(each) for each in value]
        case _:
            return value
