"""`daybook status`: waiting messages, dead letters, blocked streams, and what needs attention."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.operate.pause.pause import PauseOperation
from daybook.operate.program import app
from daybook.operate.status.command import keep_showing
from daybook.operate.status.status import Status, next_steps, status
from daybook.store.attributes import pack
from daybook.store.ledger import COMMITTED, Note
from tests.ops.deployed_consumers import deploy_admit, deploy_consumer, mappings
from tests.ops.world import World, ago

EFFECT, ORDERED, VIEW = "charge-order", "register-device", "order-status-placed"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["status", *arguments])


def of(world: World, consumer: str = EFFECT) -> Status:
    (found,) = status(world.connection, [consumer])
    return found


def opened(world: World, retry: timedelta, *, off: bool = False) -> None:
    """Open the circuit breaker of the effect."""
    now = datetime.now(UTC)
    times = {"opened_at": clock.timestamp(now), "retry_at": clock.timestamp(now + retry)}
    item = {"key": f"{EFFECT}#switch", "opened": True, "off": off, **times}
    world.connection.dynamodb.put_item(
        TableName=world.names.ledger, Item={name: pack(value) for name, value in item.items()}
    )


@pytest.fixture
def stage(world: World) -> World:
    deploy_consumer(world, EFFECT, "StockReserved")
    deploy_consumer(world, ORDERED, "EquipmentRegistered", kind="reaction", ordered=True)
    deploy_consumer(world, VIEW, "OrderPlaced", kind="view")
    deploy_admit(world)
    return world


@pytest.mark.usefixtures("stage")
def test_idle_consumers_are_counted_and_nothing_needs_attention() -> None:
    result = run("--check")

    assert result.exit_code == 0, result.output
    idle = "4 consumers are idle; --all shows them"
    for shown in (idle, "publish", "record-dead-letters", "Nothing needs attention"):
        assert shown in result.output
    assert EFFECT not in result.output


@pytest.mark.usefixtures("stage")
def test_all_shows_all_consumers_and_named_consumers_are_always_shown() -> None:
    everything, one = run("--all"), run(EFFECT)

    for shown in (EFFECT, ORDERED, VIEW, "admit (ingress)", "delayed", "blocked", "last error"):
        assert shown in everything.output
    for shown in (EFFECT, "delayed", "blocked", "last error"):
        assert shown in one.output
    assert "idle" not in everything.output + one.output


def test_empty_columns_and_idle_consumers_are_left_out(stage: World) -> None:
    stage.queued(EFFECT)
    stage.died(stage.recorded("OrderPlaced", "order/1"), VIEW)

    shown = run().output

    for expected in (EFFECT, VIEW, "waiting", "dead", "last error", "2 others are idle"):
        assert expected in shown
    for empty in (ORDERED, "admit", "in flight", "delayed", "oldest", "per minute", "blocked", "state"):
        assert empty not in shown


def test_a_consumer_whose_mapping_is_updating_is_not_idle() -> None:
    assert not Status(consumer=EFFECT, mappings=("Updating",)).idle
    assert Status(consumer=EFFECT, mappings=("Enabled",)).idle


def test_an_error_disappears_when_the_event_is_committed(stage: World) -> None:
    event = stage.recorded("StockReserved", "reservation/1", after=ago(minutes=2))
    m = event.metadata
    failed = Note(message="m", deliveries=1, at=clock.now(), error="KeyError", reason="", failed_count=1)
    stage.connection.ledger.note(m.id, EFFECT, (m.stream, m.sequence), failed)
    assert of(stage).last_error == "KeyError"
    assert EFFECT in run().output

    stage.connection.dynamodb.update_item(
        TableName=stage.names.ledger,
        Key={"key": pack(f"{EFFECT}#{m.id}")},
        UpdateExpression="SET #state = :committed",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":committed": pack(COMMITTED)},
    )

    assert (of(stage).dead, of(stage).last_error) == (0, "")


def test_messages_in_a_queue_are_counted(stage: World) -> None:
    for _ in range(3):
        stage.queued(EFFECT)
    url = stage.connection.sqs.get_queue_url(QueueName=stage.names.of(EFFECT))["QueueUrl"]
    stage.connection.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    stage.connection.sqs.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=600)

    found = of(stage)

    assert (found.waiting, found.in_flight, found.delayed) == (2, 1, 1)


def test_dead_letters_are_counted_with_the_last_error_and_the_blocked_streams(stage: World) -> None:
    for device in ("M-1", "M-2"):
        event = stage.recorded("EquipmentRegistered", f"device/{device}")
        stage.died(event, ORDERED, "KeyError")
    again = stage.recorded("EquipmentRegistered", "device/M-2")
    stage.died(again, ORDERED, "ValueError", after=20)
    stage.died(stage.recorded("StockReserved", "reservation/1"), EFFECT, "OutcomeUnknown")

    assert (of(stage, ORDERED).dead, of(stage, ORDERED).blocked, of(stage, ORDERED).last_error) == (3, 2, "ValueError")
    assert (of(stage).dead, of(stage).blocked, of(stage).last_error) == (1, 0, "OutcomeUnknown")
    assert "  daybook dead --stage dev\n" in run().output


def test_a_paused_consumer_is_shown_with_the_operator_and_the_next_step(stage: World) -> None:
    pausing = PauseOperation(stage.connection, EFFECT)
    pausing.pause("a new table")
    list(pausing.follow())

    result = run(EFFECT)

    paused = of(stage).switch.paused
    assert paused
    assert f"paused by {paused.by} since" in result.output
    assert f"daybook resume {EFFECT} --stage dev" in result.output
    assert run("--check").exit_code == 1


@pytest.mark.parametrize(("minutes", "expected"), [(5, "next try at"), (-1, "trying now")])
def test_an_open_circuit_breaker_is_shown_with_its_next_try(stage: World, minutes: int, expected: str) -> None:
    opened(stage, timedelta(minutes=minutes))

    result = run(EFFECT)

    assert "breaker open since" in result.output
    assert expected in result.output
    assert of(stage).needs == ["breaker"]


def test_a_consumer_that_is_off_but_not_paused_needs_attention(stage: World) -> None:
    mappings(stage).switch(EFFECT, on=False)

    assert of(stage).needs == ["off"]
    assert any("is off but not paused" in step for step in next_steps([of(stage)], "dev"))


@pytest.mark.parametrize("retry", [timedelta(minutes=5), timedelta(minutes=-1)])
def test_a_consumer_that_its_circuit_breaker_has_turned_off_is_listed_once(stage: World, retry: timedelta) -> None:
    opened(stage, retry, off=True)
    mappings(stage).switch(EFFECT, on=False)

    assert of(stage).needs == ["breaker"]


def test_rate_age_and_errors_are_computed_from_journal_and_ledger(stage: World) -> None:
    for number in range(10):
        event = stage.recorded("StockReserved", f"reservation/{number}", after=ago(minutes=2))
        stage.handled(event, EFFECT, after=ago(minutes=2))
    stuck = stage.recorded("StockReserved", "reservation/stuck", after=ago(minutes=4))
    stage.connection.ledger.note(
        stuck.metadata.id,
        EFFECT,
        ("reservation/stuck", 1),
        Note(message="m", deliveries=1, at=clock.now(), error="KeyError", reason="", failed_count=1),
    )
    stage.queued(EFFECT)
    stage.recorded("StockReserved", "reservation/old", after=ago(minutes=20))

    found = of(stage)

    assert found.rate == pytest.approx(2, abs=0.1)
    assert found.oldest == pytest.approx(240, abs=20)
    assert found.last_error == "KeyError"


def test_metrics_of_cloudwatch_are_preferred(stage: World) -> None:
    cloudwatch = stage.connection.client("cloudwatch")
    queue = [{"Name": "QueueName", "Value": stage.names.of(EFFECT)}]
    moment = datetime.now(UTC) - timedelta(minutes=1)
    age = {"MetricName": "ApproximateAgeOfOldestMessage", "Dimensions": queue, "Timestamp": moment, "Value": 700.0}
    handled = {"MetricName": "NumberOfMessagesDeleted", "Dimensions": queue, "Timestamp": moment, "Value": 50.0}
    cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[age, handled])
    stage.queued(EFFECT)

    found = of(stage)

    assert (found.oldest, found.rate, found.needs) == (700, 10, ["old"])


def test_what_needs_attention_comes_first(stage: World) -> None:
    stage.queued(EFFECT)
    stage.died(stage.recorded("OrderPlaced", "order/1"), VIEW)
    mappings(stage).switch(ORDERED, on=False)

    order = [found.consumer for found in status(stage.connection)]

    assert order[:3] == [VIEW, ORDERED, EFFECT]


@pytest.mark.usefixtures("stage")
def test_with_json_it_prints_one_object_per_line() -> None:
    lines = [json.loads(line) for line in run("--json").stdout.splitlines()]

    assert {line["consumer"] for line in lines} == {EFFECT, ORDERED, VIEW, "admit", "publish", "record-dead-letters"}
    (one,) = [line for line in lines if line["consumer"] == EFFECT]
    assert (one["mappings"], one["paused"], one["breaker"], one["needs"]) == (["Enabled"], None, "closed", [])


@pytest.mark.usefixtures("stage")
def test_a_misspelled_name_is_an_error_with_a_suggestion() -> None:
    result = run("charge-ordr")

    assert result.exit_code == 2
    assert "did you mean charge-order?" in result.output


def test_it_is_refreshed_until_ctrl_c(stage: World, capsys: pytest.CaptureFixture[str]) -> None:
    looks = 0

    def look(**_: Any) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            stage.queued(EFFECT)
        else:
            raise KeyboardInterrupt

    stage.connection.sqs.meta.events.register("before-call.sqs.ListQueues", look)
    keep_showing(stage.connection, [EFFECT])

    assert looks == 2
    assert EFFECT in capsys.readouterr().out


def test_dead_letters_that_are_not_recorded_yet_are_counted(stage: World) -> None:
    stage.queued(EFFECT, suffix="-dead")

    assert of(stage, "record-dead-letters").on_the_way == 1
    assert "1 dead letters to record" in run().output
