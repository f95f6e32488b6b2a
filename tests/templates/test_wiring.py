"""What listens to what, and what stands between."""

import json
from typing import Any

import pytest
from aws_cdk import App
from constructs import Construct

from daybook.constructs.service import Service, StackHandlerMismatch
from daybook.constructs.stage import Stage
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.runtime.names import BadStage
from events.catalogue import CATALOGUE
from events.inventory import StockReceived
from events.orders import OrderPlaced
from functions.inventory import receive_stock
from tests.templates.sources import consumers, handlers
from tests.templates.synthesis import Assembly

DAY = 24 * 60 * 60
AS_LONG_AS_CAN_BE = {"MaximumEventAgeInSeconds": DAY, "MaximumRetryAttempts": 185}


def test_every_handler_is_deployed_by_exactly_one_stack(aws: Assembly) -> None:
    deployed = [function["Handler"] for function in aws.properties("AWS::Lambda::Function")]

    assert sorted(deployed) == sorted(handlers())


def test_every_event_that_someone_listens_to_has_a_sender(aws: Assembly) -> None:
    emitted = {event.contract.type for handler in consumers() for event in handler.emits}
    from_outside = {name for name, event in CATALOGUE.items() if event.contract.sources}

    foreign = {event_type for _, event_type in CATALOGUE.foreign}
    assert _listened_to(aws) <= emitted | from_outside | foreign


def test_rules_listen_to_contracts_under_their_owners_source(aws: Assembly) -> None:
    for rule in aws.properties("AWS::Events::Rule"):
        if "detail-type" not in rule.get("EventPattern", {}):
            continue
        (name,) = rule["EventPattern"]["detail-type"]
        if name in CATALOGUE:
            assert rule["EventPattern"]["source"] == [CATALOGUE[name].contract.published_source]
        else:
            assert (*rule["EventPattern"]["source"], name) in CATALOGUE.foreign


def test_what_others_tell_of_on_the_default_bus_goes_to_the_front_door(aws: Assembly) -> None:
    (bounces,) = [r for r in aws.properties("AWS::Events::Rule", "notifications") if "bounces" in r["Name"]]

    assert "EventBusName" not in bounces
    assert "daybook-test-ingress" in json.dumps(bounces["Targets"])
    assert bounces["EventPattern"]["detail"] == {"mail": {"tags": {"ses:configuration-set": ["daybook-test-letters"]}}}


def test_the_front_door_takes_everything(aws: Assembly) -> None:
    rules = aws.properties("AWS::Events::Rule", "backbone")
    patterns = [rule["EventPattern"] for rule in rules if "EventPattern" in rule]

    assert patterns == [{"source": [{"prefix": ""}]}]


def test_every_rule_leads_to_one_queue_and_has_a_dead_letter_queue_for_what_it_cannot_deliver(aws: Assembly) -> None:
    for rule in aws.properties("AWS::Events::Rule"):
        if "ScheduleExpression" in rule:
            continue
        (target,) = rule["Targets"]
        assert "DeadLetters" in target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        # Where nothing is said, as for another bus, where nothing can be said, these are EventBridge's own numbers.
        assert target.get("RetryPolicy", AS_LONG_AS_CAN_BE) == AS_LONG_AS_CAN_BE
        assert "RetryPolicy" in target or "event-bus" in json.dumps(target["Arn"])


def test_sweep_and_switch_run_each_minute(aws: Assembly) -> None:
    scheduled = [rule for rule in aws.properties("AWS::Events::Rule") if "ScheduleExpression" in rule]

    assert {rule["Name"]: rule["ScheduleExpression"] for rule in scheduled} == {
        "daybook-test-fire-timers": "rate(1 minute)",
        "daybook-test-control-consumers": "rate(1 minute)",
    }
    for rule in scheduled:
        assert rule["Name"].rpartition("-")[2].capitalize() in json.dumps(rule["Targets"])


def test_every_queue_is_encrypted_and_keeps_its_messages_as_long_as_sqs_can(aws: Assembly) -> None:
    for queue in aws.properties("AWS::SQS::Queue"):
        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * DAY


def test_pages_are_encrypted_and_go_to_whom_the_stage_names(aws: Assembly, local: Assembly) -> None:
    (pager,) = aws.resources("AWS::SNS::Topic", "equipment")
    assert pager["Properties"]["TopicName"] == "daybook-test-pager"
    assert "alias/aws/sns" in json.dumps(pager["Properties"]["KmsMasterKeyId"])
    (mail,) = aws.properties("AWS::SNS::Subscription", "equipment")
    assert mail == {"Protocol": "email", "Endpoint": "pager@example.com", "TopicArn": {"Ref": pager["Id"]}}
    assert local.properties("AWS::SNS::Subscription", "equipment") == []


def test_every_queue_and_topic_refuses_what_does_not_come_by_tls(aws: Assembly) -> None:
    refused = 0
    for kind, channels in (("AWS::SQS::QueuePolicy", "AWS::SQS::Queue"), ("AWS::SNS::TopicPolicy", "AWS::SNS::Topic")):
        for policy in aws.properties(kind):
            assert any(_needs_tls(statement) for statement in policy["PolicyDocument"]["Statement"])
            refused += 1
        assert len(aws.resources(kind)) == len(aws.resources(channels))
    assert refused


def test_every_working_queue_has_a_dead_letter_queue_and_waits_six_times_the_functions_time_out(aws: Assembly) -> None:
    timeouts = {f["FunctionName"]: f["Timeout"] for f in aws.properties("AWS::Lambda::Function")}
    working = [q for q in aws.properties("AWS::SQS::Queue") if not q["QueueName"].endswith("-dead")]

    # publish reads the store's stream, bury the dead letters; sweep and switch follow the clock.
    assert {queue["QueueName"] for queue in working} == {
        f"daybook-test-{each}" for each in {"admit", *(consumer.name for consumer in consumers())}
    }
    for queue in working:
        assert queue["VisibilityTimeout"] == 6 * timeouts[queue["QueueName"]]
        assert queue["RedrivePolicy"]["maxReceiveCount"] == 500


def test_every_mapping_of_a_queue_limits_concurrency_and_hands_back_single_messages(aws: Assembly) -> None:
    mappings = aws.properties("AWS::Lambda::EventSourceMapping")
    of_queues = [mapping for mapping in mappings if "StartingPosition" not in mapping]

    assert len(of_queues) == len(mappings) - 1
    for mapping in of_queues:
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_publish_reads_the_whole_stream_and_no_record_can_block_it(aws: Assembly) -> None:
    (mapping,) = [m for m in aws.properties("AWS::Lambda::EventSourceMapping") if "StartingPosition" in m]

    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert "DeadLetters" in json.dumps(mapping["DestinationConfig"]["OnFailure"])


@pytest.mark.parametrize(
    ("function", "kind", "event"),
    [
        ("reserve_stock", "reaction", StockReceived),
        ("reserve_stock", "view", OrderPlaced),
        ("stock", "reaction", OrderPlaced),
    ],
)
def test_a_line_that_disagrees_with_its_function_makes_no_template(
    function: str, kind: str, event: type[Event]
) -> None:
    class Wrong(Service):
        def __init__(self, scope: Construct) -> None:
            super().__init__(scope, "inventory", stage=Stage(name="local"))
            table = self.table("stock")
            if kind == "view":
                self.view(function, event, rows=table)
            else:
                self.reaction(function, event)

    with pytest.raises(StackHandlerMismatch):
        Wrong(App())


def test_a_consumer_under_another_name_than_its_function_s_is_not_deployed_since_lambda_would_not_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count_stock(_: StockReceived, __: Work) -> None: ...

    count_stock.__module__ = receive_stock.__name__
    monkeypatch.setattr(receive_stock, "counting", reaction(StockReceived)(count_stock), raising=False)
    service = Service(App(), "inventory", stage=Stage(name="local"))

    with pytest.raises(StackHandlerMismatch, match="0 functions of inventory are named count_stock"):
        service.reaction("count_stock", StockReceived)


@pytest.mark.parametrize("name", ["", "Prod", "a" * 16, "my-stage", "1st", "päd"])
def test_a_stage_whose_name_cannot_be_part_of_names_is_refused(name: str) -> None:
    with pytest.raises(BadStage, match="lower-case"):
        Stage(name=name)


def _listened_to(assembly: Assembly) -> set[str]:
    patterns = [rule.get("EventPattern", {}) for rule in assembly.properties("AWS::Events::Rule")]
    return {name for pattern in patterns for name in pattern.get("detail-type", [])}


def _needs_tls(statement: dict[str, Any]) -> bool:
    return statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_dead_letter_queue_leads_to_recorder(aws: Assembly) -> None:
    mappings = aws.properties("AWS::Lambda::EventSourceMapping")
    to_recorder = [mapping for mapping in mappings if "record-dead-letters" in json.dumps(mapping["FunctionName"])]
    drained = {mapping["EventSourceArn"]["Fn::GetAtt"][0] for mapping in to_recorder}
    dead = {q["Id"] for q in aws.resources("AWS::SQS::Queue") if q["Properties"]["QueueName"].endswith("-dead")}

    assert drained == dead
