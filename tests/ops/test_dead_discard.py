"""`daybook dead discard` discards and records each dead letter once, and leaves no stream blocked."""

import json
from collections import Counter
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken
from daybook.contracts.operations import DeadLettersDiscarded
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.discard import Discarded, DiscardOperation
from daybook.operate.dead_letters.index import DeadLetter, Selection, dead_letters
from daybook.operate.program import app
from daybook.store.attributes import unpack_item
from daybook.store.ledger import COMMITTED, DISCARDED, AlreadyDone, LedgerEntry
from tests.ops.killed_commands import Moment, killed_at
from tests.ops.world import World
from tests.unit.faults import Death

TO, ORDERED = "confirm-order", "raise-alarm"
WHY = "sent by a test of the checkout"


def discarded(connection: Connection, wanted: list[DeadLetter] | None = None) -> list[Discarded]:
    found = dead_letters(connection, Selection()) if wanted is None else wanted
    return list(DiscardOperation(connection, WHY, pause=lambda _: None).run(found))


def named_by_events(world: World) -> Counter[str]:
    """How often each dead letter is in a recorded operation."""
    items = [unpack_item(item) for item in world.connection.dynamodb.scan(TableName=world.names.store)["Items"]]
    contract = DeadLettersDiscarded
    events = [contract.read(item["data"], version=1) for item in items if item["type"] == contract.__name__]
    return Counter(
        f"{dead_letter.event}@{dead_letter.consumer}" for event in events for dead_letter in event.dead_letters
    )


def states(world: World, *names: str) -> list[str]:
    found = [world.connection.ledger.find(*name.split("@")) for name in names]
    return [entry.state for entry in found if entry]


def discard(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["dead", "discard", *arguments])


@pytest.fixture
def stage(world: World) -> World:
    """A stage with an ordered consumer."""
    world.listens(ORDERED, "EquipmentStatusReported")
    world.uses(ORDERED, kind="reaction", event="EquipmentStatusReported", ordered=True)
    return world


def test_a_discarded_dead_letter_keeps_its_error_with_the_operator_and_the_reason(world: World) -> None:
    name = world.died("e-1", TO, body='{"a": 1}')

    (outcome,) = discarded(world.connection)

    assert (outcome.dead_letter.id, outcome.discarded) == (name, True)
    row = world.connection.ledger.find("e-1", TO)
    assert row is not None
    (stream,) = {item["stream"]["S"] for item in world.connection.dynamodb.scan(TableName=world.names.store)["Items"]}
    kept = {key: row.details[key] for key in ("error", "body", "why", "operation")}
    assert row.state == DISCARDED
    assert kept == {"error": "KeyError", "body": '{"a": 1}', "why": WHY, "operation": stream.removeprefix("operation/")}
    assert row.details["operator"].startswith("arn:aws:")
    assert list(dead_letters(world.connection, Selection())) == []


def test_a_discarded_event_is_not_processed_any_more(world: World) -> None:
    world.died("e-1", TO)
    discarded(world.connection)
    entry = LedgerEntry("e-1", TO, COMMITTED, clock.now())

    with pytest.raises(world.connection.dynamodb.exceptions.TransactionCanceledException):
        world.writes(entry)
    with pytest.raises(AlreadyDone):
        world.connection.ledger.record_dead(entry)


def test_many_are_discarded_in_chunks_each_named_by_exactly_one_event(world: World) -> None:
    names = [world.died(f"e-{number}", TO) for number in range(120)]

    outcomes = discarded(world.connection)

    assert all(outcome.discarded for outcome in outcomes)
    assert named_by_events(world) == Counter(names)
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    assert sorted(int(item["sequence"]["N"]) for item in items) == [1, 2, 3]


def test_an_event_that_is_committed_meanwhile_stays_committed_and_the_rest_is_discarded(world: World) -> None:
    names = [world.died(f"e-{number}", TO) for number in range(3)]
    waiting = iter([1])

    def commit_one(**_: Any) -> None:
        for _each in waiting:
            entry = LedgerEntry("e-1", TO, COMMITTED, clock.now())
            world.writes(entry)

    connection = Connection("dev")
    connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", commit_one)
    outcomes = discarded(connection)

    assert states(world, *names) == [DISCARDED, COMMITTED, DISCARDED]
    assert {outcome.dead_letter.event for outcome in outcomes if not outcome.discarded} == {"e-1"}
    assert named_by_events(world) == Counter([names[0], names[2]])


def test_a_dead_letter_that_died_again_is_discarded(world: World) -> None:
    name = world.died("e-1", TO, after=1)
    known = list(dead_letters(world.connection, Selection()))
    world.died("e-1", TO, "Worse", after=2)

    discarded(world.connection, known)

    assert states(world, name) == [DISCARDED]
    assert named_by_events(world) == Counter([name])


def discarded_once_though_killed(stage: World, moment: Moment) -> bool:
    """Discard two dead letters, one of them of a blocked stream. If the process was killed, repeat: each is discarded
    once.

    Returns whether the process was killed.
    """
    call, after = moment
    first = stage.recorded("EquipmentStatusReported", f"device/{call}-{after}", event_id=f"r-{call}-{after}")
    stage.recorded("EquipmentStatusReported", f"device/{call}-{after}", event_id=f"s-{call}-{after}")
    names = [stage.died(f"e-{call}-{after}", TO), stage.died(first, ORDERED)]
    before = waiting_wake_up_messages(stage)
    try:
        discarded(killed_at(call, after=after))
    except Death:
        was = set(states(stage, *names))
        discarded(stage.connection)
        assert states(stage, *names) == [DISCARDED, DISCARDED]
        assert all(named_by_events(stage)[name] == 1 for name in names)
        assert len(was) == 1  # both or none
        assert waiting_wake_up_messages(stage) > before
        return True
    return False


# Kills at every call: tests/deep/ops.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_after_a_kill_at_the_transaction_each_dead_letter_is_discarded_and_recorded_once(
    stage: World, after: bool
) -> None:
    assert discarded_once_though_killed(stage, ("TransactWriteItems", after))


def waiting_wake_up_messages(world: World) -> int:
    """The number of messages in the queue of the ordered consumer, including delayed ones."""
    url = world.connection.sqs.get_queue_url(QueueName=world.names.of(ORDERED))["QueueUrl"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
    found = world.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    return sum(int(found[name]) for name in names)


def sent(connection: Connection) -> list[tuple[str, int]]:
    """A list of the sent messages: the ids of the events, and the delay in seconds."""
    made: list[tuple[str, int]] = []

    def note(params: Any, **_: Any) -> None:
        entries = json.loads(params["body"])["Entries"]
        made.extend((json.loads(entry["MessageBody"])["id"], entry["DelaySeconds"]) for entry in entries)

    connection.sqs.meta.events.register("before-call.sqs.SendMessageBatch", note)
    return made


def test_of_two_concurrent_operations_only_one_discards_a_dead_letter(world: World) -> None:
    name = world.died("e-1", TO)
    waiting = iter([1])

    def another(**_: Any) -> None:
        for _each in waiting:
            discarded(world.connection)

    connection = Connection("dev")
    connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", another)
    (outcome,) = discarded(connection)

    assert not outcome.discarded
    assert named_by_events(world) == Counter([name])


def test_wake_up_messages_about_the_next_event_of_the_stream_are_sent_before_and_after_the_transaction(
    stage: World,
) -> None:
    first = stage.recorded("EquipmentStatusReported", "device/1", event_id="r-1")
    stage.recorded("EquipmentAlarmRaised", "device/1", event_id="other")
    stage.recorded("EquipmentStatusReported", "device/1", event_id="r-2")
    stage.died(first, ORDERED)
    messages = sent(stage.connection)

    discarded(stage.connection)

    assert messages == [("r-2", 10), ("r-2", 0)]


def test_no_wake_up_message_is_sent_without_a_next_event_or_without_an_ordered_consumer(stage: World) -> None:
    stage.listens(TO, "OrderPlaced")
    stage.uses(TO, kind="reaction", event="OrderPlaced")
    stage.died(stage.recorded("EquipmentStatusReported", "device/1"), ORDERED)
    first = stage.recorded("OrderPlaced", "order/1")
    stage.recorded("OrderPlaced", "order/1")
    stage.died(first, TO)

    messages = sent(stage.connection)

    assert all(outcome.discarded for outcome in discarded(stage.connection))

    assert messages == []


def test_a_stream_that_could_not_be_unblocked_is_an_error(stage: World) -> None:
    stage.died(stage.recorded("EquipmentStatusReported", "device/1"), ORDERED)
    stage.recorded("EquipmentStatusReported", "device/1")
    stage.connection.sqs.delete_queue(QueueUrl=f"https://sqs/{stage.names.of(ORDERED)}")

    shown = discard("--consumer", ORDERED, "--reason", WHY, "--apply")

    assert shown.exit_code == 1
    assert "device/1 after" in shown.stderr
    assert "no queue" in shown.stderr


# Guards: DiscardOperation._reason_to_keep. Otherwise the stream would be blocked, and no dead letter would say so.
def test_a_dead_letter_that_only_names_the_event_of_a_blocked_stream_is_not_discarded(stage: World) -> None:
    name = stage.died("body-1", ORDERED, error="LedgerRowNotProven", named_event="e-1")
    other = stage.died("body-2", TO, error="LedgerRowNotProven", named_event="e-2")

    shown = discard(name, other, "--reason", WHY, "--apply")

    assert shown.exit_code == 1
    assert f"daybook dead retry {name}" in " ".join(shown.stderr.split())
    assert "no longer dead" not in shown.stderr
    assert states(stage, name, other) == ["dead", "discarded"]
    assert named_by_events(stage) == {other: 1}


def test_discarding_an_unknown_outcome_notes_that_it_is_still_unknown(world: World) -> None:
    name = world.died("e-1", "mail", "OutcomeUnknown")

    shown = discard(name, "--reason", WHY, "--apply")

    assert shown.exit_code == 0
    assert f"daybook dead resolve {name} --stage dev" in shown.stderr


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("--all",), ("--all", "--reason", " "), ("--reason", WHY), ("--reason", "x" * 501)]
)
def test_without_a_reason_or_a_selection_nothing_is_discarded(world: World, arguments: tuple[str, ...]) -> None:
    name = world.died("e-1", TO)

    assert discard(*arguments, "--apply").exit_code == 2

    assert states(world, name) == ["dead"]


def test_without_apply_it_prints_what_it_would_discard_and_changes_nothing(world: World) -> None:
    name = world.died("e-1", TO)

    shown = discard("--consumer", TO, "--reason", WHY)

    assert shown.exit_code == 0
    assert "Would discard 1 dead letter" in shown.stdout
    assert "--apply" in shown.stdout
    assert states(world, name) == ["dead"]
    assert named_by_events(world) == Counter()


def test_with_json_it_prints_one_object_per_dead_letter(world: World) -> None:
    name = world.died("e-1", TO)
    world.died("e-2", "another")

    shown = discard(name, "--reason", WHY, "--apply", "--json")

    (printed,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert printed == {"id": name, "discarded": True, "blocked": "", "open_effect": False}
    assert states(world, "e-2@another") == ["dead"]


def test_a_record_without_a_reason_breaks_its_contract() -> None:
    with pytest.raises(ContractBroken):
        DeadLettersDiscarded.read(json.dumps({**DeadLettersDiscarded.example, "reason": ""}), version=1)
