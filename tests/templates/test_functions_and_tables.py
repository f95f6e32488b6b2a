"""Settings of functions, tables, log groups, alarms and dashboards."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from daybook.constructs.app import check_options
from daybook.constructs.stage import BadOption, Stage
from daybook.constructs.tables import table
from daybook.consumers.effect import Effect
from daybook.consumers.pipeline import MIN_REMAINING_SECONDS
from daybook.runtime.settings import CALL_TIMEOUT
from daybook.store import event_store
from daybook.store.schema import Schema
from functions.analytics import totals
from stacks.fraud import Fraud
from stacks.orders import Orders
from tests.templates.sources import consumers
from tests.templates.synthesis import ROOT, Assembly

MAX_ALARMS, FREE_METRICS = 25, 50


def test_every_function_runs_on_arm_with_the_pinned_runtime_and_is_traced(aws: Assembly) -> None:
    for function in aws.properties("AWS::Lambda::Function"):
        assert function["Architectures"] == ["arm64"]
        assert function["Runtime"] == "python3.13"
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["MemorySize"] == 512
        assert 16 <= function["Timeout"] <= 60


def test_only_functions_that_the_option_names_have_reserved_concurrency(aws: Assembly, prod: Assembly) -> None:
    reserved = [
        {
            function["FunctionName"]: function["ReservedConcurrentExecutions"]
            for function in each.properties("AWS::Lambda::Function")
            if "ReservedConcurrentExecutions" in function
        }
        for each in (aws, prod)
    ]

    assert reserved == [{}, {"daybook-prod-admit": 10, "daybook-prod-page-staff": 12}]


def test_an_effects_timeout_is_longer_than_the_timeouts_of_all_its_calls(aws: Assembly, local: Assembly) -> None:
    effects = [handler for handler in consumers() if isinstance(handler, Effect)]
    for assembly in (aws, local):
        functions = {f["FunctionName"]: f for f in assembly.properties("AWS::Lambda::Function")}
        for effect in effects:
            function = functions[f"daybook-{assembly.stage}-{effect.name}"]
            longest = effect.calls * float(function["Environment"]["Variables"][CALL_TIMEOUT])
            assert function["Timeout"] >= longest + MIN_REMAINING_SECONDS


def test_an_effect_has_batches_of_one_message_so_that_its_death_affects_no_other_message(aws: Assembly) -> None:
    effects = {handler.name for handler in consumers() if isinstance(handler, Effect)}
    sizes = {
        m["EventSourceArn"]["Fn::GetAtt"][0]: m["BatchSize"]
        for m in aws.properties("AWS::Lambda::EventSourceMapping")
        if "Fn::GetAtt" in m["EventSourceArn"]
    }
    queues = {q["Properties"]["QueueName"]: sizes.get(q["Id"]) for q in aws.resources("AWS::SQS::Queue")}

    assert {queues[f"daybook-test-{effect}"] for effect in effects} == {1}


def test_the_secret_is_deleted_with_its_stack_so_that_the_stack_can_be_deployed_again(aws: Assembly) -> None:
    (secret,) = aws.resources("AWS::SecretsManager::Secret")

    assert secret["Properties"]["Name"] == "daybook-test-stripe-key"
    assert secret["DeletionPolicy"] == "Delete"


def test_every_function_has_its_own_log_group_with_a_retention(aws: Assembly) -> None:
    functions = {f"/aws/lambda/{f['FunctionName']}" for f in aws.properties("AWS::Lambda::Function")}
    groups = {group["LogGroupName"]: group["RetentionInDays"] for group in aws.properties("AWS::Logs::LogGroup")}

    assert groups == dict.fromkeys(functions, 90)


def test_functions_have_their_packages_in_layers_except_in_the_local_cloud(aws: Assembly, local: Assembly) -> None:
    layers = {
        (layer["Stack"], layer["Id"]): layer["Properties"] for layer in aws.resources("AWS::Lambda::LayerVersion")
    }
    for function in aws.resources("AWS::Lambda::Function"):
        lock = ROOT / "requirements-lambda.txt"
        own = lock.with_name(f"requirements-lambda-{function['Stack']}.txt")
        locks = [lock, own] if own.exists() else [lock]
        found = [layers[function["Stack"], each["Ref"]] for each in function["Properties"]["Layers"]]
        assert sorted(each["Description"].rpartition(" ")[2] for each in found) == sorted(lock.name for lock in locks)
    assert not local.resources("AWS::Lambda::LayerVersion")
    assert not any("Layers" in function for function in local.properties("AWS::Lambda::Function"))


def test_tables_are_on_demand_and_recoverable_to_the_second(aws: Assembly) -> None:
    tables = aws.properties("AWS::DynamoDB::Table")

    assert tables
    for each in tables:
        assert each["BillingMode"] == "PAY_PER_REQUEST"
        assert each["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_tables_of_services_have_generated_names_so_that_a_deleted_service_can_be_deployed_again(aws: Assembly) -> None:
    named = [t["Properties"].get("TableName") for t in aws.resources("AWS::DynamoDB::Table") if t["Stack"] != "data"]

    assert named
    assert set(named) == {None}


def test_only_the_tables_of_search_terms_and_of_resources_have_an_index(aws: Assembly) -> None:
    indexes = {
        t["Id"].removesuffix(t["Id"][-8:]): t["Properties"].get("GlobalSecondaryIndexes")
        for t in aws.resources("AWS::DynamoDB::Table", "patients")
    }

    by_patient = dict.fromkeys(("IndexResourcesTable", "PharmacyResourcesTable", "BillingResourcesTable"), "patient_id")
    expected = {"PatientTermsTable": "term", **by_patient}
    assert {table for table, index in indexes.items() if index} == expected.keys()
    for name, field in expected.items():
        (index,) = indexes[name]
        assert index["IndexName"] == field
        assert index["KeySchema"] == [
            {"AttributeName": field, "KeyType": "HASH"},
            {"AttributeName": "id", "KeyType": "RANGE"},
        ]
        assert index["Projection"] == {"ProjectionType": "ALL"}


def test_no_function_may_read_the_index_for_operators(aws: Assembly) -> None:
    for policy in aws.properties("AWS::IAM::Policy", "patients"):
        assert "/index/" not in str(policy["PolicyDocument"])


def test_every_alarm_goes_off_at_its_threshold_and_notifies_the_topic(aws: Assembly) -> None:
    alarms = aws.properties("AWS::CloudWatch::Alarm")

    assert alarms
    for alarm in alarms:
        silence = alarm["AlarmName"].endswith("-silent")  # without any value it keeps its state
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["TreatMissingData"] == ("ignore" if silence else "notBreaching")
        assert alarm["AlarmActions"] == alarm["OKActions"]
        assert len(alarm["AlarmActions"]) == 1
        assert alarm["AlarmDescription"]


# Each alarm costs by its metrics (https://aws.amazon.com/cloudwatch/pricing/).
def test_a_stage_has_few_alarms_however_many_consumers_it_has(prod: Assembly) -> None:
    assert len(prod.resources("AWS::CloudWatch::Alarm")) <= MAX_ALARMS


# Three dashboards of up to 50 metrics are free in an account (https://aws.amazon.com/cloudwatch/pricing/).
def test_a_stage_has_one_dashboard_whose_metrics_are_free(prod: Assembly) -> None:
    (dashboard,) = prod.properties("AWS::CloudWatch::Dashboard")

    assert "daybook-prod-overview-" in json.dumps(dashboard["DashboardName"])
    assert 20 < sum(len(widget["properties"]["metrics"]) for widget in _widgets(dashboard)) <= FREE_METRICS


def test_with_the_option_each_service_also_has_a_dashboard_with_its_consumers() -> None:
    stage = Stage(name="local", context={"dashboards": "on"})
    (dashboard,) = Template.from_stack(Fraud(App(), stage=stage)).find_resources("AWS::CloudWatch::Dashboard").values()

    assert "daybook-local-fraud-" in json.dumps(dashboard["Properties"]["DashboardName"])
    titles = {widget["properties"]["title"] for widget in _widgets(dashboard["Properties"])}
    assert titles == {
        f"ScoreTransaction: {part}" for part in ("waiting, dead", "age of the oldest message", "invocations")
    }


def _widgets(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The widgets of a dashboard, with a word in place of each reference."""
    body = dashboard["DashboardBody"]
    parts = body["Fn::Join"][1] if isinstance(body, dict) else [body]
    return list(json.loads("".join(part if isinstance(part, str) else "reference" for part in parts))["widgets"])


def test_the_concurrency_of_tallies_allows_no_more_transactions_than_the_shards_are_planned_for(aws: Assembly) -> None:
    """The rate is at most the concurrency divided by the duration of one transaction."""
    (queue,) = [
        q["Id"]
        for q in aws.resources("AWS::SQS::Queue", "analytics")
        if q["Properties"]["QueueName"] == "daybook-test-tally-transaction"
    ]
    (mapping,) = [
        m
        for m in aws.properties("AWS::Lambda::EventSourceMapping", "analytics")
        if m["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}
    ]

    assert mapping["ScalingConfig"]["MaximumConcurrency"] / totals.TRANSACTION_SECONDS <= totals.TRANSACTIONS_PER_SECOND


def test_concurrency_is_set_for_all_consumers_or_for_those_that_are_named() -> None:
    def of(name: str, context: Mapping[str, Any]) -> list[int | None]:
        stage = Stage(name=name, context=context)
        return [stage.concurrency_of(consumer) for consumer in ("place-order", "reserve-stock")]

    assert of("prod", {}) == [10, 10]
    assert of("dev", {}) == [None, None]
    assert of("dev", {"concurrency": "20"}) == [20, 20]
    assert of("prod", {"concurrency": "20"}) == [20, 20]
    assert of("prod", {"concurrency": '{"place-order": 50}'}) == of("prod", {"concurrency": {"place-order": 50}})
    assert of("prod", {"concurrency": {"place-order": 50}}) == [50, 10]
    assert of("local", {"concurrency": "20"}) == [2, 2]  # they share the context of cdk.json


def test_the_concurrency_of_a_consumer_reaches_its_mapping() -> None:
    orders = Orders(App(), stage=Stage(name="busy", context={"concurrency": {"place-order": 50}}))
    mappings = Template.from_stack(orders).find_resources("AWS::Lambda::EventSourceMapping")

    limits = [each["Properties"].get("ScalingConfig") for each in mappings.values()]
    assert limits.count({"MaximumConcurrency": 50}) == 1


def test_warm_throughput_reaches_a_table_and_its_indexes() -> None:
    stage = Stage(name="busy", context={"warm_throughput": '{"store": {"read": 20000, "write": 10000}}'})
    stack = Stack()
    table(stack, "Store", stage=stage, schema=event_store.SCHEMA)
    table(stack, "OrderStatusTable", stage=stage, schema=Schema("id"))

    warm = {"ReadUnitsPerSecond": 20_000, "WriteUnitsPerSecond": 10_000}
    cold, store = sorted(
        Template.from_stack(stack).find_resources("AWS::DynamoDB::Table").values(), key=lambda each: len(str(each))
    )
    assert [
        each["WarmThroughput"] for each in (store["Properties"], *store["Properties"]["GlobalSecondaryIndexes"])
    ] == [warm] * 3
    assert "WarmThroughput" not in cold["Properties"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("concurrency", {"place_order": 50}), ("warm_throughput", {"order_status": {"read": 12_000, "write": 8_000}})],
)
def test_an_option_that_names_nothing_is_an_error_which_suggests_a_name(option: str, value: dict[str, Any]) -> None:
    app, (name,) = App(context={"stage": "busy", option: value}), value
    stage = Stage.of(app)
    Orders(app, stage=stage)

    with pytest.raises(BadOption, match=f"{option} names {name}, .* did you mean {name.replace('_', '-')}"):
        check_options(app, stage)
