"""The deployed system with events and messages that it must not process."""

import json

import pytest

from tests.deployed.deployed import Deployed, an_event, an_order
from tests.local.processes import unique, until


def test_invalid_events_are_rejected_each_with_its_reason(system: Deployed) -> None:
    order = unique("order")
    bad = {
        "ContractBroken": an_order(lines=[("mug", 0)]),
        "UnknownType": an_event("OrderImagined", {}, source="shop.checkout"),
        "SourceNotAllowed": an_order(source="shop.unknown"),
        "UnknownVersion": {**an_order(), "Detail": {**an_order()["Detail"], "metadata": {"version": 99}}},
        "NoData": {**an_order(), "Detail": {"order_id": "1"}},
        "EventTooLarge": an_order(note="x" * 70_000),
    }

    ids = system.sends(*bad.values())
    (first,) = system.sends(an_order(order))
    system.finishes(first)
    (second,) = system.sends(an_order(order))

    assert system.refusals(*ids) == dict(zip(ids, bad, strict=True))
    assert system.refusals(second) == {second: "StreamAlreadyOpen"}


def test_a_message_that_is_not_json_becomes_a_dead_letter_unchanged(system: Deployed) -> None:
    sqs = system.cloud.client("sqs")
    body = unique("not JSON")
    url = sqs.get_queue_url(QueueName=system.connection.names.of("admit"))["QueueUrl"]

    sqs.send_message(QueueUrl=url, MessageBody=body)

    dead = system.dead_body(body, "admit")
    assert (dead.details["error"], dead.details["body"]) == ("NotJson", body)


@pytest.mark.parametrize("consumer", ["place-order", "reserve-stock", "order-status-placed"])
def test_a_message_that_a_consumer_cannot_parse_becomes_a_dead_letter_and_the_consumer_continues(
    system: Deployed, consumer: str
) -> None:
    sqs = system.cloud.client("sqs")
    body = json.dumps({"detail": {"metadata": {}, "data": unique("nothing")}})
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    order = unique("order")

    sqs.send_message(QueueUrl=url, MessageBody=body)
    system.receives(an_order(order))

    dead = system.dead_body(body, consumer)
    assert (dead.details["error"], dead.details["body"]) == ("NotAnEnvelope", body)
    assert system.trace(f"order/{order}").waiting == 0


def test_a_change_of_a_stored_event_is_logged_as_tampered(system: Deployed) -> None:
    order = unique("order")
    system.receives(an_order(order))
    before = tampered(system)

    system.cloud.client("dynamodb").update_item(
        TableName=system.connection.names.store,
        Key={"stream": {"S": f"order/{order}"}, "sequence": {"N": "1"}},
        UpdateExpression="SET note = :note",
        ExpressionAttributeValues={":note": {"S": "written by hand"}},
    )

    until(lambda: tampered(system) > before, what="publish logs the change")


def tampered(system: Deployed) -> int:
    """The number of changes of stored events that publish has seen."""
    return system.cloud.log.read_text().count('"message":"tampered"')
