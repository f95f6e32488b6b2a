"""Faults that affect one attempt to call AWS, before it is sent or after it was answered."""

import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

Rule = Mapping[str, Any]


def run(rule: Rule, request: AWSPreparedRequest, table: str | None) -> AWSResponse | None:
    """Run the fault. Returns the answer that the caller gets instead of AWS's, or None to call AWS."""
    return _ACTIONS[rule["what"]](rule, request, table)


def send(request: AWSPreparedRequest) -> AWSResponse:
    """Send the request, as botocore does."""
    response: AWSResponse = _session().send(request)
    return response


def body(request: AWSPreparedRequest) -> str:
    """The body of the request: JSON, or a form for SNS."""
    sent = request.body
    text = sent.decode() if isinstance(sent, bytes) else str(sent)
    return unquote_plus(text) if _is_form(request) else text


def header(request: AWSPreparedRequest, name: str) -> str | None:
    """A header of the request; None if there is no header with this name."""
    value = request.headers.get(name)
    return value.decode() if isinstance(value, bytes) else value


@cache
def _session() -> Any:
    # Trust the local cloud's certificate if it has one, as botocore does.
    trust: Any = os.environ.get("AWS_CA_BUNDLE") or True
    return URLLib3Session(verify=trust, timeout=10)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(rule: Rule, *_: object) -> None:
    time.sleep(rule["seconds"])


def _wait_for_second_call(rule: Rule, *_: object) -> None:
    """Wait for a second call. Each call appends a byte to the file: an odd size means that one call waits."""
    file = Path(os.environ["DAYBOOK_FAULTS_PLAN"]).with_name(f"{rule['id']}.arrived")
    deadline = time.monotonic() + rule["seconds"]
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, b".")
        size = os.fstat(descriptor).st_size
        while size % 2 and os.fstat(descriptor).st_size == size and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.close(descriptor)


def _time_out(_: Rule, request: AWSPreparedRequest, __: object) -> None:
    raise ReadTimeoutError(endpoint_url=request.url)


def _refuse(rule: Rule, request: AWSPreparedRequest, _: object) -> AWSResponse:
    return _answer(request, rule["code"])


def _cancel(_: Rule, request: AWSPreparedRequest, table: str | None) -> AWSResponse:
    """As in DynamoDB's answer, every part has a reason; one part has the conflict."""
    items = json.loads(body(request))["TransactItems"]
    tables = [part["TableName"] for item in items for part in item.values()]
    conflicting = tables.index(table) if table else 0
    reasons = [{"Code": "TransactionConflict" if place == conflicting else "None"} for place in range(len(items))]
    return _answer(request, "TransactionCanceledException", CancellationReasons=reasons)


_ACTIONS: Mapping[str, Callable[[Rule, AWSPreparedRequest, str | None], AWSResponse | None]] = {
    "death": _die,
    "delay": _wait,
    "barrier": _wait_for_second_call,
    "timeout": _time_out,
    "error": _refuse,
    "conflict": _cancel,
}


class _Raw(io.BytesIO):
    """A response body with urllib3's interface."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _answer(request: AWSPreparedRequest, code: str, **more: Any) -> AWSResponse:
    body = json.dumps({"__type": code, "message": "injected fault", **more})
    if _is_form(request):
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>injected fault</Message></Error></ErrorResponse>"
    return AWSResponse(request.url, 400, HTTPHeaders(), _Raw(body.encode()))


def _is_form(request: AWSPreparedRequest) -> bool:
    """Whether the service uses the query protocol: the request is a form, the response is XML."""
    return "x-www-form-urlencoded" in (header(request, "Content-Type") or "")
