"""`daybook publish`: the events of a period are published again."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.operations import SpanPublished
from daybook.operate.connection import Connection, new_session
from daybook.operate.program import app
from daybook.store.journal import Span
from tests.ops.world import STAGE, World, morning


def span() -> Span:
    """The period to publish."""
    return Span(morning() - timedelta(hours=1), morning() + timedelta(minutes=10))


def moments() -> tuple[str, str, str]:
    """The start of the period, the time where republish stops, and the end."""
    return clock.timestamp(span().since), clock.timestamp(morning()), clock.timestamp(span().until)


class _Body:
    def __init__(self, answer: object) -> None:
        self._answer = json.dumps(answer).encode()

    def read(self) -> bytes:
        return self._answer


class Publish:
    """The function republish, with given answers."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.answers: Iterator[Any] = iter(())
        self.session = new_session()
        events: Any = self.session.events
        events.register("before-call.lambda.Invoke", self._invoked)

    def answers_with(self, *answers: object) -> None:
        self.answers = iter(answers)

    def _invoked(self, params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        self.requests.append(json.loads(params["body"]))
        answer = next(self.answers)
        if isinstance(answer, BaseException):
            raise answer
        failed = {"FunctionError": "Unhandled"} if "errorType" in answer else {}
        return AWSResponse("", 200, HTTPHeaders(), None), {"StatusCode": 200, "Payload": _Body(answer), **failed}


@pytest.fixture
def function(world: World, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Republish, in a stage with three recorded orders."""
    for number in range(3):
        world.recorded("OrderPlaced", f"order/{number}", after=number)
    deployed = Publish()
    monkeypatch.setattr(Connection, "to", lambda _: Connection(STAGE, deployed.session))
    return deployed


def publish(*options: str) -> Any:
    since, _, until = moments()
    return CliRunner().invoke(app, ["publish", "--since", since, "--until", until, *options])


def recorded(world: World) -> Sequence[SpanPublished]:
    """The recorded operations."""
    until_now = Span(span().since, morning() + timedelta(hours=1))
    lines = (
        line
        for hour in world.connection.journal.hours(until_now)
        for bucket in hour
        for line in world.connection.journal.entries(bucket, until_now)
        if line.type == "SpanPublished"
    )
    streams = [next(world.connection.store.stream(line.stream)) for line in lines]
    return [SpanPublished.read(envelope.data, version=1) for envelope in streams]


def test_without_apply_it_prints_the_number_of_events_and_does_not_invoke_republish(
    world: World, function: Publish
) -> None:
    result = publish()

    assert result.exit_code == 0, result.output
    assert "3 events recorded from " in result.stdout
    assert "Nothing was changed." in result.stdout
    assert json.loads(publish("--json").stdout)["recorded"] == 3
    assert (function.requests, recorded(world)) == ([], [])


def test_republish_is_invoked_until_the_end_of_the_period_and_the_operation_is_recorded(
    world: World, function: Publish
) -> None:
    since, half, until = moments()
    function.answers_with(
        {"published": 2, "set_aside": 0, "next": half}, {"published": 1, "set_aside": 0, "next": None}
    )

    result = publish("--apply", "--reason", "publish was stopped")

    assert result.exit_code == 0, result.output
    assert "Published again: 3 events" in result.stdout
    assert function.requests == [{"since": since, "until": until}, {"since": half, "until": until}]
    (record,) = recorded(world)
    assert (record.published, record.reason, record.since, record.until) == (
        3,
        "publish was stopped",
        span().since,
        span().until,
    )


def test_an_error_of_the_function_is_printed_with_how_to_continue(world: World, function: Publish) -> None:
    failure = {"errorType": "NotPublished", "errorMessage": "EventBridge did not take 3 entries"}
    _, half, until = moments()
    function.answers_with({"published": 2, "set_aside": 0, "next": half}, failure)

    result = publish("--apply")

    assert result.exit_code == 1
    assert "NotPublished: EventBridge did not take 3 entries" in result.stderr
    assert f"daybook publish --since {half} --until {until} --apply --stage dev" in result.stderr
    (record,) = recorded(world)
    assert (record.published, record.until) == (2, clock.moment(half))


def test_after_ctrl_c_it_prints_how_to_continue_and_records_the_published_part(world: World, function: Publish) -> None:
    _, half, _ = moments()
    function.answers_with({"published": 2, "set_aside": 0, "next": half}, KeyboardInterrupt())

    result = publish("--apply")

    assert result.exit_code == 130
    assert f"daybook publish --since {half}" in result.stderr
    (record,) = recorded(world)
    assert record.published == 2


def test_without_a_published_event_nothing_is_recorded(world: World, function: Publish) -> None:
    function.answers_with(KeyboardInterrupt())

    assert publish("--apply").exit_code == 130
    assert recorded(world) == []


def test_a_period_in_the_future_is_an_error() -> None:
    result = CliRunner().invoke(app, ["publish", "--since", "6h", "--until", "2999-01-01T00:00:00Z", "--apply"])

    assert result.exit_code == 2
