"""One service goes and comes back, by itself, while the others work; and then it gets what it has missed."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daybook.local import deployment
from daybook.local.cloud import Cloud
from daybook.local.system import assembly_of
from daybook.operate.subscriptions import Subscriptions, listens_since
from tests.deployed.deployed import CONFIRMED, UNSTOCKED, Deployed, an_order, deployed_system, stock_received, unique
from tests.deployed.test_commands import daybook

INVENTORY = "daybook-local-inventory"
TO = "reserve-stock"


@pytest.fixture(scope="module")
def cloud(templates: Path) -> Iterator[Cloud]:
    """The cloud of a system of this file's own, since parts of it are taken away."""
    with deployed_system(templates, iam=True) as system:
        yield system.cloud


def test_a_service_goes_and_comes_back_alone_and_gets_what_it_has_missed(cloud: Cloud) -> None:
    before = Deployed.on(cloud)
    mug, poster, orders = unique("mug"), unique("poster"), [unique("order") for _ in range(4)]
    before.receives(stock_received(mug, 5))
    before.receives(an_order(orders[0], lines=[(mug, 1)]))
    listened, others = listens_since(before.connection, TO), stacks(cloud) - {INVENTORY}

    deployment.destroy(cloud, assembly_of(cloud), INVENTORY)

    assert stacks(cloud) == others
    assert TO not in Subscriptions.of(before.connection).known
    before.receives(*(an_order(order, lines=[(mug, 2)]) for order in orders[1:]))  # and all is quiet again
    assert [status(before, order) for order in orders] == ["confirmed", "placed", "placed", "placed"]

    deployment.deploy(cloud, assembly_of(cloud), INVENTORY)

    assert stacks(cloud) == others | {INVENTORY}
    after = Deployed.on(cloud)
    assert listens_since(after.connection, TO) > listened
    assert after.row("stock", mug, of=TO) == {}  # this stage's tables go with their stack
    after.receives(stock_received(mug, 5), stock_received(poster, 1))
    after.receives(an_order(orders[0] + "-new", lines=[(poster, 1)]))
    assert [status(after, order) for order in orders[1:]] == ["placed", "placed", "placed"]

    told = daybook(after, "replay", "--to", TO, "--missing")
    assert "3 events (3 OrderPlaced)" in told.stdout, told.stderr
    assert after.row("stock", mug, of=TO)["available"] == 5
    applied = [daybook(after, "replay", "--to", TO, "--missing", "--apply") for _ in range(2)]
    assert [each.returncode for each in applied] == [0, 0]
    before.is_idle()  # by now there is nothing, from the beginning on, that has not come to its end

    assert [status(after, order) for order in orders] == ["confirmed", *three_times(after, orders[1:])]
    assert after.pieces(mug) == (1, 4)
    again = daybook(after, "replay", "--to", TO, "--missing", "--json")
    assert json.loads(again.stdout)["events"] == 0


def three_times(system: Deployed, orders: list[str]) -> list[str]:
    """What the orders' streams say of their ends: five pieces are enough for two orders of two, and each ends once."""
    ends = [system.types(f"order/{order}") for order in orders]
    assert sorted(ends) == sorted([UNSTOCKED, CONFIRMED, CONFIRMED])
    return ["confirmed" if end == CONFIRMED else "cancelled" for end in ends]


def test_a_consumer_listens_since_the_same_moment_however_often_its_stack_is_deployed(cloud: Cloud) -> None:
    system = Deployed.on(cloud)
    before = listens_since(system.connection, TO)
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

    url = system.connection.sqs.get_queue_url(QueueName=system.connection.names.of(TO))["QueueUrl"]
    name = "MessageRetentionPeriod"
    kept = system.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
    assert int(kept) == timedelta(days=3).total_seconds()
    assert listens_since(system.connection, TO) == before


def stacks(cloud: Cloud) -> set[str]:
    """The stacks that are deployed."""
    pages = cloud.client("cloudformation").get_paginator("list_stacks").paginate()
    found = [stack for page in pages for stack in page["StackSummaries"]]
    return {s["StackName"] for s in found if s["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}}


def status(system: Deployed, order: str) -> str:
    """What the customer is told."""
    return str(system.row("order-status", order, of="order-status-placed")["status"])
