"""Each permission of each function is used, and each call of a function is permitted.

The local cloud checks permissions in every test, but not the condition on partition keys: which streams of the store a
function may read and write. That is checked here.
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
from tests.deployed.bank import test_analytics, test_compliance, test_fraud
from tests.deployed.deployed import Deployed, an_order, kill, paused, short_visibility_timeout, stock_received
from tests.deployed.hospital import test_patients
from tests.deployed.hospital.test_equipment import (
    LOW,
    a_registration,
    a_report,
    a_retirement,
    alarms,
    an_acknowledgement,
    fires_timers,
    limits_for,
)
from tests.deployed.shop.orders import a_dispatched_shipment, a_refund_claim, bounce, emails, expire, fire_timers_of
from tests.deployed.test_permissions import roles
from tests.local.processes import unique, until
from tests.unit.builders import goods, recorded

# Lambda uses these permissions of the function's role itself, so they are in no call of the function.
USED_BY_LAMBDA = {
    "logs:CreateLogStream": "Lambda writes the function's output",
    "logs:PutLogEvents": "Lambda writes the function's output",
    "xray:PutTelemetryRecords": "Lambda's tracing sends it",
    "xray:PutTraceSegments": "Lambda's tracing sends it",
    "sqs:ReceiveMessage": "the mapping receives messages",
    "sqs:DeleteMessage": "the mapping deletes handled messages",
    "sqs:GetQueueAttributes": "the mapping reads the length of the queue",
    "dynamodb:DescribeStream": "the mapping reads the store's change stream",
    "dynamodb:GetRecords": "the mapping reads the store's change stream",
    "dynamodb:GetShardIterator": "the mapping reads the store's change stream",
    "dynamodb:ListStreams": "the mapping reads the store's change stream",
}


@dataclass(frozen=True, order=True)
class Permission:
    """One permission of a function's role. All fields except the function are patterns; `*` matches everything.

    `streams` are one or more patterns of partition keys, with spaces between them; after a `!`, none of them may match.
    """

    function: str
    action: str
    resource: str
    streams: str = "*"
    operation: str = "*"

    def covers(self, call: Call, use: Use) -> bool:
        return (
            (self.function, self.action) == (call.function, use.action)
            and fnmatchcase(use.resource or "", self.resource)
            and self._covers_key(use.stream or "")
            and fnmatchcase(call.operation, self.operation)
        )

    def _covers_key(self, key: str) -> bool:
        matches = any(fnmatchcase(key, pattern) for pattern in self.streams.removeprefix("!").split())
        return matches != self.streams.startswith("!")


@pytest.fixture(scope="module")
def calls(
    running_system: Deployed, faults: Faults, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> list[Call]:
    """All calls of all functions, after a run in which they need each of their permissions."""
    use_all_permissions(running_system.from_now_on(), faults, provider, tmp_path_factory.mktemp("lists"))
    return faults.calls()


def test_every_permission_is_used(system: Deployed, calls: list[Call]) -> None:
    unused = {
        permission
        for permission in permissions(system)
        if not any(permission.covers(call, use) for call in calls for use in call.uses)
    }

    assert sorted(each for each in unused if each.action not in USED_BY_LAMBDA) == []
    assert {each.action for each in unused} == USED_BY_LAMBDA.keys()


def test_every_use_is_permitted(system: Deployed, calls: list[Call]) -> None:
    # The local cloud does not check partition keys, so only this test finds a stream that a role may not use.
    allowed = list(permissions(system))
    not_permitted = {
        (call.function, use.action, use.resource, (use.stream or "").partition("/")[0])
        for call in calls
        for use in call.uses
        if not any(permission.covers(call, use) for permission in allowed)
    }

    assert not_permitted == set()


def use_all_permissions(system: Deployed, faults: Faults, provider: Provider, folder: Path) -> None:
    """Make each function use its permissions: for its work, for a redelivery, and for an unreadable message."""
    sku, opened, paid, declined, late, pending = unique("mug"), *(unique("order") for _ in range(5))
    consumers = [
        function
        for function in roles(system)
        if function not in {"admit", "publish", "republish", "record-dead-letters", "fire-timers"}
        and function not in {"control-consumers", "watch-ledger"}
    ]
    twice = an_order(paid, lines=[(sku, 1)], producer_id=unique("checkout"))
    denied = [Fault.denied(function=consumer, operation=_write_of(consumer)) for consumer in consumers]
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
    down = [
        outside.Fault.unavailable(operation=each)
        for each in ("payment_intents.confirm", "refunds.create", "refunds.retrieve")
    ]
    # Its successor must wait until the call of the killed process can no longer have an effect.
    killed = Fault.death("before", function="ask-terminology", operation="TransactWriteItems")
    with ExitStack() as stack:
        for consumer in consumers:
            stack.enter_context(short_visibility_timeout(system, consumer))
        stack.enter_context(faults.inject(*denied, *busy, killed))
        stack.enter_context(provider.inject(*down))
        kill(system, "charge-order")  # the next process reads the provider's key
        kill(system, "refund-order")
        kill(system, "check-refund")
        system.receives(stock_received(sku, 4))
        system.receives(
            twice,
            stock_received(sku, 1),
            an_order(opened, lines=[(sku, 9)]),
            an_order(declined, lines=[(sku, 1)], payment_method="pm_card_visa_chargeDeclined"),
            an_order(pending, lines=[(sku, 1)], payment_method="pm_card_pendingRefund"),
        )
        with paused(system, "reserve-stock"):  # so that the order is not paid
            system.sends(an_order(late, lines=[(sku, 1)], pay_within=1))
            expire(system, late)
        system.receives(
            a_dispatched_shipment(paid), a_refund_claim(paid, "R-1", 500), a_refund_claim(pending, "R-1", 500)
        )
        provider.settle_refund(paid, fails="expired_or_canceled_card")
        fire_timers_of(
            system,
            f"payment/{paid}",
            lambda: "RefundFailed" in system.types(f"order/{paid}"),
            what="the refund has failed",
        )
        bounce(system, paid, emails(system, paid)[0])
        test_patients.uses_all_permissions(system)
        test_analytics.all_that_may_happen(system)
        test_fraud.all_that_may_happen(system)
        test_compliance.all_that_may_happen(system, folder)
        until(lambda: "EmailBounced" in system.types(f"order/{paid}"), what="an e-mail has bounced")
        use_all_permissions_of_equipment(system)
        system.finishes()
    assert {fault.where["function"]: faults.injected_count(fault) for fault in denied} == dict.fromkeys(consumers, 1)
    system.sends(twice)
    system.refusals(*system.sends(an_order(lines=[("mug", 0)]), an_order(opened)))
    unreadable = {consumer: send_an_unreadable_message(system, consumer) for consumer in consumers}
    for consumer, body in unreadable.items():
        system.dead_body(body, consumer)
    store_an_item_that_is_not_an_event(system)
    republish_the_last_minutes(system)
    reject_a_message_that_is_too_large_for_the_ledger(system)
    store_a_row_that_is_not_a_timer(system)
    pause_and_resume_a_consumer(system)


def _write_of(consumer: str) -> str:
    """The operation with which the consumer writes: the views that only set one row need no transaction."""
    sets_one_row = consumer.startswith("order-status-") and "refund" not in consumer
    return "UpdateItem" if sets_one_row else "TransactWriteItems"


def use_all_permissions_of_equipment(system: Deployed) -> None:
    """The alarm of an unregistered device escalates; the delay of another passes; a device is silent, then retired."""
    unknown, silent, pending = unique("MON"), unique("MON"), unique("MON")
    system.receives(a_registration(silent, reports_every=1), limits_for(unknown, acknowledge_within=1))
    system.receives(limits_for(pending, delay=1))
    system.receives(a_report(unknown, LOW, status="fault"), a_report(pending, LOW, battery=255))
    until(
        lambda: (
            fires_timers(system) and alarms(system, silent) and alarms(system, pending) and levels(system, unknown) >= 2
        ),
        what="one device is silent, another's delay has passed, and the other's alarm goes up",
    )
    system.receives(a_report(unknown, LOW), a_retirement(silent))
    system.receives(*[an_acknowledgement(alarm["id"]) for alarm in alarms(system, unknown)])


def levels(system: Deployed, device: str) -> int:
    """The highest level of the device's alarms."""
    return max(int(alarm["level"]) for alarm in alarms(system, device))


def send_an_unreadable_message(system: Deployed, consumer: str) -> str:
    """Send the consumer a message that is not an event. Returns its body."""
    sqs = system.cloud.client("sqs")
    body = unique("nothing")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)
    return body


def store_an_item_that_is_not_an_event(system: Deployed) -> None:
    """Write it to the store, wait until publish has sent it to its dead letters, and delete it."""
    key = {"stream": {"S": unique("nothing/")}, "sequence": {"N": "1"}}
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    dynamodb.put_item(TableName=table, Item=key)
    until(
        lambda: key["stream"]["S"] in str(dead_bodies(system, "publish")),
        what="publish has sent it to its dead letters",
    )
    dynamodb.delete_item(TableName=table, Key=key)


def republish_the_last_minutes(system: Deployed) -> None:
    """Republish the last minutes, which contain an item that is not an event."""
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    item = to_item(recorded(goods(unique("mug"))))
    key = {name: item[name] for name in ("stream", "sequence")}
    dynamodb.put_item(TableName=table, Item={name: value for name, value in item.items() if name != "data"})
    now = datetime.now(UTC)
    request = {"since": clock.timestamp(now - timedelta(minutes=5)), "until": clock.timestamp(now)}
    answer = system.cloud.client("lambda").invoke(
        FunctionName=system.connection.names.of("republish"), Payload=json.dumps(request)
    )
    result = json.loads(answer["Payload"].read())
    dynamodb.delete_item(TableName=table, Key=key)
    assert result["published"] > 0
    assert result["set_aside"] == 1


def store_a_row_that_is_not_a_timer(system: Deployed) -> None:
    """Write it to the due table, and wait until fire-timers has sent it to its dead letters."""
    due = unique("2000-01-01T00:00:00.000000Z#nothing")
    slot = slots(datetime.now(UTC))[0]
    item = {"slot": {"S": slot}, "due": {"S": due}}
    system.cloud.client("dynamodb").put_item(TableName=system.connection.names.due, Item=item)
    system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    until(lambda: due in str(dead_bodies(system, "fire-timers")), what="fire-timers has sent it to its dead letters")


def pause_and_resume_a_consumer(system: Deployed) -> None:
    """Change its switch, and run control-consumers, which finds a message in the queue of admit."""
    dynamodb, consumer = system.cloud.client("dynamodb"), "refund-order"
    switches = Switches(dynamodb, system.connection.names.ledger)
    paused = Paused(by="a test", reason="a test", since=clock.now(), operation=unique("operation"))
    mappings = Mappings(system.cloud.client("lambda"), system.connection.names)
    sqs = system.cloud.client("sqs")
    admit = sqs.get_queue_url(QueueName=system.connection.names.of("admit"))["QueueUrl"]
    sqs.send_message(QueueUrl=admit, MessageBody=unique("nothing"), DelaySeconds=20)
    for part, state in ((switches.pause(consumer, paused), "Disabled"), (switches.resume(consumer), "Enabled")):
        dynamodb.transact_write_items(TransactItems=[part])
        for _ in range(2):
            system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("control-consumers"))
        assert [mapping.state for mapping in mappings.of(consumer)] == [state]


def reject_a_message_that_is_too_large_for_the_ledger(system: Deployed) -> None:
    """Send admit a message that is not an event, and too large for a row of the ledger."""
    sqs = system.cloud.client("sqs")
    body = unique("large") + "x" * 300_000
    url = sqs.get_queue_url(QueueName=system.connection.names.of("admit"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)
    assert "body_key" in system.dead_body(body, "admit").details


def dead_bodies(system: Deployed, consumer: str) -> list[str]:
    """The bodies of a consumer's dead letters that are stored in the ledger."""
    rows = system.items(system.connection.names.ledger)
    return [row["body"] for row in rows if row.get("dead") == consumer and "body" in row]


# The condition keys of a writer's key.
_WRITER, _STAGE = "kms:EncryptionContext:consumer", "kms:EncryptionContext:stage"


def permissions(system: Deployed) -> Iterator[Permission]:
    """Each permission of the deployed roles."""
    iam = system.cloud.client("iam")
    for function, role in roles(system).items():
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in _as_list(document["Statement"]):
                assert statement["Effect"] == "Allow"
                yield from _each(function, statement)


def _each(function: str, statement: Mapping[str, Any]) -> Iterator[Permission]:
    conditions = {key: value for test in statement.get("Condition", {}).values() for key, value in test.items()}
    assert conditions.keys() <= {"dynamodb:LeadingKeys", "dynamodb:EnclosingOperation", _WRITER, _STAGE}, conditions
    return (
        Permission(function, action, _resource(arn), streams, operation)
        for action in _as_list(statement["Action"])
        for arn in _as_list(statement["Resource"])
        for streams in _streams(statement, conditions, arn)
        for operation in _as_list(conditions.get("dynamodb:EnclosingOperation", "*"))
    )


def _streams(statement: Mapping[str, Any], conditions: Mapping[str, Any], arn: str) -> list[str]:
    """The patterns of partition keys. A function need not use the rows of each consumer whose statuses it may read."""
    keys = _as_list(conditions.get("dynamodb:LeadingKeys", conditions.get(_WRITER, "*")))
    if not arn.endswith("-ledger"):
        return keys
    return [("!" if any("NotLike" in test for test in statement.get("Condition", {})) else "") + " ".join(keys)]


def _resource(arn: str) -> str:
    """The name of a table, a queue or a bus, as in calls. The only key is that of proofs."""
    if ":kms:" in arn:
        return "*"
    return arn.split(":", 5)[-1].removeprefix("table/").removeprefix("event-bus/")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
