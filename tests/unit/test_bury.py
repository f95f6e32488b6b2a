"""bury: whatever ends in a dead-letter queue stands in the ledger as dead, once, and never beside a commit."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest

from daybook.backbone import record_dead_letters as bury
from daybook.store.ledger import COMMITTED, DEAD, Entry
from events.orders import OrderPlaced
from functions.orders import place_order
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded, sent
from tests.unit.test_tries import Slip, failing, later
from tests.unit.world import NAMES, REGION, Context, World

CONSUMER = "place-order"


@pytest.fixture(autouse=True)
def bodies(world: World) -> Any:
    """The bucket for what is too large for the ledger, in the world's S3."""
    assert world.client
    bucket = boto3.client("s3", region_name=REGION)
    bucket.create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket


def buries(*bodies: str, of: str = CONSUMER, attributes: Mapping[str, str] | None = None) -> list[str]:
    """Call bury with a batch of a consumer's dead-letter queue. The answer are the messages that come again."""
    records = []
    for number, body in enumerate(bodies):
        record = Message(body, id=f"message-{number}").record()
        told = {name: {"stringValue": value, "dataType": "String"} for name, value in (attributes or {}).items()}
        arn = f"arn:aws:sqs:{REGION}:123456789012:{NAMES.dead_letters(of)}"
        records.append({**record, "messageAttributes": told, "eventSourceARN": arn})
    answer = bury.handler({"Records": records}, Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def found(world: World, event: str, consumer: str = CONSUMER) -> Entry:
    entry = world.ledger.find(event, consumer)
    assert entry
    return entry


def by_hash(body: str) -> str:
    return f"body-{hashlib.sha256(body.encode()).hexdigest()}"


def test_a_dead_letter_is_found_by_its_event_with_its_body_and_its_reason(world: World) -> None:
    envelope = recorded()
    body = from_the_bus(envelope)

    assert buries(body, attributes={"error": "NonRetryable", "reason": "never", "event_id": envelope.metadata.id}) == []

    entry = found(world, envelope.metadata.id)
    assert (entry.state, entry.stream, entry.sequence) == (DEAD, "order/1001", 1)
    details = {name: entry.details[name] for name in ("error", "reason", "body", "dead", "event_type")}
    assert details == {
        "error": "NonRetryable",
        "reason": "never",
        "body": body,
        "dead": CONSUMER,
        "event_type": OrderPlaced.contract.type,
    }


def test_the_dead_stand_in_an_index_of_their_own_until_they_are_done(world: World) -> None:
    envelope = recorded()
    buries(from_the_bus(envelope))
    assert found(world, envelope.metadata.id).details["dead"] == CONSUMER

    assert world.deliver(place_order.handler, from_the_bus(envelope)) == []

    entry = found(world, envelope.metadata.id)
    assert entry.state == COMMITTED
    assert not {"dead", "body", "error", "reason"} & entry.details.keys()


def test_what_is_committed_is_never_dead(world: World) -> None:
    envelope = recorded()
    world.deliver(place_order.handler, from_the_bus(envelope))

    assert buries(from_the_bus(envelope)) == []

    assert found(world, envelope.metadata.id).state == COMMITTED


def test_a_message_that_says_nothing_of_the_reason_has_it_from_the_tries_that_were_noted(world: World) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    for _ in range(2):
        world.deliver(failing(Slip()), message)
        message = later(message)

    buries(message.body, of="test-tries")

    entry = found(world, envelope.metadata.id, "test-tries")
    assert (entry.details["error"], len(entry.tries)) == ("Slip", 2)


def test_a_message_of_which_nothing_is_known_was_given_up_by_sqs(world: World) -> None:
    envelope = recorded()

    buries(from_the_bus(envelope))

    assert found(world, envelope.metadata.id).details["error"] == "GivenUp"


def test_what_a_rule_could_not_deliver_says_so(world: World) -> None:
    envelope = recorded()

    buries(from_the_bus(envelope), attributes={"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "Ada Lovelace"})

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
def test_what_has_no_readable_id_is_filed_under_the_hash_of_its_body_once(world: World, body: str) -> None:
    assert buries(body) == []
    assert buries(body) == []

    assert found(world, by_hash(body)).details["body"] == body
    assert len(world.items("ledger")) == 1


def test_the_id_that_a_producer_gave_is_not_taken_for_an_events_own(world: World) -> None:
    body = sent(metadata={"id": "the-producers"})

    buries(body, of="admit")

    assert found(world, by_hash(body), "admit").state == DEAD


def test_a_body_of_a_megabyte_goes_to_the_bucket_and_the_ledger_names_it(world: World, bodies: Any) -> None:
    body = "ä" * 500_000

    assert buries(body) == []

    key = found(world, by_hash(body)).details["body_key"]
    assert bodies.get_object(Bucket="bodies", Key=key)["Body"].read().decode() == body


def test_a_ledger_that_does_not_answer_leaves_the_message_in_its_queue_and_the_others_go_on(world: World) -> None:
    faults.answer("UpdateItem", faults.DENIED)

    assert buries("first", "second") == ["message-0"]

    assert [item["event"] for item in world.items("ledger")] == [by_hash("second")]


def test_every_burial_is_counted_for_its_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    buries("first", of="reserve-stock")

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(line["service"], line["Buried"]) for line in metrics] == [("reserve-stock", [1.0])]


def told(**metadata: Any) -> str:
    """A body whose metadata tell this."""
    return json.dumps({"detail": {"metadata": metadata}})


@pytest.mark.parametrize(
    "body",
    [
        told(id="\ud800"),
        told(id="switch"),
        told(id="cursor#order/1001"),
        told(id=" "),
        told(id="ädä"),
        told(id="\u0000"),
    ],
    ids=["half a letter", "another row's key", "key of a cursor", "a space", "not ASCII", "a control character"],
)
def test_what_cannot_be_an_events_id_is_none(world: World, body: str) -> None:
    assert buries(body) == []

    (item,) = world.items("ledger")
    assert (item["event"], item["consumer"]) == (by_hash(body), CONSUMER)


@pytest.mark.parametrize("wrong", ["\ud800", "x" * 300_000], ids=["half a letter", "endless"])
def test_what_no_stream_and_no_type_can_be_is_left_out(world: World, wrong: str) -> None:
    assert buries(told(id="e1", stream=wrong, sequence=1, type=wrong)) == []

    entry = found(world, "e1")
    assert (entry.state, entry.stream, entry.details["event_type"]) == (DEAD, "", "")


def test_a_reason_that_never_ends_is_cut(world: World) -> None:
    assert buries("body", attributes={"error": "Whatever", "reason": "x" * 500_000}) == []

    assert len(found(world, by_hash("body")).details["reason"]) == 1_000


def test_what_was_refused_under_the_id_of_an_admitted_event_is_kept_beside_it(world: World) -> None:
    metadata = {"id": "checkout-1"}
    world.admit(sent(metadata=metadata))
    (admitted,) = world.recorded()
    broken = sent({"order_id": "1001"}, metadata=metadata)
    world.admit(broken)
    (letter,) = world.dead_letters()

    assert letter.attributes["event_id"] == admitted.metadata.id
    assert buries(letter.body, of="admit", attributes=letter.attributes) == []

    assert found(world, admitted.metadata.id, "admit").state == COMMITTED
    entry = found(world, by_hash(broken), "admit")
    assert (entry.state, entry.details["error"], entry.details["body"]) == (DEAD, "ContractBroken", broken)


def test_what_was_refused_is_kept_though_another_is_admitted_under_its_id_at_that_moment(world: World) -> None:
    metadata = {"id": "checkout-1"}
    broken = sent({"order_id": "1001"}, metadata=metadata)
    world.admit(broken)
    (letter,) = world.dead_letters()
    faults.meanwhile("UpdateItem", lambda: world.admit(sent(metadata=metadata)))

    assert buries(letter.body, of="admit", attributes=letter.attributes) == []

    (admitted,) = world.recorded()
    assert found(world, admitted.metadata.id, "admit").state == COMMITTED
    assert found(world, by_hash(broken), "admit").details["body"] == broken
