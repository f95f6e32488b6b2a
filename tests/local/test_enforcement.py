"""The local cloud evaluates policies as AWS documents it, also where MiniStack alone does not.

Each test names the page of AWS's documentation that its case comes from.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from daybook.local.cloud import Cloud
from daybook.local.environment import REGION
from tests.local.callers import ACCOUNT, Caller, allow, document
from tests.local.processes import unique

DENIED = "not authorized to perform"
TABLE = "GameScores"
EVENT_BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(project=tmp_path_factory.mktemp("project"), iam=True) as cloud:
        cloud.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": "UserId", "KeyType": "HASH"},
                {"AttributeName": "GameTitle", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("UserId", "GameTitle", "Top")
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "tops",
                    "KeySchema": [{"AttributeName": "Top", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield cloud


def player(cloud: Cloud, **more: Any) -> Any:
    """A DynamoDB client that may use only the items of the user `ada`."""
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ada"]}, **more}
    return Caller(cloud, allow("dynamodb:*", condition=own)).client("dynamodb")


def only_from(known: Caller, bus: str) -> str:
    """The policy of a bus that denies events of all others."""
    return document(
        {
            "Sid": "OnlyKnown",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "events:PutEvents",
            "Resource": f"{EVENT_BUS}/{bus}",
            "Condition": {"ArnNotLike": {"aws:PrincipalArn": known.arn}},
        }
    )


def key(user: str) -> dict[str, Any]:
    return {"UserId": {"S": user}, "GameTitle": {"S": "Chess"}}


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
CALLS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "GetItem": lambda users: {"TableName": TABLE, "Key": key(users[-1])},
    "PutItem": lambda users: {"TableName": TABLE, "Item": key(users[-1])},
    "DeleteItem": lambda users: {"TableName": TABLE, "Key": key(users[-1])},
    "Query": lambda users: {
        "TableName": TABLE,
        "KeyConditionExpression": "#user = :user AND begins_with(GameTitle, :title)",
        "ExpressionAttributeNames": {"#user": "UserId"},
        "ExpressionAttributeValues": {":user": {"S": users[-1]}, ":title": {"S": "C"}},
    },
    "BatchGetItem": lambda users: {"RequestItems": {TABLE: {"Keys": [key(user) for user in users]}}},
    "BatchWriteItem": lambda users: {
        "RequestItems": {TABLE: [{"PutRequest": {"Item": key(user)}} for user in users]},
    },
    "TransactWriteItems": lambda users: {
        "TransactItems": [{"Put": {"TableName": TABLE, "Item": key(user)}} for user in users]
    },
    "TransactGetItems": lambda users: {
        "TransactItems": [{"Get": {"TableName": TABLE, "Key": key(user)}} for user in users]
    },
}


@pytest.mark.parametrize("operation", CALLS)
def test_leading_keys_limit_each_call_to_the_callers_own_items(cloud: Cloud, operation: str) -> None:
    dynamodb = player(cloud)

    dynamodb._make_api_call(operation, CALLS[operation](["ada"]))  # noqa: SLF001 - the method by its name in AWS
    with pytest.raises(ClientError, match=DENIED):
        dynamodb._make_api_call(operation, CALLS[operation](["ada", "grace"]))  # noqa: SLF001


def test_a_scan_has_no_leading_keys_so_only_null_false_denies_it(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    strict = player(cloud, Null={"dynamodb:LeadingKeys": "false"})

    player(cloud).scan(TableName=TABLE)
    strict.get_item(TableName=TABLE, Key=key("ada"))
    with pytest.raises(ClientError, match=DENIED):
        strict.scan(TableName=TABLE)


def test_a_key_may_be_used_only_with_the_callers_own_encryption_context(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context"""
    kms, alias = cloud.client("kms"), f"alias/{unique('key')}"
    made = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=made["KeyId"])
    own = {"StringEquals": {"kms:EncryptionContext:reader": "ada"}}
    ada = Caller(cloud, allow("kms:*", made["Arn"], condition=own)).client("kms")

    for key_id in (alias, made["KeyId"], made["Arn"]):
        key = ada.generate_data_key(KeyId=key_id, NumberOfBytes=32, EncryptionContext={"reader": "ada"})
        wrapped = {"KeyId": key_id, "CiphertextBlob": key["CiphertextBlob"]}
        assert ada.decrypt(**wrapped, EncryptionContext={"reader": "ada"})["Plaintext"] == key["Plaintext"]
        for context in ({"reader": "grace"}, {}):
            with pytest.raises(ClientError, match=DENIED):
                ada.decrypt(**wrapped, EncryptionContext=context)


def entry(source: str, bus: str, detail_type: str = "Placed") -> dict[str, Any]:
    return {"Source": source, "DetailType": detail_type, "Detail": "{}", "EventBusName": bus}


def test_a_producer_may_put_only_events_of_its_source_and_types(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html"""
    bus = unique("bus")
    cloud.client("events").create_event_bus(Name=bus)
    only = {
        "ForAllValues:StringEquals": {"events:source": ["shop.desk"], "events:detail-type": ["Placed", "Paid"]},
        "Null": {"events:source": "false", "events:detail-type": "false"},
    }
    events = Caller(cloud, allow("events:PutEvents", f"{EVENT_BUS}/{bus}", condition=only)).client("events")

    own = entry("shop.desk", bus)
    assert events.put_events(Entries=[own, entry("shop.desk", bus, "Paid")])["FailedEntryCount"] == 0
    for entries in ([entry("shop.other", bus)], [own, entry("shop.other", bus)], [entry("shop.desk", bus, "Lost")]):
        with pytest.raises(ClientError, match=DENIED):
            events.put_events(Entries=entries)


def test_a_deny_for_any_other_source_denies_a_request_with_one_such_entry(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    other = {"ForAnyValue:StringNotEquals": {"events:source": ["shop.desk"]}}
    deny = {"Effect": "Deny", "Action": "events:PutEvents", "Resource": "*", "Condition": other}
    events = Caller(cloud, allow("events:PutEvents"), deny).client("events")

    events.put_events(Entries=[entry("shop.desk", "default")])
    with pytest.raises(ClientError, match="explicit deny"):
        events.put_events(Entries=[entry("shop.desk", "default"), entry("shop.other", "default")])


def test_the_principal_arn_of_a_session_is_that_of_its_role_with_its_path(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    pattern = f"arn:aws:iam::{ACCOUNT}:role/daybook/test/publish/*"
    named = allow("sqs:ListQueues", condition={"ArnLike": {"aws:PrincipalArn": pattern}})

    Caller(cloud, named, path="/daybook/test/publish/").client("sqs").list_queues()
    with pytest.raises(ClientError, match=DENIED):
        Caller(cloud, named, path="/daybook/test/other/").client("sqs").list_queues()


def test_the_policy_of_a_bus_denies_what_a_roles_own_policy_allows(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus-perms.html and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    events, bus = cloud.client("events"), unique("bus")
    events.create_event_bus(Name=bus)
    known = Caller(cloud, allow("events:*"))
    events.put_permission(EventBusName=bus, Policy=only_from(known, bus))

    known.client("events").put_events(Entries=[entry("shop.desk", bus)])
    with pytest.raises(ClientError, match="explicit deny"):
        Caller(cloud, allow("events:*")).client("events").put_events(Entries=[entry("shop.desk", bus)])


def test_a_rule_delivers_to_a_queue_only_if_the_queues_policy_allows_it(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    sqs, events, source = cloud.client("sqs"), cloud.client("events"), unique("source")
    received = {}
    for name, named in (("allowed", True), ("other-rule", False)):
        queue = sqs.create_queue(QueueName=unique(name))["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name=unique(name), EventPattern=json.dumps({"source": [source]}))["RuleArn"]
        sender = rule if named else f"{rule}-other"
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": sender}},
            },
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {
                    "ArnNotEquals": {"aws:SourceArn": sender},
                    "ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/daybook/*"},
                },
            },
        ]
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document(*statements)})
        events.put_targets(Rule=rule.rpartition("/")[2], Targets=[{"Id": "queue", "Arn": arn}])
        received[name] = queue

    events.put_events(Entries=[entry(source, "default")])  # answered after it was delivered

    assert [len(sqs.receive_message(QueueUrl=queue).get("Messages", [])) for queue in received.values()] == [1, 0]
    operator = Caller(cloud, allow("sqs:SendMessage"), path="/daybook/operators/").client("sqs")
    operator.send_message(QueueUrl=received["allowed"], MessageBody="by hand")
    other = Caller(cloud, allow("sqs:SendMessage"), path="/other/").client("sqs")
    for client in (other, sqs):  # the second is the account's root user
        with pytest.raises(ClientError, match="AccessDenied"):
            client.send_message(QueueUrl=received["allowed"], MessageBody="by hand")


def test_a_rule_puts_events_on_another_bus_as_its_targets_role(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-bus-to-bus.html"""
    sqs, events, source = cloud.client("sqs"), cloud.client("events"), unique("source")
    bus, queue = unique("bus"), sqs.create_queue(QueueName=unique("received"))["QueueUrl"]
    events.create_event_bus(Name=bus)
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document(anybody)})
    pattern = json.dumps({"source": [source]})
    events.put_rule(Name=unique("onwards"), EventBusName=bus, EventPattern=pattern)
    (onwards,) = events.list_rules(EventBusName=bus)["Rules"]
    events.put_targets(Rule=onwards["Name"], EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    known, unknown = Caller(cloud, allow("events:PutEvents")), Caller(cloud, allow("events:PutEvents"))
    events.put_permission(EventBusName=bus, Policy=only_from(known, bus))
    forward = unique("forward")
    events.put_rule(Name=forward, EventPattern=pattern)

    counts = []
    for role in (unknown, known):
        target = {"Id": "bus", "Arn": f"{EVENT_BUS}/{bus}", "RoleArn": role.arn}
        events.put_targets(Rule=forward, Targets=[target])
        events.put_events(Entries=[entry(source, "default")])
        counts.append(len(sqs.receive_message(QueueUrl=queue).get("Messages", [])))

    assert counts == [0, 1]


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
def test_a_batch_of_messages_needs_the_permission_for_one(cloud: Cloud) -> None:
    queue = cloud.client("sqs").create_queue(QueueName=unique("batches"))["QueueUrl"]
    entry = {"Id": "1", "MessageBody": "x"}

    Caller(cloud, allow("sqs:SendMessage")).client("sqs").send_message_batch(QueueUrl=queue, Entries=[entry])

    with pytest.raises(ClientError, match=DENIED):
        Caller(cloud, allow("sqs:DeleteMessage")).client("sqs").send_message_batch(QueueUrl=queue, Entries=[entry])
