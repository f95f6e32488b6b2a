"""What each function does in AWS, held against what its role lets it do.

The cloud itself sees to it in every test that functions do nothing else. What it does not look at, namely which streams
of the store a function may write and read, is looked at here.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from daybook.consumers.switch import Paused, Switches
from daybook.contracts import clock
from daybook.local import provider as outside
from daybook.local.faults import Call, Fault, Faults, Use
from daybook.local.provider import Provider
from daybook.runtime.mapping import Mappings
from daybook.store.event_store import to_item
from daybook.store.timers import slots
from tests.deployed import test_analytics, test_compliance, test_fraud, test_patients
from tests.deployed.deployed import Deployed, an_order, paused, short_visibility_timeout, stock_received, unique
from tests.deployed.test_equipment import (
    LOW,
    a_registration,
    a_report,
    a_retirement,
    alarms,
    an_acknowledgement,
    limits_for,
    sweeps,
)
from tests.deployed.test_permissions import roles
from tests.deployed.test_shop import a_parcel, a_refund, bounces, expires, kill, mails
from tests.local.processes import until
from tests.unit.builders import goods, recorded

# Done by AWS with the function's role, so no call of the function shows it.
BY_LAMBDA_ITSELF = {
    "logs:CreateLogStream": "Lambda writes what the function prints",
    "logs:PutLogEvents": "Lambda writes what the function prints",
    "xray:PutTelemetryRecords": "Lambda's tracing sends it",
    "xray:PutTraceSegments": "Lambda's tracing sends it",
    "sqs:ReceiveMessage": "the mapping takes messages",
    "sqs:DeleteMessage": "the mapping removes what was handled",
    "sqs:GetQueueAttributes": "the mapping looks how long the queue is",
    "dynamodb:DescribeStream": "the mapping reads the store's stream",
    "dynamodb:GetRecords": "the mapping reads the store's stream",
    "dynamodb:GetShardIterator": "the mapping reads the store's stream",
    "dynamodb:ListStreams": "the mapping reads the store's stream",
}


@dataclass(frozen=True, order=True)
class Permission:
    """One thing that a function's role allows. All but the function are patterns; `*` where nothing is asked."""

    function: str
    action: str
    resource: str
    streams: str = "*"
    operation: str = "*"

    def covers(self, call: Call, use: Use) -> bool:
        return (
            (self.function, self.action) == (call.function, use.action)
            and fnmatchcase(use.resource or "", self.resource)
            and fnmatchcase(use.stream or "", self.streams)
            and fnmatchcase(call.operation, self.operation)
        )


@pytest.fixture(scope="module")
def calls(
    running_system: Deployed, faults: Faults, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> list[Call]:
    """All calls of all functions, once they have had cause for everything that they may do."""
    keep_everybody_busy(running_system.from_now_on(), faults, provider, tmp_path_factory.mktemp("lists"))
    return faults.calls()


def test_every_permission_is_used(system: Deployed, calls: list[Call]) -> None:
    unused = {
        permission
        for permission in permissions(system)
        if not any(permission.covers(call, use) for call in calls for use in call.uses)
    }

    assert sorted(each for each in unused if each.action not in BY_LAMBDA_ITSELF) == []
    assert {each.action for each in unused} == BY_LAMBDA_ITSELF.keys()


def test_every_use_is_permitted(system: Deployed, calls: list[Call]) -> None:
    # The local cloud does not look at keys: a stream that a role may not touch shows only here.
    allowed = list(permissions(system))
    not_permitted = {
        (call.function, use.action, use.resource, (use.stream or "").partition("/")[0])
        for call in calls
        for use in call.uses
        if not any(permission.covers(call, use) for permission in allowed)
    }

    assert not_permitted == set()


def keep_everybody_busy(system: Deployed, faults: Faults, provider: Provider, folder: Path) -> None:
    """Give each function cause for all that it may do: its work, a delivery that comes again, one it cannot read."""
    sku, opened, paid, declined, late = unique("mug"), *(unique("order") for _ in range(4))
    consumers = [
        function
        for function in roles(system)
        if function not in {"admit", "publish", "republish", "record-dead-letters", "fire-timers", "control-consumers"}
    ]
    twice = an_order(paid, lines=[(sku, 1)], producer_id=unique("checkout"))
    refused = [Fault.denied(function=consumer, operation="TransactWriteItems") for consumer in consumers]
    busy = [
        Fault.throttled("TooManyRequestsException", function=consumer, operation="SendEmail")
        for consumer in consumers
        if consumer.startswith("mail-")
    ]
    busy += [
        Fault.throttled("Throttled", function=consumer, operation="Publish")
        for consumer in consumers
        if consumer.startswith("page-")
    ]
    down = [outside.Fault.unavailable(operation=each) for each in ("payment_intents.confirm", "refunds.create")]
    with ExitStack() as stack:
        for consumer in consumers:
            stack.enter_context(short_visibility_timeout(system, consumer))
        stack.enter_context(faults.inject(*refused, *busy))
        stack.enter_context(provider.inject(*down))
        kill(system, "charge-order")  # the next process reads the provider's key
        kill(system, "refund-order")
        system.receives(stock_received(sku, 3))
        system.receives(
            twice,
            stock_received(sku, 1),
            an_order(opened, lines=[(sku, 9)]),
            an_order(declined, lines=[(sku, 1)], payment_method="pm_card_visa_chargeDeclined"),
        )
        with paused(system, "reserve-stock"):  # so that nobody pays for it
            system.sends(an_order(late, lines=[(sku, 1)], pay_within=1))
            expires(system, late)
        system.receives(a_parcel(paid), a_refund(paid, "R-1", 500))
        bounces(system, paid, mails(system, paid)[0])
        test_patients.all_that_may_happen(system)
        test_analytics.all_that_may_happen(system)
        test_fraud.all_that_may_happen(system)
        test_compliance.all_that_may_happen(system, folder)
        until(lambda: "EmailBounced" in system.types(f"order/{paid}"), what="a letter has bounced")
        keep_equipment_busy(system)
        system.finishes()
    assert {fault.where["function"]: faults.injected_count(fault) for fault in refused} == dict.fromkeys(consumers, 1)
    system.sends(twice)
    system.refusals(*system.sends(an_order(lines=[("mug", 0)]), an_order(opened)))
    for consumer in consumers:
        gets_what_it_cannot_read(system, consumer)
    the_store_gets_what_is_no_event(system)
    republish_reads_the_journal(system)
    the_ledger_gets_what_is_too_large_for_it(system)
    sweep_finds_what_is_no_timer(system)
    a_consumer_is_paused_and_resumed(system)


def keep_equipment_busy(system: Deployed) -> None:
    """A device that nobody knows is in trouble, which goes a level up; another is silent, and retired."""
    unknown, silent = unique("MON"), unique("MON")
    system.receives(a_registration(silent, reports_every=1), limits_for(unknown, acknowledge_within=1))
    system.receives(a_report(unknown, LOW, status="fault"))
    until(
        lambda: sweeps(system) and alarms(system, silent) and levels(system, unknown) >= 2,
        what="one device is silent, and the other's alarm goes up",
    )
    system.receives(a_report(unknown, LOW), a_retirement(silent))
    system.receives(*[an_acknowledgement(alarm["id"]) for alarm in alarms(system, unknown)])


def levels(system: Deployed, device: str) -> int:
    """How high the alarms about the device have gone up."""
    return max(int(alarm["level"]) for alarm in alarms(system, device))


def gets_what_it_cannot_read(system: Deployed, consumer: str) -> None:
    """Send the consumer a message that is no event, and wait until it is among the dead letters."""
    sqs = system.cloud.client("sqs")
    body = unique("nothing")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)
    system.dead_body(body, consumer)


def the_store_gets_what_is_no_event(system: Deployed) -> None:
    """Write it past everybody, wait until publish has put it aside, and take it away again."""
    key = {"stream": {"S": unique("nothing/")}, "sequence": {"N": "1"}}
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    dynamodb.put_item(TableName=table, Item=key)
    until(lambda: key["stream"]["S"] in str(buried(system, "publish")), what="publish puts it aside")
    dynamodb.delete_item(TableName=table, Key=key)


def republish_reads_the_journal(system: Deployed) -> None:
    """Have republish publish the last minute again, with an item in it that is no event."""
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    item = to_item(recorded(goods(unique("mug"))))
    key = {name: item[name] for name in ("stream", "sequence")}
    dynamodb.put_item(TableName=table, Item={name: value for name, value in item.items() if name != "data"})
    now = datetime.now(UTC)
    request = {"since": clock.timestamp(now - timedelta(minutes=1)), "until": clock.timestamp(now)}
    answer = system.cloud.client("lambda").invoke(
        FunctionName=system.connection.names.of("republish"), Payload=json.dumps(request)
    )
    told = json.loads(answer["Payload"].read())
    dynamodb.delete_item(TableName=table, Key=key)
    assert told["published"] > 0
    assert told["set_aside"] == 1


def sweep_finds_what_is_no_timer(system: Deployed) -> None:
    """Write it to the due table, and wait until sweep has put it aside."""
    due = unique("2000-01-01T00:00:00.000000Z#nothing")
    slot = slots(datetime.now(UTC))[0]
    item = {"slot": {"S": slot}, "due": {"S": due}}
    system.cloud.client("dynamodb").put_item(TableName=system.connection.names.due, Item=item)
    system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    until(lambda: due in str(buried(system, "fire-timers")), what="sweep puts it aside")


def a_consumer_is_paused_and_resumed(system: Deployed) -> None:
    """Say so by its switch, and have the mapping follow."""
    dynamodb, consumer = system.cloud.client("dynamodb"), "refund-order"
    switches = Switches(dynamodb, system.connection.names.ledger)
    paused = Paused(by="a test", reason="a test", since=clock.now(), operation=unique("operation"))
    mappings = Mappings(system.cloud.client("lambda"), system.connection.names)
    for part, state in ((switches.pause(consumer, paused), "Disabled"), (switches.resume(consumer), "Enabled")):
        dynamodb.transact_write_items(TransactItems=[part])
        for _ in range(2):
            system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("control-consumers"))
        assert [mapping.state for mapping in mappings.of(consumer)] == [state]


def the_ledger_gets_what_is_too_large_for_it(system: Deployed) -> None:
    """Send admit a message that is no event, and larger than what the ledger holds."""
    sqs = system.cloud.client("sqs")
    body = unique("large") + "x" * 300_000
    url = sqs.get_queue_url(QueueName=system.connection.names.of("admit"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)
    assert "body_key" in system.dead_body(body, "admit").details


def buried(system: Deployed, consumer: str) -> list[str]:
    """The bodies of all dead letters of a consumer that were small."""
    rows = system.items(system.connection.names.ledger)
    return [row["body"] for row in rows if row.get("dead") == consumer and "body" in row]


def permissions(system: Deployed) -> Iterator[Permission]:
    """What the deployed roles allow, one by one."""
    iam = system.cloud.client("iam")
    for function, role in roles(system).items():
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in _several(document["Statement"]):
                assert statement["Effect"] == "Allow"
                yield from _each(function, statement)


def _each(function: str, statement: Mapping[str, Any]) -> Iterator[Permission]:
    conditions = {key: value for test in statement.get("Condition", {}).values() for key, value in test.items()}
    assert conditions.keys() <= {"dynamodb:LeadingKeys", "dynamodb:EnclosingOperation"}, json.dumps(conditions)
    return (
        Permission(function, action, _resource(arn), streams, operation)
        for action in _several(statement["Action"])
        for arn in _several(statement["Resource"])
        for streams in _several(conditions.get("dynamodb:LeadingKeys", "*"))
        for operation in _several(conditions.get("dynamodb:EnclosingOperation", "*"))
    )


def _resource(arn: str) -> str:
    """The name of a table, a queue or a bus: what calls say."""
    return arn.split(":", 5)[-1].removeprefix("table/").removeprefix("event-bus/")


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
