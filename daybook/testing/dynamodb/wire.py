"""Answer requests in this process instead of sending them to DynamoDB."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS

from daybook.testing.dynamodb.errors import ServiceError
from daybook.testing.dynamodb.service import DynamoDB

_AWS = ".amazonaws.com"


class _Body:
    """A response body with urllib3's interface."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        """The whole body at once."""
        yield self._content


class _Wire:
    """Answers requests to AWS while a DynamoDB is set. Requests to other endpoints are sent."""

    def __init__(self) -> None:
        self.dynamodb: DynamoDB | None = None

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if self.dynamodb is None or not str(urlsplit(request.url).hostname).endswith(_AWS):
            return None
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        try:
            assert isinstance(request.body, str | bytes)
            status, body = 200, self.dynamodb.answer(operation, json.loads(request.body))
        except ServiceError as error:
            status, body = 400, error.body
        headers = HTTPHeaders()
        headers["Content-Type"] = "application/x-amz-json-1.0"
        return AWSResponse(request.url, status, headers, _Body(json.dumps(body).encode()))


_wire = _Wire()
# As in moto: all sessions that are created from here on use it.
BUILTIN_HANDLERS.append(("before-send.dynamodb", _wire))


@contextmanager
def answering(dynamodb: DynamoDB) -> Iterator[DynamoDB]:
    """Let this DynamoDB answer all requests in the block."""
    before, _wire.dynamodb = _wire.dynamodb, dynamodb
    try:
        yield dynamodb
    finally:
        _wire.dynamodb = before
