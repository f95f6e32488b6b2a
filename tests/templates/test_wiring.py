"""Rules, queues and mappings between buses and functions."""

import fnmatch
import json
from typing import Any

import pytest
from aws_cdk import App
from constructs import Construct

from daybook.backbone.watch_ledger import FILTERS
from daybook.constructs.app import TableNameTaken, check_table_names
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
from tests.templates.synthesis import Assembly, Resource, texts

DAY = 24 * 60 * 60


def test_every_handler_is_deployed_by_exactly_one_stack(aws: Assembly) -> None:
    deployed = [function["Handler"] for function in aws.properties("AWS::Lambda::Function")]

    assert sorted(deployed) == sorted(handlers())


def test_every_event_with_a_consumer_has_a_sender(aws: Assembly) -> None:
    emitted = {event.contract.type for handler in consumers() for event in handler.emits}
    from_outside = {name for name, event in CATALOGUE.items() if event.contract.sources}

    foreign = {event_type for _, event_type in CATALOGUE.foreign}
    assert _event_types_in_rules(aws) <= emitted | from_outside | foreign


def test_rules_match_contracts_with_the_source_of_their_owner(aws: Assembly) -> None:
    for rule in aws.properties("AWS::Events::Rule"):
        if "detail-type" not in rule.get("EventPattern", {}):
            continue
        names = rule["EventPattern"]["detail-type"]
        if names[0] in CATALOGUE:
            (name,) = names
            assert rule["EventPattern"]["source"] == [CATALOGUE[name].contract.published_source]
        else:
            assert all((*rule["EventPattern"]["source"], name) in CATALOGUE.foreign for name in names)


def test_bounces_and_complaints_on_the_default_bus_are_sent_to_the_ingress_bus(aws: Assembly) -> None:
    (bounces,) = [r for r in aws.properties("AWS::Events::Rule", "notifications") if "bounces" in r["Name"]]

    assert "EventBusName" not in bounces
    assert "daybook-test-ingress" in json.dumps(bounces["Targets"])
    assert bounces["EventPattern"]["detail-type"] == ["Email Bounced", "Email Complaint Received"]
    (reported,) = aws.properties("AWS::SES::ConfigurationSetEventDestination", "notifications")
    assert reported["EventDestination"]["MatchingEventTypes"] == ["bounce", "complaint"]
    assert bounces["EventPattern"]["detail"] == {"mail": {"tags": {"ses:configuration-set": ["daybook-test-emails"]}}}


def test_admit_receives_all_events_of_the_ingress_bus(aws: Assembly) -> None:
    rules = aws.properties("AWS::Events::Rule", "backbone")
    patterns = [rule["EventPattern"] for rule in rules if "EventPattern" in rule]

    assert patterns == [{"source": [{"prefix": ""}]}]


def test_every_rule_has_one_target_which_it_tries_for_a_day_and_a_dead_letter_queue(aws: Assembly) -> None:
    for rule in rules_of_events(aws):
        (target,) = rule["Properties"]["Targets"]
        assert "DeadLetters" in target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": DAY, "MaximumRetryAttempts": 185}


def test_a_rule_is_created_after_all_policies_by_which_it_may_send(aws: Assembly) -> None:
    for rule in rules_of_events(aws):
        (target,) = rule["Properties"]["Targets"]
        arns = [target["Arn"], target["DeadLetterConfig"]["Arn"], target.get("RoleArn", {})]
        sent_to = {arn["Fn::GetAtt"][0] for arn in arns if "Fn::GetAtt" in arn}
        policies = [
            policy
            for kind, of in (("AWS::SQS::QueuePolicy", "Queues"), ("AWS::IAM::Policy", "Roles"))
            for policy in aws.resources(kind, rule["Stack"])
            if sent_to & {each["Ref"] for each in policy["Properties"][of]}
        ]

        assert len(policies) == 2, rule["Id"]  # of the queue, or of the role; and of the dead-letter queue
        assert {policy["Id"] for policy in policies} <= {*rule.get("DependsOn", ())}
        for policy in policies:  # a reference to the rule would create it first
            assert rule["Id"] not in texts(policy["Properties"])


def test_fire_timers_control_consumers_and_record_dead_letters_run_each_minute(aws: Assembly) -> None:
    scheduled = [rule for rule in aws.properties("AWS::Events::Rule") if "ScheduleExpression" in rule]

    assert {rule["Name"]: rule["ScheduleExpression"] for rule in scheduled} == {
        "daybook-test-fire-timers": "rate(1 minute)",
        "daybook-test-control-consumers": "rate(1 minute)",
        "daybook-test-record-dead-letters": "rate(1 minute)",
    }
    for rule in scheduled:
        assert rule["Name"].rpartition("-")[2].capitalize() in json.dumps(rule["Targets"])


def test_every_queue_is_encrypted_and_has_the_maximum_retention(aws: Assembly) -> None:
    for queue in aws.properties("AWS::SQS::Queue"):
        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * DAY


def test_pages_are_encrypted_and_go_to_the_address_of_the_stage(aws: Assembly, local: Assembly) -> None:
    (pager,) = aws.resources("AWS::SNS::Topic", "equipment")
    assert pager["Properties"]["TopicName"] == "daybook-test-pager"
    assert "alias/aws/sns" in json.dumps(pager["Properties"]["KmsMasterKeyId"])
    (mail,) = aws.properties("AWS::SNS::Subscription", "equipment")
    assert mail == {"Protocol": "email", "Endpoint": "pager@example.com", "TopicArn": {"Ref": pager["Id"]}}
    assert local.properties("AWS::SNS::Subscription", "equipment") == []


def test_every_queue_and_topic_refuses_requests_without_tls(aws: Assembly) -> None:
    refused = 0
    for kind, channels in (("AWS::SQS::QueuePolicy", "AWS::SQS::Queue"), ("AWS::SNS::TopicPolicy", "AWS::SNS::Topic")):
        for policy in aws.properties(kind):
            assert any(_needs_tls(statement) for statement in policy["PolicyDocument"]["Statement"])
            refused += 1
        assert len(aws.resources(kind)) == len(aws.resources(channels))
    assert refused


def test_every_consumers_queue_has_a_dead_letter_queue_and_a_visibility_timeout_of_six_function_timeouts(
    aws: Assembly,
) -> None:
    timeouts = {f["FunctionName"]: f["Timeout"] for f in aws.properties("AWS::Lambda::Function")}
    working = [q for q in aws.properties("AWS::SQS::Queue") if not q["QueueName"].endswith("-dead")]

    # The other functions read the change stream or dead-letter queues, run by a schedule, or are invoked by operators.
    assert {queue["QueueName"] for queue in working} == {
        f"daybook-test-{each}" for each in {"admit", *(consumer.name for consumer in consumers())}
    }
    for queue in working:
        assert queue["VisibilityTimeout"] == 6 * timeouts[queue["QueueName"]]
        assert queue["RedrivePolicy"]["maxReceiveCount"] == 500


def test_record_dead_letters_receives_from_every_dead_letter_queue_and_from_no_other(aws: Assembly) -> None:
    names = [queue["QueueName"] for queue in aws.properties("AWS::SQS::Queue")]
    (receiving,) = [s for s in aws.statements("record-dead-letters") if "sqs:ReceiveMessage" in s["Action"]]
    pattern = receiving["Resource"]["Fn::Join"][1][-1].removeprefix(":")

    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage"} == {*receiving["Action"]}
    assert fnmatch.filter(names, pattern) == [name for name in names if name.endswith("-dead")]


def test_a_dead_letter_queue_has_no_mapping_because_idle_mappings_cost(aws: Assembly) -> None:
    received = [
        aws.templates[mapping["Stack"]]["Resources"][mapping["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]]
        for mapping in aws.resources("AWS::Lambda::EventSourceMapping")
        if "Fn::GetAtt" in mapping["Properties"]["EventSourceArn"]
    ]

    assert not [queue for queue in received if queue["Properties"]["QueueName"].endswith("-dead")]


def test_a_dead_letter_is_hidden_for_longer_than_a_run_so_that_no_two_runs_record_it(
    aws: Assembly, local: Assembly
) -> None:
    for assembly in (aws, local):
        functions = {f["FunctionName"]: f["Timeout"] for f in assembly.properties("AWS::Lambda::Function")}
        dead = [q for q in assembly.properties("AWS::SQS::Queue") if q["QueueName"].endswith("-dead")]
        assert dead
        for queue in dead:
            assert queue["VisibilityTimeout"] > functions[f"daybook-{assembly.stage}-record-dead-letters"]


def test_every_mapping_of_a_queue_limits_concurrency_and_reports_failures_of_single_messages(aws: Assembly) -> None:
    mappings = aws.properties("AWS::Lambda::EventSourceMapping")
    of_queues = [mapping for mapping in mappings if "StartingPosition" not in mapping]

    assert len(of_queues) == len(mappings) - 2  # publish and watch-ledger read change streams
    for mapping in of_queues:
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_publish_reads_the_whole_change_stream_and_watch_ledger_only_what_could_be_illegal(
    aws: Assembly,
) -> None:
    of_store, of_ledger = sorted(
        (m for m in aws.properties("AWS::Lambda::EventSourceMapping") if "StartingPosition" in m),
        key=lambda mapping: "FilterCriteria" in mapping,
    )

    for mapping in (of_store, of_ledger):
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["BisectBatchOnFunctionError"] is True
    assert "DeadLetters" in json.dumps(of_store["DestinationConfig"]["OnFailure"])
    assert "FilterCriteria" not in of_store
    filters = [json.loads(each["Pattern"]) for each in of_ledger["FilterCriteria"]["Filters"]]
    assert filters == list(FILTERS)


def test_events_are_published_in_the_order_of_their_streams_only_with_the_option(aws: Assembly, prod: Assembly) -> None:
    factors = [
        [
            mapping["ParallelizationFactor"]
            for mapping in each.properties("AWS::Lambda::EventSourceMapping", "backbone")
            if "ParallelizationFactor" in mapping
        ]
        for each in (aws, prod)
    ]

    assert factors == [[10], [1]]


@pytest.mark.parametrize(
    ("function", "kind", "event"),
    [
        ("reserve_stock", "reaction", StockReceived),
        ("reserve_stock", "view", OrderPlaced),
        ("stock", "reaction", OrderPlaced),
    ],
)
def test_a_stack_that_does_not_match_its_function_cannot_be_synthesized(
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


def test_a_consumer_with_another_name_than_its_function_is_not_deployed_because_lambda_would_not_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count_stock(_: StockReceived, __: Work) -> None: ...

    count_stock.__module__ = receive_stock.__name__
    monkeypatch.setattr(receive_stock, "counting", reaction(StockReceived)(count_stock), raising=False)
    service = Service(App(), "inventory", stage=Stage(name="local"))

    with pytest.raises(StackHandlerMismatch, match="0 functions of inventory are named count_stock"):
        service.reaction("count_stock", StockReceived)


def test_two_services_cannot_have_tables_with_the_same_name_because_operators_name_views_by_their_tables() -> None:
    app = App()
    stacks = [Service(app, service, stage=Stage(name="local")) for service in ("inventory", "orders")]
    for stack in stacks:
        stack.table("stock")

    with pytest.raises(TableNameTaken, match="inventory and orders have a table stock"):
        check_table_names(stacks)


@pytest.mark.parametrize("name", ["", "Prod", "a" * 16, "my-stage", "1st", "päd"])
def test_an_invalid_stage_name_is_an_error(name: str) -> None:
    with pytest.raises(BadStage, match="not a valid stage name"):
        Stage(name=name)


def rules_of_events(assembly: Assembly) -> list[Resource]:
    """All rules besides the schedules."""
    return [rule for rule in assembly.resources("AWS::Events::Rule") if "EventPattern" in rule["Properties"]]


def _event_types_in_rules(assembly: Assembly) -> set[str]:
    patterns = [rule.get("EventPattern", {}) for rule in assembly.properties("AWS::Events::Rule")]
    return {name for pattern in patterns for name in pattern.get("detail-type", [])}


def _needs_tls(statement: dict[str, Any]) -> bool:
    return statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}


# Guards: record-dead-letters would empty the consumer's queue.
def test_a_consumer_whose_queue_would_be_named_as_a_dead_letter_queue_is_not_deployed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mark_dead(_: StockReceived, __: Work) -> None: ...

    mark_dead.__module__ = receive_stock.__name__
    monkeypatch.setattr(receive_stock, "mark_dead", reaction(StockReceived)(mark_dead), raising=False)
    service = Service(App(), "inventory", stage=Stage(name="local"))

    with pytest.raises(StackHandlerMismatch, match="mark-dead; rename it"):
        service.reaction("mark_dead", StockReceived)
