"""Nobody but known rules and roles reaches queues and buses, whatever a role's own policy allows; orders still flow."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from events.orders import OrderPlaced
from tests.deployed.deployed import CONFIRMED, Deployed, an_order, stock_received
from tests.local.callers import ACCOUNT, Caller, allow
from tests.local.processes import unique

EVERYTHING = (allow("sqs:*"), allow("events:*"))


@pytest.fixture
def administrator(system: Deployed) -> Caller:
    """A role that may do everything with queues and buses, and is no operator and no producer."""
    return Caller(system.cloud, *EVERYTHING)


@pytest.fixture
def checkout(system: Deployed) -> Iterator[Caller]:
    """The role of the shop's checkout, with the policy of its source."""
    iam = system.cloud.client("iam")
    caller = Caller(system.cloud, allow("sts:GetCallerIdentity"), path="/daybook/local/producers/")
    name = caller.arn.rpartition("/")[2]
    policy = f"arn:aws:iam::{ACCOUNT}:policy/daybook-local-producer-shop.checkout-us-east-1"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    yield caller
    iam.detach_role_policy(RoleName=name, PolicyArn=policy)


def test_a_role_that_is_not_named_sends_to_no_queue(system: Deployed, administrator: Caller) -> None:
    bounce = {"source": "aws.ses", "detail-type": "Email Bounced", "account": ACCOUNT, "region": "us-east-1"}
    for queue in ("place-order", "admit", "place-order-dead", "admit-dead", "publish-dead", "bounces-dead"):
        url = queue_url(system, queue)
        denied(partial(administrator.client("sqs").send_message, QueueUrl=url, MessageBody=json.dumps(bounce)))


def test_a_function_sends_to_no_queue_but_its_own_dead_letter_queue(system: Deployed) -> None:
    role = Caller(system.cloud, *EVERYTHING, path="/daybook/local/us-east-1/place-order/").client("sqs")

    denied(lambda: role.send_message(QueueUrl=queue_url(system, "confirm-order"), MessageBody="{}"))
    denied(lambda: role.send_message(QueueUrl=queue_url(system, "confirm-order-dead"), MessageBody="{}"))


def test_a_role_that_is_not_named_puts_events_on_neither_bus(system: Deployed, administrator: Caller) -> None:
    names = system.connection.names
    for bus in (names.ingress_bus, names.event_bus):
        denied(partial(put, administrator, bus, an_order()))


def test_a_producer_puts_no_event_on_the_event_bus(system: Deployed) -> None:
    producer = Caller(system.cloud, *EVERYTHING, path="/daybook/local/producers/")

    denied(lambda: put(producer, system.connection.names.event_bus, an_order(source="daybook.orders")))


def test_a_producer_uses_only_its_own_source_and_types(system: Deployed, checkout: Caller) -> None:
    bus = system.connection.names.ingress_bus
    own, other = an_order(), stock_received("mug", 1)

    denied(lambda: put(checkout, bus, other))
    denied(lambda: put(checkout, bus, own, other))
    denied(lambda: put(checkout, bus, {**own, "DetailType": "RefundClaimed"}))


def test_orders_of_a_producer_and_messages_of_an_operator_still_arrive(system: Deployed, checkout: Caller) -> None:
    order, sku = unique("order"), unique("mug")
    system.receives(stock_received(sku, 1))

    put(checkout, system.connection.names.ingress_bus, an_order(order, lines=[(sku, 1)]))
    system.drains("admit")
    (placed, *_) = system.connection.store.stream(f"order/{order}")
    system.finishes(placed.metadata.id)

    assert placed.metadata.type == OrderPlaced.__name__
    assert system.types(f"order/{order}") == CONFIRMED

    operator = Caller(system.cloud, *EVERYTHING, path="/daybook/local/operators/").client("sqs")
    body = unique("not JSON")
    operator.send_message(QueueUrl=queue_url(system, "place-order"), MessageBody=body)
    assert system.dead_body(body, "place-order").details["error"] == "NotAnEnvelope"


def denied(call: Callable[[], object]) -> None:
    """Assert that AWS denies the call."""
    with pytest.raises(ClientError) as refused:
        call()
    assert refused.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}


def put(caller: Caller, bus: str, *events: dict[str, Any]) -> None:
    """Put events on a bus."""
    entries = [{**event, "Detail": json.dumps(event["Detail"]), "EventBusName": bus} for event in events]
    assert caller.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0


def queue_url(system: Deployed, queue: str) -> str:
    """The URL of a queue, by its name without the stage."""
    return str(system.cloud.client("sqs").get_queue_url(QueueName=system.connection.names.of(queue))["QueueUrl"])
