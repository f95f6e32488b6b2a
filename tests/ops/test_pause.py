"""`daybook pause` and `daybook resume`: consumers are paused and resumed, even if the command is killed.

Negative controls: tests of this file fail when one of these guards is removed: the record is in the transaction of the
switch, a second reason does not replace the first, the mapping of an open circuit breaker is not turned on, a repeated
command completes one that was killed.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.consumers.switch import Paused
from daybook.contracts import clock
from daybook.operate.pause.pause import PauseOperation
from daybook.operate.program import app
from events.catalogue import CATALOGUE
from tests.ops.deployed_consumers import (
    Killed,
    deploy_admit,
    deploy_consumer,
    kill_at_call,
    mappings,
    states,
    switch,
    switches,
)
from tests.ops.world import World

CONSUMER = "charge-order"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments])


def pause(*options: str, consumer: str = CONSUMER) -> Any:
    return run("pause", consumer, "--reason", "a new table", *options)


def resume(*options: str, consumer: str = CONSUMER) -> Any:
    return run("resume", consumer, *options)


def recorded(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Types and data of all recorded operations, by time."""
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    found = sorted(
        (item["time"]["S"], item["type"]["S"], json.loads(item["data"]["S"]))
        for item in items
        if item["stream"]["S"].startswith("operation/")
    )
    return [(kind, data) for _, kind, data in found]


@pytest.fixture
def stage(world: World) -> World:
    deploy_consumer(world, CONSUMER, "StockReserved")
    return world


def test_without_apply_it_prints_what_it_would_do_and_changes_nothing(stage: World) -> None:
    for result in (pause(), resume(), pause("--json"), resume("--json")):
        assert result.exit_code == 0, result.output

    assert f"Would pause {CONSUMER}" in pause().output
    assert states(stage, CONSUMER) == ["Enabled"]
    assert recorded(stage) == []
    assert not switch(stage, CONSUMER).paused


def test_a_paused_consumer_receives_no_messages_and_the_operation_is_recorded(stage: World) -> None:
    result = pause("--apply")

    assert result.exit_code == 0, result.output
    assert "charge-order is paused." in result.output
    assert states(stage, CONSUMER) == ["Disabled"]
    paused = switch(stage, CONSUMER).paused
    assert paused
    ((kind, data),) = recorded(stage)
    assert kind == "ConsumerPaused"
    assert (data["consumer"], data["reason"], data["operator"]) == (CONSUMER, "a new table", paused.by)
    assert (paused.operation, paused.reason) == (data["operation_id"], "a new table")
    CATALOGUE[kind].read(json.dumps(data), version=1)


def test_a_resumed_consumer_receives_messages_and_its_switch_is_reset(stage: World) -> None:
    pause("--apply")

    result = resume("--apply", "--reason", "the table is ready")

    assert result.exit_code == 0, result.output
    assert "charge-order is resumed." in result.output
    assert states(stage, CONSUMER) == ["Enabled"]
    assert [kind for kind, _ in recorded(stage)] == ["ConsumerPaused", "ConsumerResumed"]
    now = switch(stage, CONSUMER)
    assert (now.paused, now.off) == (None, False)
    assert now.resumed_at


def test_a_repeated_pause_changes_nothing_and_keeps_the_first_reason(stage: World) -> None:
    pause("--apply")

    again = run("pause", CONSUMER, "--reason", "another reason", "--apply")

    assert again.exit_code == 0
    assert "a new table already" in again.output
    assert [data["reason"] for _, data in recorded(stage)] == ["a new table"]
    resume("--apply")
    assert "was not paused" in resume("--apply").output
    assert len(recorded(stage)) == 2


def test_of_two_concurrent_pauses_one_takes_effect_and_is_recorded(stage: World) -> None:
    other = Paused(by="bob", reason="mine", since=clock.now(), operation="op-2")

    def bob_is_faster(**_: Any) -> None:
        for _left in range(len(waiting)):
            waiting.pop()
            stage.connection.dynamodb.transact_write_items(TransactItems=[switches(stage).pause(CONSUMER, other)])

    waiting = [1]
    pausing = PauseOperation(stage.connection, CONSUMER)
    stage.connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", bob_is_faster)

    assert not pausing.pause("too late")

    assert switch(stage, CONSUMER).paused == other
    assert recorded(stage) == []


@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("operation", ["pause", "resume"])
def test_after_a_kill_at_any_call_a_repetition_completes_it_and_it_is_recorded_once(
    stage: World, operation: str, call: int
) -> None:
    pausing = PauseOperation(stage.connection, CONSUMER)
    if operation == "resume":
        pausing.pause("a new table")
        list(pausing.follow())

    def run_operation() -> None:
        (pausing.pause if operation == "pause" else pausing.resume)("a new table")
        list(pausing.follow(seconds=0))

    end = kill_at_call(stage, call)
    with suppress(Killed):
        run_operation()
    end()
    run_operation()

    assert states(stage, CONSUMER) == ["Disabled" if operation == "pause" else "Enabled"]
    assert bool(switch(stage, CONSUMER).paused) is (operation == "pause")
    kinds = [kind for kind, _ in recorded(stage)]
    assert kinds == (["ConsumerPaused"] if operation == "pause" else ["ConsumerPaused", "ConsumerResumed"])


def test_resuming_with_an_open_circuit_breaker_leaves_the_mapping_off(stage: World) -> None:
    pause("--apply")
    retry = clock.timestamp(datetime.now(UTC) + timedelta(minutes=5))
    stage.connection.dynamodb.update_item(
        TableName=stage.names.ledger,
        Key={"key": {"S": f"{CONSUMER}#switch"}},
        UpdateExpression="SET opened = :yes, opened_at = :now, retry_at = :retry",
        ExpressionAttributeValues={":yes": {"BOOL": True}, ":now": {"S": clock.now()}, ":retry": {"S": retry}},
    )

    result = resume("--apply")

    assert result.exit_code == 0, result.output
    assert "its circuit breaker is open" in result.output
    assert retry[:19] in result.output
    assert states(stage, CONSUMER) == ["Disabled"]
    assert not switch(stage, CONSUMER).paused
    assert switch(stage, CONSUMER).off  # so the circuit breaker turns it on when it closes


def test_a_consumer_that_was_turned_off_by_others_is_turned_on(stage: World) -> None:
    mappings(stage).switch(CONSUMER, on=False)

    assert resume("--apply").exit_code == 0

    assert states(stage, CONSUMER) == ["Enabled"]
    assert recorded(stage) == []


def test_a_consumer_without_a_mapping_can_be_paused(world: World) -> None:
    world.listens(CONSUMER, "StockReserved")
    world.uses(CONSUMER, kind="effect", event="StockReserved")

    result = pause("--apply")

    assert result.exit_code == 0
    assert "has no event source mapping" in result.output
    assert switch(world, CONSUMER).paused


def test_admit_can_be_paused_and_the_consequences_are_printed(world: World) -> None:
    deploy_admit(world)

    result = pause("--apply", consumer="admit")

    assert result.exit_code == 0
    assert "no event of a producer is admitted" in result.output
    assert states(world, "admit") == ["Disabled"]


@pytest.mark.parametrize("operation", ["pause", "resume"])
def test_a_misspelled_name_is_an_error_with_a_suggestion(stage: World, operation: str) -> None:
    result = run(operation, "charge-ordr", "--reason", "x", "--apply")

    assert result.exit_code == 2
    assert "did you mean charge-order?" in result.output
    assert recorded(stage) == []


@pytest.mark.usefixtures("stage")
def test_a_misspelled_name_is_reported_before_a_missing_reason() -> None:
    result = run("pause", "charge-ordr")

    assert result.exit_code == 2
    assert "did you mean charge-order?" in result.output


@pytest.mark.usefixtures("stage")
def test_record_dead_letters_cannot_be_paused() -> None:
    assert pause("--apply", consumer="record-dead-letters").exit_code == 2


def test_a_pause_requires_a_reason(stage: World) -> None:
    result = run("pause", CONSUMER, "--apply")

    assert result.exit_code == 2
    assert "--reason" in result.output
    assert recorded(stage) == []


def test_after_an_interruption_before_the_mapping_is_turned_off_a_repetition_completes_it(stage: World) -> None:
    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    pausing = PauseOperation(stage.connection, CONSUMER)
    pausing.pause("a new table")
    stage.connection.lambda_.meta.events.register("before-call.lambda.UpdateEventSourceMapping", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(pausing.follow())
    assert switch(stage, CONSUMER).paused

    stage.connection.lambda_.meta.events.unregister("before-call.lambda.UpdateEventSourceMapping", interrupt)
    list(pausing.follow())
    assert states(stage, CONSUMER) == ["Disabled"]
