"""Faults that strike an attempt to reach AWS, before it is sent or after it was answered."""

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


def act(rule: Rule, request: AWSPreparedRequest, table: str | None) -> AWSResponse | None:
    """Let the fault strike. Returns the answer that AWS is to have given, None if it shall give its own."""
    return _ACTS[rule["what"]](rule, request, table)


def send(request: AWSPreparedRequest) -> AWSResponse:
    """Do what botocore would do next."""
    response: AWSResponse = _session().send(request)
    return response


def body(request: AWSPreparedRequest) -> str:
    """What the attempt sends: JSON, but for SNS, to which it sends a form."""
    sent = request.body
    text = sent.decode() if isinstance(sent, bytes) else str(sent)
    return unquote_plus(text) if _is_form(request) else text


def header(request: AWSPreparedRequest, name: str) -> str | None:
    """A header of the attempt; None if it has none of that name."""
    value = request.headers.get(name)
    return value.decode() if isinstance(value, bytes) else value


@cache
def _session() -> Any:
    # The same trust as botocore's own: the local cloud's certificate, where it has one.
    trust: Any = os.environ.get("AWS_CA_BUNDLE") or True
    return URLLib3Session(verify=trust, timeout=10)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(rule: Rule, *_: object) -> None:
    time.sleep(rule["seconds"])


def _meet(rule: Rule, *_: object) -> None:
    """Of two calls the first waits for the second: each leaves a byte, and an even number of them are two and two."""
    place = Path(os.environ["DAYBOOK_FAULTS_PLAN"]).with_name(f"{rule['id']}.met")
    deadline = time.monotonic() + rule["seconds"]
    here = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(here, b".")
        came = os.fstat(here).st_size
        while came % 2 and os.fstat(here).st_size == came and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.close(here)


def _time_out(_: Rule, request: AWSPreparedRequest, __: object) -> None:
    raise ReadTimeoutError(endpoint_url=request.url)


def _refuse(rule: Rule, request: AWSPreparedRequest, _: object) -> AWSResponse:
    return _answer(request, rule["code"])


def _cancel(_: Rule, request: AWSPreparedRequest, table: str | None) -> AWSResponse:
    """Every part has its reason, as DynamoDB gives them; one is to blame."""
    items = json.loads(body(request))["TransactItems"]
    tables = [part["TableName"] for item in items for part in item.values()]
    blamed = tables.index(table) if table else 0
    reasons = [{"Code": "TransactionConflict" if place == blamed else "None"} for place in range(len(items))]
    return _answer(request, "TransactionCanceledException", CancellationReasons=reasons)


_ACTS: Mapping[str, Callable[[Rule, AWSPreparedRequest, str | None], AWSResponse | None]] = {
    "death": _die,
    "delay": _wait,
    "meeting": _meet,
    "timeout": _time_out,
    "error": _refuse,
    "conflict": _cancel,
}


class _Raw(io.BytesIO):
    """A body, read as urllib3's are."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _answer(request: AWSPreparedRequest, code: str, **more: Any) -> AWSResponse:
    said = json.dumps({"__type": code, "message": "brought about", **more})
    if _is_form(request):
        said = f"<ErrorResponse><Error><Code>{code}</Code><Message>brought about</Message></Error></ErrorResponse>"
    return AWSResponse(request.url, 400, HTTPHeaders(), _Raw(said.encode()))


def _is_form(request: AWSPreparedRequest) -> bool:
    """Whether the service speaks the query protocol: it is asked by a form, and answers in XML."""
    return "x-www-form-urlencoded" in (header(request, "Content-Type") or "")
