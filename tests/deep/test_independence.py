"""A service is deleted and deployed again while the others run, and then receives the events that it missed."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daybook.local import deployment
from daybook.local.cloud import Cloud
from daybook.local.system import assembly_of
from daybook.operate.subscriptions import Subscriptions, subscribed_since
from tests.deployed.deployed import CONFIRMED, UNSTOCKED, Deployed, an_order, deployed_system, stock_received
from tests.deployed.test_commands import daybook
from tests.local.processes import unique

INVENTORY = "daybook-local-inventory"
CONSUMER = "reserve-stock"


@pytest.fixture(scope="module")
def cloud(templates: Path) -> Iterator[Cloud]:
    """The cloud of a system only for this file, because the tests delete a part of it."""
    with deployed_system(templates, iam=True) as system:
        yield system.cloud


def test_a_service_is_deleted_and_deployed_alone_and_receives_the_events_that_it_missed(cloud: Cloud) -> None:
    before = Deployed.on(cloud)
    mug, poster, orders = unique("mug"), unique("poster"), [unique("order") for _ in range(4)]
    before.receives(stock_received(mug, 5))
    before.receives(an_order(orders[0], lines=[(mug, 1)]))
    listened, others = subscribed_since(before.connection, CONSUMER), stacks(cloud) - {INVENTORY}

    deployment.destroy(cloud, assembly_of(cloud), INVENTORY)

    assert stacks(cloud) == others
    assert CONSUMER not in Subscriptions.of(before.connection).known
    before.receives(*(an_order(order, lines=[(mug, 2)]) for order in orders[1:]))
    assert [status(before, order) for order in orders] == ["confirmed", "placed", "placed", "placed"]

    deployment.deploy(cloud, assembly_of(cloud), INVENTORY)

    assert stacks(cloud) == others | {INVENTORY}
    after = Deployed.on(cloud)
    assert subscribed_since(after.connection, CONSUMER) > listened
    assert after.row("stock", mug, of=CONSUMER) == {}  # the tables of a local stage are deleted with their stack
    after.receives(stock_received(mug, 5), stock_received(poster, 1))
    after.receives(an_order(orders[0] + "-new", lines=[(poster, 1)]))
    assert [status(after, order) for order in orders[1:]] == ["placed", "placed", "placed"]

    preview = daybook(after, "replay", "--to", CONSUMER, "--missing")
    assert "3 events (3 OrderPlaced)" in preview.stdout, preview.stderr
    assert after.row("stock", mug, of=CONSUMER)["available"] == 5
    applied = [daybook(after, "replay", "--to", CONSUMER, "--missing", "--apply") for _ in range(2)]
    assert [each.returncode for each in applied] == [0, 0]
    before.is_idle()  # all events since the beginning are processed

    assert [status(after, order) for order in orders] == ["confirmed", *statuses(after, orders[1:])]
    assert after.pieces(mug) == (1, 4)
    again = daybook(after, "replay", "--to", CONSUMER, "--missing", "--json")
    assert json.loads(again.stdout)["events"] == 0


def statuses(system: Deployed, orders: list[str]) -> list[str]:
    """The final status of each order: five pieces are enough for two of three orders of two pieces."""
    ends = [system.types(f"order/{order}") for order in orders]
    assert sorted(ends) == sorted([UNSTOCKED, CONFIRMED, CONFIRMED])
    return ["confirmed" if end == CONFIRMED else "cancelled" for end in ends]


def test_the_time_since_which_a_consumer_listens_does_not_change_when_its_stack_is_updated(cloud: Cloud) -> None:
    system = Deployed.on(cloud)
    before = subscribed_since(system.connection, CONSUMER)
    template = json.loads((assembly_of(cloud) / f"{INVENTORY}.template.json").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::SQS::Queue":
            resource["Properties"]["MessageRetentionPeriod"] = int(timedelta(days=3).total_seconds())

    cloudformation = cloud.client("cloudformation")
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
    s3, bucket = cloud.client("s3"), unique("templates")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="inventory.json", Body=json.dumps(template))
    where = f"{cloud.endpoint}/{bucket}/inventory.json"
    cloudformation.update_stack(StackName=INVENTORY, TemplateURL=where, Capabilities=capabilities)
    cloudformation.get_waiter("stack_update_complete").wait(StackName=INVENTORY, WaiterConfig={"Delay": 1})

    url = system.connection.sqs.get_queue_url(QueueName=system.connection.names.of(CONSUMER))["QueueUrl"]
    name = "MessageRetentionPeriod"
    kept = system.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
    assert int(kept) == timedelta(days=3).total_seconds()
    assert subscribed_since(system.connection, CONSUMER) == before


def stacks(cloud: Cloud) -> set[str]:
    """The names of the deployed stacks."""
    pages = cloud.client("cloudformation").get_paginator("list_stacks").paginate()
    found = [stack for page in pages for stack in page["StackSummaries"]]
    return {s["StackName"] for s in found if s["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}}


def status(system: Deployed, order: str) -> str:
    """The status that the view shows."""
    return str(system.row("order-status", order, of="order-status-placed")["status"])
