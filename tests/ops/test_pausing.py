"""`daybook pause` and `daybook resume`: a consumer is held up and goes on, on record, wherever the command is killed.

Tried out as negative controls, one switched off at a time: that the record is in the switch's transaction, that a
second operator's word does not replace the first one's, that an open breaker's mapping is left alone, that a repeated
command goes on where one was killed. Each time tests of this file fail.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.consumers.switch import Paused
from daybook.contracts import clock
from daybook.operate.pause.pause import Pausing
from daybook.operate.program import app
from events.catalogue import CATALOGUE
from tests.ops.mapped import Killed, deploys, deploys_admit, kill_at_call, mappings, states, switch, switches
from tests.ops.world import World

CONSUMER = "charge-order"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments])


def pause(*options: str, consumer: str = CONSUMER) -> Any:
    return run("pause", consumer, "--reason", "a new table", *options)


def resume(*options: str, consumer: str = CONSUMER) -> Any:
    return run("resume", consumer, *options)


def recorded(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Types and data of all operations, in the order of their times."""
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    told = sorted(
        (item["time"]["S"], item["type"]["S"], json.loads(item["data"]["S"]))
        for item in items
        if item["stream"]["S"].startswith("operation/")
    )
    return [(kind, data) for _, kind, data in told]


@pytest.fixture
def stage(world: World) -> World:
    deploys(world, CONSUMER, "StockReserved")
    return world


def test_without_apply_it_is_said_and_nothing_is_changed(stage: World) -> None:
    for result in (pause(), resume(), pause("--json"), resume("--json")):
        assert result.exit_code == 0, result.output

    assert f"Would pause {CONSUMER}" in pause().output
    assert states(stage, CONSUMER) == ["Enabled"]
    assert recorded(stage) == []
    assert not switch(stage, CONSUMER).paused


def test_what_is_paused_gets_no_messages_and_who_said_so_and_why_is_on_record(stage: World) -> None:
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


def test_what_is_resumed_goes_on_and_is_as_if_it_had_never_been_paused(stage: World) -> None:
    pause("--apply")

    result = resume("--apply", "--reason", "the table is there")

    assert result.exit_code == 0, result.output
    assert "charge-order goes on." in result.output
    assert states(stage, CONSUMER) == ["Enabled"]
    assert [kind for kind, _ in recorded(stage)] == ["ConsumerPaused", "ConsumerResumed"]
    now = switch(stage, CONSUMER)
    assert (now.paused, now.off) == (None, False)
    assert now.resumed_at


def test_to_repeat_it_changes_nothing_and_the_first_word_stands(stage: World) -> None:
    pause("--apply")

    again = run("pause", CONSUMER, "--reason", "another reason", "--apply")

    assert again.exit_code == 0
    assert "a new table already" in again.output
    assert [data["reason"] for _, data in recorded(stage)] == ["a new table"]
    resume("--apply")
    assert "was not paused" in resume("--apply").output
    assert len(recorded(stage)) == 2


def test_of_two_operators_at_once_one_is_obeyed_and_one_operation_is_recorded(stage: World) -> None:
    other = Paused(by="bob", reason="mine", since=clock.now(), operation="op-2")

    def bob_is_faster(**_: Any) -> None:
        for _left in range(len(waiting)):
            waiting.pop()
            stage.connection.dynamodb.transact_write_items(TransactItems=[switches(stage).pause(CONSUMER, other)])

    waiting = [1]
    pausing = Pausing(stage.connection, CONSUMER)
    stage.connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", bob_is_faster)

    assert not pausing.pause("too late")

    assert switch(stage, CONSUMER).paused == other
    assert recorded(stage) == []


@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("act", ["pause", "resume"])
def test_wherever_it_is_killed_a_repetition_brings_it_to_its_end_and_is_recorded_once(
    stage: World, act: str, call: int
) -> None:
    pausing = Pausing(stage.connection, CONSUMER)
    if act == "resume":
        pausing.pause("a new table")
        list(pausing.follow())

    def act_out() -> None:
        (pausing.pause if act == "pause" else pausing.resume)("a new table")
        list(pausing.follow(seconds=0))

    end = kill_at_call(stage, call)
    with suppress(Killed):
        act_out()
    end()
    act_out()

    assert states(stage, CONSUMER) == ["Disabled" if act == "pause" else "Enabled"]
    assert bool(switch(stage, CONSUMER).paused) is (act == "pause")
    kinds = [kind for kind, _ in recorded(stage)]
    assert kinds == (["ConsumerPaused"] if act == "pause" else ["ConsumerPaused", "ConsumerResumed"])


def test_to_resume_a_consumer_whose_breaker_is_open_leaves_its_mapping_to_that(stage: World) -> None:
    pause("--apply")
    retry = clock.timestamp(datetime.now(UTC) + timedelta(minutes=5))
    stage.connection.dynamodb.update_item(
        TableName=stage.names.ledger,
        Key={"event": {"S": "switch"}, "consumer": {"S": CONSUMER}},
        UpdateExpression="SET opened = :yes, opened_at = :now, retry_at = :retry",
        ExpressionAttributeValues={":yes": {"BOOL": True}, ":now": {"S": clock.now()}, ":retry": {"S": retry}},
    )

    result = resume("--apply")

    assert result.exit_code == 0, result.output
    assert "its circuit breaker is open" in result.output
    assert retry[:19] in result.output
    assert states(stage, CONSUMER) == ["Disabled"]
    assert not switch(stage, CONSUMER).paused
    assert switch(stage, CONSUMER).off  # so that whoever closes it switches it on


def test_a_consumer_that_others_have_switched_off_is_switched_on(stage: World) -> None:
    mappings(stage).switch(CONSUMER, on=False)

    assert resume("--apply").exit_code == 0

    assert states(stage, CONSUMER) == ["Enabled"]
    assert recorded(stage) == []


def test_a_consumer_without_a_mapping_is_paused_all_the_same(world: World) -> None:
    world.listens(CONSUMER, "StockReserved")
    world.uses(CONSUMER, kind="effect", event="StockReserved")

    result = pause("--apply")

    assert result.exit_code == 0
    assert "has no mapping" in result.output
    assert switch(world, CONSUMER).paused


def test_the_front_door_can_be_paused_and_it_is_said_what_that_means(world: World) -> None:
    deploys_admit(world)

    result = pause("--apply", consumer="admit")

    assert result.exit_code == 0
    assert "nothing from outside is taken in" in result.output
    assert states(world, "admit") == ["Disabled"]


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_a_misspelt_name_is_told_with_what_is_near_it(stage: World, act: str) -> None:
    result = run(act, "charge-ordr", "--reason", "x", "--apply")

    assert result.exit_code == 2
    assert "did you mean charge-order?" in result.output
    assert recorded(stage) == []


@pytest.mark.usefixtures("stage")
def test_a_misspelt_name_is_told_before_a_reason_is_asked_for() -> None:
    result = run("pause", "charge-ordr")

    assert result.exit_code == 2
    assert "did you mean charge-order?" in result.output


@pytest.mark.usefixtures("stage")
def test_who_keeps_the_dead_letters_cannot_be_paused() -> None:
    assert pause("--apply", consumer="record-dead-letters").exit_code == 2


def test_to_pause_without_a_reason_is_refused(stage: World) -> None:
    result = run("pause", CONSUMER, "--apply")

    assert result.exit_code == 2
    assert "--reason" in result.output
    assert recorded(stage) == []


def test_interrupted_before_the_mapping_is_told_it_is_recorded_and_ended_by_a_repetition(stage: World) -> None:
    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    pausing = Pausing(stage.connection, CONSUMER)
    pausing.pause("a new table")
    stage.connection.lambda_.meta.events.register("before-call.lambda.UpdateEventSourceMapping", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(pausing.follow())
    assert switch(stage, CONSUMER).paused

    stage.connection.lambda_.meta.events.unregister("before-call.lambda.UpdateEventSourceMapping", interrupt)
    list(pausing.follow())
    assert states(stage, CONSUMER) == ["Disabled"]
