"""`daybook publish`: a span of the past, put on the event bus once more."""

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
    """What is to be published."""
    return Span(morning() - timedelta(hours=1), morning() + timedelta(minutes=10))


def moments() -> tuple[str, str, str]:
    """Where the span begins, where publish stops in it, and where it ends."""
    return clock.timestamp(span().since), clock.timestamp(morning()), clock.timestamp(span().until)


class _Body:
    def __init__(self, said: object) -> None:
        self._said = json.dumps(said).encode()

    def read(self) -> bytes:
        return self._said


class Publish:
    """The publish function, as Lambda answers for it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answers: Iterator[Any] = iter(())
        self.session = new_session()
        events: Any = self.session.events
        events.register("before-call.lambda.Invoke", self._invoked)

    def answers_with(self, *answers: object) -> None:
        self.answers = iter(answers)

    def _invoked(self, params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        self.asked.append(json.loads(params["body"]))
        answer = next(self.answers)
        if isinstance(answer, BaseException):
            raise answer
        failed = {"FunctionError": "Unhandled"} if "errorType" in answer else {}
        return AWSResponse("", 200, HTTPHeaders(), None), {"StatusCode": 200, "Payload": _Body(answer), **failed}


@pytest.fixture
def function(world: World, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publish, in a stage in which three orders were recorded."""
    for number in range(3):
        world.recorded("OrderPlaced", f"order/{number}", after=number)
    deployed = Publish()
    monkeypatch.setattr(Connection, "to", lambda _: Connection(STAGE, deployed.session))
    return deployed


def publish(*options: str) -> Any:
    since, _, until = moments()
    return CliRunner().invoke(app, ["publish", "--since", since, "--until", until, *options])


def recorded(world: World) -> Sequence[SpanPublished]:
    """The records of what was published."""
    until_now = Span(span().since, morning() + timedelta(hours=1))
    lines = (
        line
        for hour in until_now.hours()
        for bucket in hour
        for line in world.connection.journal.lines(bucket, until_now)
        if line.type == "SpanPublished"
    )
    streams = [next(world.connection.store.stream(line.stream)) for line in lines]
    return [SpanPublished.read(envelope.data, version=1) for envelope in streams]


def test_before_it_is_applied_it_says_how_much_was_recorded_and_asks_nothing_of_publish(
    world: World, function: Publish
) -> None:
    told = publish()

    assert told.exit_code == 0, told.output
    assert "3 events recorded from " in told.stdout
    assert "Nothing was changed." in told.stdout
    assert json.loads(publish("--json").stdout)["recorded"] == 3
    assert (function.asked, recorded(world)) == ([], [])


def test_publish_is_asked_until_the_span_is_at_its_end_and_the_whole_is_recorded(
    world: World, function: Publish
) -> None:
    since, half, until = moments()
    function.answers_with(
        {"published": 2, "set_aside": 0, "next": half}, {"published": 1, "set_aside": 0, "next": None}
    )

    result = publish("--apply", "--reason", "publish was stopped")

    assert result.exit_code == 0, result.output
    assert "Published again: 3 events" in result.stdout
    assert function.asked == [{"since": since, "until": until}, {"since": half, "until": until}]
    (record,) = recorded(world)
    assert (record.published, record.reason, record.since, record.until) == (
        3,
        "publish was stopped",
        span().since,
        span().until,
    )


def test_an_error_of_the_function_is_told_with_its_text_and_where_to_go_on(world: World, function: Publish) -> None:
    failure = {"errorType": "NotPublished", "errorMessage": "EventBridge did not take 3 entries"}
    _, half, until = moments()
    function.answers_with({"published": 2, "set_aside": 0, "next": half}, failure)

    result = publish("--apply")

    assert result.exit_code == 1
    assert "NotPublished: EventBridge did not take 3 entries" in result.stderr
    assert f"daybook publish --since {half} --until {until} --apply --stage dev" in result.stderr
    (record,) = recorded(world)
    assert (record.published, record.until) == (2, clock.moment(half))


def test_stopped_by_ctrl_c_it_tells_where_to_go_on_and_the_part_is_recorded(world: World, function: Publish) -> None:
    _, half, _ = moments()
    function.answers_with({"published": 2, "set_aside": 0, "next": half}, KeyboardInterrupt())

    result = publish("--apply")

    assert result.exit_code == 130
    assert f"daybook publish --since {half}" in result.stderr
    (record,) = recorded(world)
    assert record.published == 2


def test_stopped_before_anything_was_published_nothing_is_recorded(world: World, function: Publish) -> None:
    function.answers_with(KeyboardInterrupt())

    assert publish("--apply").exit_code == 130
    assert recorded(world) == []


def test_what_lies_ahead_cannot_be_published() -> None:
    result = CliRunner().invoke(app, ["publish", "--since", "6h", "--until", "2999-01-01T00:00:00Z", "--apply"])

    assert result.exit_code == 2
