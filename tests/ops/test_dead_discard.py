"""`daybook dead discard`: each dead letter is discarded once, on record, and no stream stays blocked."""

import json
from collections import Counter
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken
from daybook.contracts.operations import DeadLettersDiscarded
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.discard import Discarded, Discarding
from daybook.operate.dead_letters.index import DeadLetter, Selection, dead_letters
from daybook.operate.program import app
from daybook.store.attributes import unpack_item
from daybook.store.ledger import COMMITTED, DISCARDED, AlreadyDone, Entry
from tests.ops.deaths import Moment, dying
from tests.ops.world import World
from tests.unit.faults import Death

TO, ORDERED = "confirm-order", "raise-alarm"
WHY = "sent by a test of the checkout"


def discarded(connection: Connection, wanted: list[DeadLetter] | None = None) -> list[Discarded]:
    found = dead_letters(connection, Selection()) if wanted is None else wanted
    return list(Discarding(connection, WHY, pause=lambda _: None).run(found))


def named_by_events(world: World) -> Counter[str]:
    """How often each dead letter is named by what is recorded of discarding."""
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
    """A stage with a consumer that keeps order."""
    world.listens(ORDERED, "EquipmentStatusReported")
    world.uses(ORDERED, kind="reaction", event="EquipmentStatusReported", ordered=True)
    return world


def test_a_dead_letter_is_discarded_with_who_decided_and_why_and_keeps_what_went_wrong(world: World) -> None:
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


def test_what_is_discarded_is_not_processed_any_more(world: World) -> None:
    world.died("e-1", TO)
    discarded(world.connection)
    entry = Entry("e-1", TO, COMMITTED, clock.now())

    with pytest.raises(world.connection.dynamodb.exceptions.TransactionCanceledException):
        world.connection.dynamodb.transact_write_items(TransactItems=[world.connection.ledger.record(entry)])
    with pytest.raises(AlreadyDone):
        world.connection.ledger.record_dead(entry)


def test_many_are_discarded_in_chunks_each_named_by_exactly_one_event(world: World) -> None:
    names = [world.died(f"e-{number}", TO) for number in range(120)]

    outcomes = discarded(world.connection)

    assert all(outcome.discarded for outcome in outcomes)
    assert named_by_events(world) == Counter(names)
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    assert sorted(int(item["sequence"]["N"]) for item in items) == [1, 2, 3]


def test_what_has_been_done_meanwhile_stays_done_and_the_rest_is_discarded(world: World) -> None:
    names = [world.died(f"e-{number}", TO) for number in range(3)]
    waiting = iter([1])

    def commit_one(**_: Any) -> None:
        for _each in waiting:
            entry = Entry("e-1", TO, COMMITTED, clock.now())
            world.connection.dynamodb.update_item(**world.connection.ledger.record(entry)["Update"])

    connection = Connection("dev")
    connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", commit_one)
    outcomes = discarded(connection)

    assert states(world, *names) == [DISCARDED, COMMITTED, DISCARDED]
    assert {outcome.dead_letter.event for outcome in outcomes if not outcome.discarded} == {"e-1"}
    assert named_by_events(world) == Counter([names[0], names[2]])


def test_a_dead_letter_that_has_died_again_meanwhile_is_discarded_as_it_is_now(world: World) -> None:
    name = world.died("e-1", TO, after=1)
    known = list(dead_letters(world.connection, Selection()))
    world.died("e-1", TO, "Worse", after=2)

    discarded(world.connection, known)

    assert states(world, name) == [DISCARDED]
    assert named_by_events(world) == Counter([name])


def discarded_once_though_killed(stage: World, moment: Moment) -> bool:
    """Discard two dead letters, one of them at the head of a stream. Death and repeated: each is discarded once.

    Returns whether the process was killed.
    """
    call, after = moment
    first = stage.recorded("EquipmentStatusReported", f"device/{call}-{after}", event_id=f"r-{call}-{after}")
    stage.recorded("EquipmentStatusReported", f"device/{call}-{after}", event_id=f"s-{call}-{after}")
    names = [stage.died(f"e-{call}-{after}", TO), stage.died(first, ORDERED)]
    before = waiting_wake_ups(stage)
    try:
        discarded(dying(call, after=after))
    except Death:
        was = set(states(stage, *names))
        discarded(stage.connection)
        assert states(stage, *names) == [DISCARDED, DISCARDED]
        assert all(named_by_events(stage)[name] == 1 for name in names)
        assert len(was) == 1  # both or none
        assert waiting_wake_ups(stage) > before
        return True
    return False


# Death at every call: tests/deep/ops.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_the_transaction_and_repeated_each_dead_letter_is_discarded_once_with_one_event_that_names_it(
    stage: World, after: bool
) -> None:
    assert discarded_once_though_killed(stage, ("TransactWriteItems", after))


def waiting_wake_ups(world: World) -> int:
    """How many messages are in the queue of the consumer that keeps order, or will be some seconds later."""
    url = world.connection.sqs.get_queue_url(QueueName=world.names.of(ORDERED))["QueueUrl"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
    found = world.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    return sum(int(found[name]) for name in names)


def sent(connection: Connection) -> list[tuple[str, int]]:
    """A list that grows by what is sent: the ids of the events, and after how many seconds each comes."""
    made: list[tuple[str, int]] = []

    def note(params: Any, **_: Any) -> None:
        entries = json.loads(params["body"])["Entries"]
        made.extend((json.loads(entry["MessageBody"])["id"], entry["DelaySeconds"]) for entry in entries)

    connection.sqs.meta.events.register("before-call.sqs.SendMessageBatch", note)
    return made


def test_of_two_that_decide_at_the_same_time_one_does(world: World) -> None:
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


def test_a_stream_behind_a_discarded_event_is_wake_up_messaged_before_and_after_by_the_next_event_of_that_type(
    stage: World,
) -> None:
    first = stage.recorded("EquipmentStatusReported", "device/1", event_id="r-1")
    stage.recorded("EquipmentAlarmRaised", "device/1", event_id="other")
    stage.recorded("EquipmentStatusReported", "device/1", event_id="r-2")
    stage.died(first, ORDERED)
    messages = sent(stage.connection)

    discarded(stage.connection)

    assert messages == [("r-2", 10), ("r-2", 0)]


def test_where_nothing_follows_or_order_does_not_matter_nobody_is_wake_up_messaged(stage: World) -> None:
    stage.listens(TO, "OrderPlaced")
    stage.uses(TO, kind="reaction", event="OrderPlaced")
    stage.died(stage.recorded("EquipmentStatusReported", "device/1"), ORDERED)
    first = stage.recorded("OrderPlaced", "order/1")
    stage.recorded("OrderPlaced", "order/1")
    stage.died(first, TO)

    messages = sent(stage.connection)

    assert all(outcome.discarded for outcome in discarded(stage.connection))

    assert messages == []


def test_that_a_stream_could_not_be_set_going_is_told(stage: World) -> None:
    stage.died(stage.recorded("EquipmentStatusReported", "device/1"), ORDERED)
    stage.recorded("EquipmentStatusReported", "device/1")
    stage.connection.sqs.delete_queue(QueueUrl=f"https://sqs/{stage.names.of(ORDERED)}")

    shown = discard("--consumer", ORDERED, "--reason", WHY, "--apply")

    assert shown.exit_code == 1
    assert "device/1 behind" in shown.stderr
    assert "no queue" in shown.stderr


def test_an_effect_whose_outcome_is_unknown_stays_so_and_that_is_said(world: World) -> None:
    name = world.died("e-1", "mail", "OutcomeUnknown")

    shown = discard(name, "--reason", WHY, "--apply")

    assert shown.exit_code == 0
    assert f"daybook dead resolve {name} --stage dev" in shown.stderr


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("--all",), ("--all", "--reason", " "), ("--reason", WHY), ("--reason", "x" * 501)]
)
def test_without_a_reason_or_a_word_on_which_dead_letters_nothing_is_discarded(
    world: World, arguments: tuple[str, ...]
) -> None:
    name = world.died("e-1", TO)

    assert discard(*arguments, "--apply").exit_code == 2

    assert states(world, name) == ["dead"]


def test_without_apply_it_says_what_it_would_discard_and_changes_nothing(world: World) -> None:
    name = world.died("e-1", TO)

    shown = discard("--consumer", TO, "--reason", WHY)

    assert shown.exit_code == 0
    assert "Would discard 1 dead letter" in shown.stdout
    assert "--apply" in shown.stdout
    assert states(world, name) == ["dead"]
    assert named_by_events(world) == Counter()


def test_with_json_there_is_one_object_a_dead_letter(world: World) -> None:
    name = world.died("e-1", TO)
    world.died("e-2", "another")

    shown = discard(name, "--reason", WHY, "--apply", "--json")

    (told,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert told == {"id": name, "discarded": True, "blocked": "", "open_effect": False}
    assert states(world, "e-2@another") == ["dead"]


def test_a_record_without_a_reason_breaks_its_contract() -> None:
    with pytest.raises(ContractBroken):
        DeadLettersDiscarded.read(json.dumps({**DeadLettersDiscarded.example, "reason": ""}), version=1)
