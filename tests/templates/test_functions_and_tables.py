"""How functions run, how data are kept, and who is told when something is wrong."""

import pytest

from backbone.consumer import Effect
from backbone.runtime import ENOUGH
from backbone.settings import BREAKER, CALL_TIMEOUT
from events import tallies
from tests.templates.synthesis import Assembly, texts
from tests.templates.test_alarms import consumers


def test_every_function_runs_on_arm_with_the_pinned_runtime_and_is_traced(prod: Assembly) -> None:
    for function in prod.properties("AWS::Lambda::Function"):
        assert function["Architectures"] == ["arm64"]
        assert function["Runtime"] == "python3.13"
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["MemorySize"] == 512
        assert 16 <= function["Timeout"] <= 60


def test_an_effect_outlives_all_its_calls_though_none_is_answered(prod: Assembly, local: Assembly) -> None:
    effects = [handler for handler in consumers() if isinstance(handler, Effect)]
    for assembly in (prod, local):
        functions = {f["FunctionName"]: f for f in assembly.properties("AWS::Lambda::Function")}
        for effect in effects:
            function = functions[f"daybook-{assembly.stage}-{effect.name}"]
            longest = effect.calls * float(function["Environment"]["Variables"][CALL_TIMEOUT])
            assert function["Timeout"] >= longest + ENOUGH


def test_an_effect_comes_alone_so_that_it_takes_no_neighbour_with_it(prod: Assembly) -> None:
    effects = {handler.name for handler in consumers() if isinstance(handler, Effect)}
    sizes = {
        m["EventSourceArn"]["Fn::GetAtt"][0]: m["BatchSize"]
        for m in prod.properties("AWS::Lambda::EventSourceMapping")
        if "Fn::GetAtt" in m["EventSourceArn"]
    }
    queues = {q["Properties"]["QueueName"]: sizes.get(q["Id"]) for q in prod.resources("AWS::SQS::Queue")}

    assert {queues[f"daybook-prod-{effect}"] for effect in effects} == {1}


def test_the_secret_goes_with_its_stack_so_that_payments_can_come_back(prod: Assembly) -> None:
    (secret,) = prod.resources("AWS::SecretsManager::Secret")

    assert secret["Properties"]["Name"] == "daybook-prod-stripe-key"
    assert secret["DeletionPolicy"] == "Delete"


def test_every_function_has_a_log_group_of_its_own_that_forgets_in_time(prod: Assembly) -> None:
    functions = {f"/aws/lambda/{f['FunctionName']}" for f in prod.properties("AWS::Lambda::Function")}
    groups = {group["LogGroupName"]: group["RetentionInDays"] for group in prod.properties("AWS::Logs::LogGroup")}

    assert groups == dict.fromkeys(functions, 90)


def test_functions_find_their_packages_in_a_layer_but_on_a_laptop_in_the_virtual_environment(
    prod: Assembly, local: Assembly
) -> None:
    with_packages_of_their_own = {"compliance", "notifications", "payments"}
    for function in prod.resources("AWS::Lambda::Function"):
        assert len(function["Properties"]["Layers"]) == 1 + (function["Stack"] in with_packages_of_their_own)
    assert not local.resources("AWS::Lambda::LayerVersion")
    assert not any("Layers" in function for function in local.properties("AWS::Lambda::Function"))


def test_tables_are_on_demand_and_recoverable_to_the_second(prod: Assembly) -> None:
    tables = prod.properties("AWS::DynamoDB::Table")

    assert tables
    for table in tables:
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


@pytest.mark.parametrize(("stage", "kept"), [("prod", True), ("dev", False), ("local", False)])
def test_tables_outlive_their_stack_in_every_stage_but_local_and_dev(
    stage: str, *, kept: bool, request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(stage)

    for table in assembly.resources("AWS::DynamoDB::Table"):
        assert table["DeletionPolicy"] == ("Retain" if kept else "Delete")
        assert table["UpdateReplacePolicy"] == ("Retain" if kept else "Delete")
        assert table["Properties"].get("DeletionProtectionEnabled", False) is kept


def test_tables_of_services_have_generated_names_so_that_a_service_can_go_and_come_back(prod: Assembly) -> None:
    named = [
        t["Properties"].get("TableName") for t in prod.resources("AWS::DynamoDB::Table") if t["Stack"] != "backbone"
    ]

    assert named
    assert set(named) == {None}


def test_a_table_that_people_search_has_an_index_by_that_field_and_others_have_none(prod: Assembly) -> None:
    indexes = {
        t["Id"].removesuffix(t["Id"][-8:]): t["Properties"].get("GlobalSecondaryIndexes")
        for t in prod.resources("AWS::DynamoDB::Table", "patients")
    }

    assert {table for table, index in indexes.items() if index} == {"PatientTermsTable"}
    (by_term,) = indexes["PatientTermsTable"]
    assert by_term["IndexName"] == "term"
    assert by_term["KeySchema"] == [
        {"AttributeName": "term", "KeyType": "HASH"},
        {"AttributeName": "id", "KeyType": "RANGE"},
    ]
    assert by_term["Projection"] == {"ProjectionType": "ALL"}


def test_no_function_needs_an_index_that_is_for_people(prod: Assembly) -> None:
    for policy in prod.properties("AWS::IAM::Policy", "patients"):
        assert "/index/" not in str(policy["PolicyDocument"])


def test_the_names_that_users_may_rely_on_carry_the_stage(prod: Assembly) -> None:
    buses = {bus["Name"] for bus in prod.properties("AWS::Events::EventBus")}
    tables = {table["TableName"] for table in prod.properties("AWS::DynamoDB::Table", "backbone")}

    assert buses == {"daybook-prod-ingress", "daybook-prod-events"}
    assert tables == {"daybook-prod-store", "daybook-prod-ledger", "daybook-prod-due"}
    assert set(prod.templates) == {
        "analytics",
        "backbone",
        "compliance",
        "equipment",
        "fraud",
        "inventory",
        "notifications",
        "orders",
        "patients",
        "payments",
        "shipping",
    }


def test_no_stack_exports_or_imports_anything_so_that_each_is_deployed_alone(prod: Assembly) -> None:
    for template in prod.templates.values():
        assert "Export" not in str(template.get("Outputs", {}))
        assert not [text for text in texts(template["Resources"]) if text == "Fn::ImportValue"]
        assert "Fn::ImportValue" not in str(template)


def test_every_alarm_fires_at_its_threshold_and_tells_the_topic(prod: Assembly) -> None:
    alarms = prod.properties("AWS::CloudWatch::Alarm")

    assert alarms
    for alarm in alarms:
        silence = alarm["AlarmName"].endswith("-silent")
        operator = "LessThanThreshold" if silence else "GreaterThanOrEqualToThreshold"
        assert alarm["ComparisonOperator"] == operator
        assert alarm["TreatMissingData"] == ("breaching" if silence else "notBreaching")
        assert alarm["AlarmActions"] == alarm["OKActions"]
        assert len(alarm["AlarmActions"]) == 1
        assert alarm["AlarmDescription"]


def test_every_consumer_is_watched_and_its_dead_letters_are(prod: Assembly) -> None:
    names = {alarm["AlarmName"] for alarm in prod.properties("AWS::CloudWatch::Alarm")}
    functions = {function["FunctionName"] for function in prod.properties("AWS::Lambda::Function")}
    consumers = functions - {f"daybook-prod-{each}" for each in ("publish", "bury", "sweep", "switch")}

    of_consumers = {
        f"{consumer}-{what}" for consumer in consumers for what in ("too-old", "throttled", "newer-version")
    }
    of_consumers -= {"daybook-prod-admit-newer-version"}  # admit does not wait: it refuses
    of_publish = {f"daybook-prod-publish-{what}" for what in ("lag", "throttled", "tampered")}
    of_sweep = {f"daybook-prod-sweep-{what}" for what in ("late", "errors", "silent")}
    of_switch = {f"daybook-prod-switch-{what}" for what in ("errors", "silent")}
    functions_of_effects = [
        f["FunctionName"] for f in prod.properties("AWS::Lambda::Function") if BREAKER in f["Environment"]["Variables"]
    ]
    of_breakers = {f"{effect}-breaker-open" for effect in functions_of_effects}
    with_dead_letters = consumers | {f"daybook-prod-{each}" for each in ("publish", "sweep", "bounces")}
    of_the_dead = {f"{each}-{what}" for each in with_dead_letters for what in ("dead", "not-buried")}
    assert names == (
        of_consumers | of_breakers | of_publish | of_sweep | of_switch | of_the_dead | {"daybook-prod-pager-fails"}
    )


def test_every_stack_has_one_dashboard(prod: Assembly) -> None:
    dashboards = {dashboard["DashboardName"] for dashboard in prod.properties("AWS::CloudWatch::Dashboard")}

    assert dashboards == {f"daybook-prod-{stack}" for stack in prod.templates}


def test_transactions_come_no_faster_than_the_shards_of_a_minute_are_meant_for(prod: Assembly) -> None:
    """Who works on ten at a time, each for so long, can commit so many in a second."""
    (queue,) = [
        q["Id"]
        for q in prod.resources("AWS::SQS::Queue", "analytics")
        if q["Properties"]["QueueName"] == "daybook-prod-tally-transaction"
    ]
    (mapping,) = [
        m
        for m in prod.properties("AWS::Lambda::EventSourceMapping", "analytics")
        if m["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}
    ]

    assert mapping["ScalingConfig"]["MaximumConcurrency"] / tallies.UNDER_WAY <= tallies.BANKS_RATE
