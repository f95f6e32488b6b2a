"""record-dead-letters: each message in a dead-letter queue is dead in the ledger, once, unless it is committed."""

import hashlib
import json
from typing import Any

import boto3
import pytest

from daybook.backbone import record_dead_letters
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from daybook.testing.world import REGION, Context, World
from tests.application.builders import Message, from_the_bus, recorded, sent
from tests.application.contracts.loans import LoanRequested
from tests.application.services.loans import open_loan
from tests.unit import faults
from tests.unit.dead_letters import CONSUMER, left, put_dead, record
from tests.unit.test_delivery_attempts import Slip, failing, later


@pytest.fixture(autouse=True)
def bodies(world: World) -> Any:
    """The bucket for bodies that are too large for the ledger."""
    assert world.client
    bucket = boto3.client("s3", region_name=REGION)
    bucket.create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket


def found(world: World, event: str, consumer: str = CONSUMER) -> LedgerEntry:
    entry = world.ledger.find(event, consumer)
    assert entry
    return entry


def by_hash(body: str) -> str:
    return f"body-{hashlib.sha256(body.encode()).hexdigest()}"


def test_a_dead_letter_is_found_by_its_event_with_its_body_and_its_reason(world: World) -> None:
    envelope = recorded()
    body = from_the_bus(envelope)

    assert record(body, attributes={"error": "NonRetryable", "reason": "never", "event_id": envelope.metadata.id}) == []

    entry = found(world, envelope.metadata.id)
    assert (entry.state, entry.stream, entry.sequence) == (DEAD, "loan/1001", 1)
    details = {name: entry.details[name] for name in ("error", "reason", "body", "dead", "event_type")}
    assert details == {
        "error": "NonRetryable",
        "reason": "never",
        "body": body,
        "dead": CONSUMER,
        "event_type": LoanRequested.contract.type,
    }


def test_an_event_is_in_the_index_of_dead_letters_until_it_is_committed(world: World) -> None:
    envelope = recorded()
    record(from_the_bus(envelope))
    assert found(world, envelope.metadata.id).details["dead"] == CONSUMER

    assert world.deliver(open_loan.handler, from_the_bus(envelope)) == []

    entry = found(world, envelope.metadata.id)
    assert entry.state == COMMITTED
    assert not {"dead", "body", "error", "reason"} & entry.details.keys()


def test_a_committed_event_is_never_recorded_as_dead(world: World) -> None:
    envelope = recorded()
    world.deliver(open_loan.handler, from_the_bus(envelope))

    assert record(from_the_bus(envelope)) == []

    assert found(world, envelope.metadata.id).state == COMMITTED


def test_the_reason_of_a_message_without_one_is_that_of_its_last_failed_attempt(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    for _ in range(2):
        world.deliver(failing(Slip()), message)
        message = later(message)

    record(message.body, of="test-delivery-attempts")

    entry = found(world, envelope.metadata.id, "test-delivery-attempts")
    assert (entry.details["error"], len(entry.failed_attempts)) == ("Slip", 2)


def test_a_message_without_reason_and_failed_attempts_was_given_up_by_sqs(world: World) -> None:
    envelope = recorded()

    record(from_the_bus(envelope))

    assert found(world, envelope.metadata.id).details["error"] == "MaxReceiveCount"


def test_an_event_that_a_rule_could_not_deliver_has_the_error_of_eventbridge(world: World) -> None:
    envelope = recorded()

    record(from_the_bus(envelope), attributes={"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "Ada Lovelace"})

    details = found(world, envelope.metadata.id).details
    assert details["error"] == "NO_PERMISSIONS"
    assert "Lovelace" not in details["reason"]


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        "[" * 100_000,
        '{"detail": 17}',
        '{"detail": {"metadata": {"id": 17, "stream": [], "sequence": "x"}}}',
        json.dumps({"detail": {"metadata": {"id": "x" * 3000, "stream": "a/b", "sequence": 10**40}}}),
    ],
    ids=["not JSON", "nested", "no detail", "wrong types", "absurd"],
)
def test_a_body_without_a_readable_id_is_recorded_once_under_its_hash(world: World, body: str) -> None:
    assert record(body) == []
    assert record(body) == []

    assert found(world, by_hash(body)).details["body"] == body
    assert len(world.items("ledger")) == 1


def test_the_id_of_a_producer_is_not_used_as_the_id_of_the_event(world: World) -> None:
    body = sent(metadata={"id": "the-producers"})

    record(body, of="admit")

    assert found(world, by_hash(body), "admit").state == DEAD


def test_a_body_of_a_megabyte_is_in_the_bucket_and_its_key_is_in_the_ledger(world: World, bodies: Any) -> None:
    body = "ä" * 500_000

    assert record(body) == []

    key = found(world, by_hash(body)).details["body_key"]
    assert bodies.get_object(Bucket="bodies", Key=key)["Body"].read().decode() == body


def test_a_message_stays_in_its_queue_if_the_ledger_cannot_be_written_and_the_others_are_recorded(world: World) -> None:
    faults.answer("UpdateItem", faults.DENIED)

    assert record("first", "second") == ["first"]

    assert [item["key"] for item in world.items("ledger")] == [f"{CONSUMER}#{by_hash('second')}"]


# Guards: one batch of each queue in turn.
def test_a_queue_with_many_messages_delays_no_other(world: World) -> None:
    put_dead(*(f"body {number}" for number in range(40)))
    put_dead("the only one", of="reserve-books")

    record_dead_letters.handler({}, Context(seconds=6, less=0.2))  # time for five batches

    assert left("reserve-books") == []
    assert 0 < len(left(CONSUMER)) < 40
    assert len(world.items("ledger")) == 41 - len(left(CONSUMER))


def test_a_queue_that_cannot_be_read_is_counted_and_the_others_are_read(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    put_dead("first", of="a-consumer")
    put_dead("second", of="b-consumer")
    faults.answer("ReceiveMessage", faults.DENIED, faults.DENIED)  # the first is for the queue of the world

    record_dead_letters.handler({}, Context())

    assert (left("a-consumer"), left("b-consumer")) == (["first"], [])
    assert len(world.items("ledger")) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert {line["service"]: line.get("NotRecorded") for line in lines} == {
        "consumer": [1],
        "a-consumer": [1],
        "b-consumer": None,
    }


def test_a_message_that_sqs_does_not_delete_is_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    put_dead("first")
    entry = {"Id": "0", "SenderFault": False, "Code": "InternalError"}
    faults.answer("DeleteMessageBatch", (200, {"Successful": [], "Failed": [entry]}))

    record_dead_letters.handler({}, Context())

    assert left(CONSUMER) == ["first"]
    assert len(world.items("ledger")) == 1
    (line,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert (line["DeadLettersRecorded"], line["NotRecorded"]) == ([1], [1])


def test_more_than_one_batch_of_a_queue_is_recorded_in_one_run(world: World) -> None:
    assert record(*(f"body {number}" for number in range(25))) == []

    assert len(world.items("ledger")) == 25


def test_each_dead_letter_is_counted_for_its_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    record("first", of="reserve-books")

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(line["service"], line["DeadLettersRecorded"]) for line in metrics] == [("reserve-books", [1.0])]


def a_body(**metadata: Any) -> str:
    """The body of an event with these metadata."""
    return json.dumps({"detail": {"metadata": metadata}})


@pytest.mark.parametrize(
    "body",
    [
        a_body(id="\ud800"),
        a_body(id="switch"),
        a_body(id="cursor#loan/1001"),
        a_body(id=" "),
        a_body(id="ädä"),
        a_body(id="\u0000"),
    ],
    ids=["half a character", "another row's key", "key of a cursor", "a space", "not ASCII", "a control character"],
)
def test_an_id_that_no_event_can_have_is_not_used(world: World, body: str) -> None:
    assert record(body) == []

    (item,) = world.items("ledger")
    assert item["key"] == f"{CONSUMER}#{by_hash(body)}"


@pytest.mark.parametrize("wrong", ["\ud800", "x" * 300_000], ids=["half a character", "endless"])
def test_a_stream_and_a_type_that_no_event_can_have_are_omitted(world: World, wrong: str) -> None:
    assert record(a_body(id="e1", stream=wrong, sequence=1, type=wrong)) == []

    entry = found(world, "e1")
    assert (entry.state, entry.stream, entry.details["event_type"]) == (DEAD, "", "")


def test_a_long_reason_is_cut(world: World) -> None:
    assert record("body", attributes={"error": "Whatever", "reason": "x" * 500_000}) == []

    assert len(found(world, by_hash("body")).details["reason"]) == 1_000


def test_an_event_that_was_rejected_under_the_id_of_an_admitted_one_is_recorded_too(world: World) -> None:
    metadata = {"id": "desk-1"}
    world.admit(sent(metadata=metadata))
    (admitted,) = world.recorded()
    broken = sent({"loan_id": "1001"}, metadata=metadata)
    world.admit(broken)
    (dead_letter,) = world.dead_letters()

    assert dead_letter.attributes["event_id"] == admitted.metadata.id
    assert record(dead_letter.body, of="admit", attributes=dead_letter.attributes) == []

    assert found(world, admitted.metadata.id, "admit").state == COMMITTED
    entry = found(world, by_hash(broken), "admit")
    assert (entry.state, entry.details["error"], entry.details["body"]) == (DEAD, "ContractBroken", broken)


def test_a_rejected_event_is_recorded_even_if_another_is_admitted_under_its_id_at_that_moment(world: World) -> None:
    metadata = {"id": "desk-1"}
    broken = sent({"loan_id": "1001"}, metadata=metadata)
    world.admit(broken)
    (dead_letter,) = world.dead_letters()
    faults.meanwhile("UpdateItem", lambda: world.admit(sent(metadata=metadata)))

    assert record(dead_letter.body, of="admit", attributes=dead_letter.attributes) == []

    (admitted,) = world.recorded()
    assert found(world, admitted.metadata.id, "admit").state == COMMITTED
    assert found(world, by_hash(broken), "admit").details["body"] == broken
