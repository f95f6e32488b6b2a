"""Faults of AWS calls, injected through botocore's event system. Nothing of botocore or boto3 is replaced."""

from collections.abc import Callable, Iterable, Mapping
from itertools import count, repeat
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from daybook.runtime import aws
from daybook.runtime.settings import settings

_SERVICE = {
    "GetMetricData": "cloudwatch",
    "DeleteMessageBatch": "sqs",
    "ReceiveMessage": "sqs",
    "SendMessage": "sqs",
    "PutEvents": "events",
    "SendEmail": "sesv2",
    "Publish": "sns",
    "Decrypt": "kms",
    "GenerateDataKeyWithoutPlaintext": "kms",
}  # all other operations are DynamoDB's

Answer = tuple[int, Mapping[str, Any]]


def error(code: str, status: int = 400, *, message: str = "injected by a test", **more: Any) -> Answer:
    """An error response, as botocore parses it."""
    content = {"Error": {"Code": code, "Message": message}}
    return status, {**content, "ResponseMetadata": {"HTTPStatusCode": status}, **more}


def cancelled(*reasons: str) -> Answer:
    """The error of a cancelled transaction, with a reason for each of its parts."""
    return error("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in reasons])


CONFLICT = cancelled("TransactionConflict")
THROTTLED = cancelled("ThrottlingError")
DENIED = error("AccessDeniedException")


def answer(operation: str, *answers: Answer, about: str = "") -> None:
    """Make AWS give these answers to the next calls of `operation` whose body contains `about`, then its own."""
    _answer(operation, answers, about)


def deny_the_next_commit() -> None:
    """Deny the next write of a unit of work: a transaction or, of a ledger row alone, an update."""
    denied = iter([DENIED])
    for operation in ("TransactWriteItems", "UpdateItem"):
        _answer(operation, denied, "")


def always_answer(operation: str, given: Answer, *, about: str = "") -> None:
    """Make AWS give this answer to every call of `operation` whose body contains `about`."""
    _answer(operation, repeat(given), about)


def meanwhile(operation: str, *acts: Callable[[], object]) -> None:
    """Run one of the `acts` before each of the next calls of `operation`."""
    waiting = iter(acts)

    def act(**_: Any) -> None:
        for party in waiting:
            party()
            break

    _register("before-call", operation, act)


def lose_the_answer(operation: str) -> None:
    """The next call of `operation` succeeds, but its response is lost."""
    waiting = iter([operation])

    def lose(**_: Any) -> None:
        for _operation in waiting:
            raise ReadTimeoutError(endpoint_url="https://aws.example")

    _register("after-call", operation, lose)


class Death(BaseException):
    """The process ends at this instruction."""


def die(operation: str, when: str, *, nth: int = 1, about: str = "") -> None:
    """The process ends at its `nth` call of `operation` whose body contains `about`.

    `when` is `before` (the call is not made) or `after` (the call has taken effect).
    """
    numbers = count(1)

    def called(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        if about in _text(params["body"]) and next(numbers) == nth:
            context["dies"] = True  # the context of this call: another thread may make one at the same time
            if when == "before":
                raise Death

    def answered(context: Mapping[str, Any], **_: Any) -> None:
        if "dies" in context:
            raise Death

    _register("before-call", operation, called)
    if when == "after":
        _register("after-call", operation, answered)


def send_again(operation: str) -> None:
    """The next request of `operation` succeeds, its response is lost, and botocore sends the request again."""
    waiting = iter([operation])
    lost: list[str] = []

    def lose(event_name: str, **_: Any) -> None:
        if event_name.endswith(f".{operation}"):
            for each in waiting:
                lost.append(each)
                raise ReadTimeoutError(endpoint_url="https://aws.example")

    def at_once(**_: Any) -> float | None:
        return 0.0 if lost and lost.pop() else None

    events = _client(operation).meta.events
    events.register_last("before-send", lose)  # after moto, which answers in this event
    events.register_first(f"needs-retry.dynamodb.{operation}", at_once)


def break_off(operation: str, error: Exception) -> list[AWSPreparedRequest]:
    """Every request of `operation` ends in this error, without a response. The returned list grows by each request."""
    sent: list[AWSPreparedRequest] = []

    def fail(event_name: str, request: AWSPreparedRequest, **_: Any) -> None:
        if event_name.endswith(f".{operation}"):
            sent.append(request)
            raise error

    _client(operation).meta.events.register_last("before-send", fail)
    return sent


def requests(operation: str) -> list[Mapping[str, Any]]:
    """A list that grows by the parameters of each call of `operation`."""
    made: list[Mapping[str, Any]] = []

    def note(params: Mapping[str, Any], **_: Any) -> None:
        made.append(params)

    _register("provide-client-params", operation, note)
    return made


def die_at_call(call: int | str, *, after: bool, clients: Iterable[Any] | None = None) -> None:
    """The process ends before or after one call: the `call`-th, or the first one of that name.

    Only calls of these clients count; by default, of the functions' clients.
    """
    made: list[str] = []

    def is_now(name: str) -> bool:
        return len(made) == call or (name == call and made.count(name) == 1)

    def before(model: Any, **_: Any) -> None:
        made.append(model.name)
        if is_now(model.name) and not after:
            raise Death

    def afterwards(model: Any, **_: Any) -> None:
        if is_now(model.name) and after:
            raise Death

    for client in clients or map(aws.client, ("dynamodb", "sqs")):
        client.meta.events.register_first("before-call", before)
        client.meta.events.register_last("after-call", afterwards)


def calls() -> list[str]:
    """A list that grows by the name of each operation that is called."""
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    for service in ("dynamodb", "sqs", "events"):
        aws.client(service).meta.events.register("provide-client-params", note)
    return made


def _answer(operation: str, answers: Iterable[Answer], about: str) -> None:
    waiting = iter(answers)

    def give(params: Mapping[str, Any], **_: Any) -> tuple[AWSResponse, Mapping[str, Any]] | None:
        if about in _text(params["body"]):
            for status, content in waiting:
                return AWSResponse(params["url"], status, HTTPHeaders(), None), content
        return None

    _register("before-call", operation, give)


def _text(body: bytes | str | Mapping[str, Any]) -> str:
    return body.decode() if isinstance(body, bytes) else str(body)


def _register(moment: str, operation: str, act: Callable[..., Any]) -> None:
    service = _SERVICE.get(operation, "dynamodb")
    _client(operation).meta.events.register_last(f"{moment}.{service}.{operation}", act)


def _client(operation: str) -> Any:
    service = _SERVICE.get(operation, "dynamodb")
    if service in {"sesv2", "sns"}:
        return aws.client_without_retries(service, settings().call_timeout)
    return aws.client(service)
