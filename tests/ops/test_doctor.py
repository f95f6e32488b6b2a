"""`daybook doctor`: the account, the deployed functions and their mappings. What the local cloud does not have is given
as answers of AWS.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.consumers.switch import Paused
from daybook.contracts import clock
from daybook.operate import connection
from daybook.operate.connection import new_session
from daybook.operate.program import app
from daybook.operate.setup import Finding
from daybook.operate.status.functions import check_concurrency, check_functions, check_mappings, check_rules
from functions.equipment import setup as equipment
from functions.notifications import setup as notifications
from tests.ops.deployed_consumers import deploy_admit, deploy_consumer, mappings, switches
from tests.ops.world import STAGE, World

CONSUMER = "charge-order"

pytestmark = pytest.mark.usefixtures("stage")


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with a session of its own, which tests change: its clients are not kept for other tests."""
    session = new_session()
    monkeypatch.setattr(connection, "new_session", lambda: session)
    world.connection = connection.Connection(STAGE, session)
    return world


@pytest.fixture
def stage(world: World) -> World:
    """The world with a consumer and admit, which are on."""
    deploy_consumer(world, CONSUMER, "StockReserved")
    deploy_admit(world)
    return world


def to_stage() -> connection.Connection:
    """A connection whose clients give the answers that the test has set."""
    return connection.Connection(STAGE)


def answers(service: str, operation: str, answer: Mapping[str, Any], *, status: int = 200) -> None:
    """Make AWS give this answer to all calls of the operation, by whichever client."""

    def answered(**_: Any) -> Any:
        return SimpleNamespace(status_code=status), answer

    connection.new_session().events.register(f"before-call.{service}.{operation}", answered)


def refuses(service: str, operation: str, code: str) -> None:
    error = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    answers(service, operation, error, status=403)


def limit(total: int, unreserved: int) -> Finding:
    numbers = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}
    answers("lambda", "GetAccountSettings", {"AccountLimit": numbers})
    return check_concurrency(to_stage())


def test_an_account_with_a_concurrency_of_ten_is_reported_with_the_request_for_more() -> None:
    finding = limit(10, 10)

    assert not finding.well
    assert "reserved_concurrency must stay off" in finding.found
    assert "aws service-quotas request-service-quota-increase --service-code lambda" in finding.do


@pytest.mark.parametrize(("total", "unreserved", "left"), [(1000, 1000, 900), (1000, 120, 20), (100, 100, 0)])
def test_the_concurrency_that_may_be_reserved_leaves_a_hundred(total: int, unreserved: int, left: int) -> None:
    finding = limit(total, unreserved)

    assert finding.well
    assert f"may take {left} more" in finding.found


def test_functions_that_are_active_are_counted() -> None:
    assert list(check_functions(to_stage())) == [Finding("functions", well=True, found="2 are ready")]


@pytest.mark.parametrize(("state", "updated"), [("Failed", "Successful"), ("Active", "Failed"), ("Pending", "")])
def test_a_function_that_is_not_ready_is_reported_with_its_reason(stage: World, state: str, updated: str) -> None:
    name = stage.names.of(CONSUMER)
    answer = {"FunctionName": name, "State": state, "LastUpdateStatus": updated, "StateReason": "no subnet is left"}
    answers("lambda", "GetFunctionConfiguration", answer)

    findings = list(check_functions(to_stage()))

    assert {finding.what for finding in findings} == {f"function {name}"}
    assert all(not finding.well and "no subnet is left" in finding.found for finding in findings)


def test_a_function_that_had_nothing_to_do_for_long_is_ready(stage: World) -> None:
    name = stage.names.of(CONSUMER)
    answers(
        "lambda",
        "GetFunctionConfiguration",
        {"FunctionName": name, "State": "Inactive", "LastUpdateStatus": "Successful"},
    )

    assert all(finding.well for finding in check_functions(to_stage()))


def test_a_rule_that_is_off_is_reported_with_the_command_that_turns_it_on(stage: World) -> None:
    events = stage.connection.eventbridge
    schedule = stage.names.of("fire-timers")
    events.put_rule(Name=schedule, ScheduleExpression="rate(1 minute)", State="DISABLED")
    events.put_rule(Name="another-application", ScheduleExpression="rate(1 minute)", State="DISABLED")

    (finding,) = check_rules(to_stage())

    assert (finding.what, finding.well) == (f"rule {schedule}", False)
    assert finding.do == f"aws events enable-rule --name {schedule} --event-bus-name default"
    events.enable_rule(Name=schedule)
    assert all(each.well for each in check_rules(to_stage()))


def test_mappings_that_are_as_their_switches_say_are_counted(stage: World) -> None:
    pause(stage)
    mappings(stage).switch(CONSUMER, on=False)

    assert list(check_mappings(to_stage())) == [
        Finding("mappings", well=True, found="2 are on, or off as their switches say")
    ]


def test_a_mapping_that_is_off_although_nobody_paused_its_consumer_is_turned_on_by_the_printed_command(
    stage: World,
) -> None:
    mappings(stage).switch(CONSUMER, on=False)

    (finding,) = check_mappings(to_stage())

    assert (finding.what, finding.well) == (f"mapping of {CONSUMER}", False)
    assert "nobody has paused" in finding.found
    (mapping,) = mappings(stage).of(CONSUMER)
    assert finding.do == f"aws lambda update-event-source-mapping --uuid {mapping.uuid} --enabled"


def test_a_mapping_that_is_on_although_its_consumer_is_paused_is_reported(stage: World) -> None:
    pause(stage)

    (finding,) = check_mappings(to_stage())

    assert "on, although the consumer is paused" in finding.found
    assert "control-consumers" in finding.do


def test_a_mapping_that_is_still_off_after_its_consumer_was_resumed_is_reported(stage: World) -> None:
    pause(stage)
    switches(stage).mark_off(CONSUMER)
    mappings(stage).switch(CONSUMER, on=False)
    write(stage, switches(stage).resume(CONSUMER))

    (finding,) = check_mappings(to_stage())

    assert "still off" in finding.found


def test_a_mapping_in_another_state_is_reported(stage: World) -> None:
    (mapping,) = mappings(stage).of(CONSUMER)
    arn = f"arn:aws:lambda:eu-central-1:123456789012:function:{mapping.function}"
    answer = {"EventSourceMappings": [{"UUID": mapping.uuid, "FunctionArn": arn, "State": "Creating"}]}
    answers("lambda", "ListEventSourceMappings", answer)

    (finding,) = check_mappings(to_stage())

    assert finding.found == "it is Creating"


def test_a_consumer_without_a_mapping_is_reported(stage: World) -> None:
    stage.uses("place-order", kind="reaction", event="OrderPlaced")

    (finding,) = check_mappings(to_stage())

    assert (finding.what, finding.found) == ("mapping of place-order", "there is none: its messages wait")


@pytest.mark.parametrize(
    ("code", "advice"), [("AccessDeniedException", "permission"), ("UnknownOperationException", "")]
)
def test_a_call_that_aws_refuses_is_a_finding_and_the_other_checks_run(code: str, advice: str) -> None:
    refuses("lambda", "GetAccountSettings", code)

    ran = CliRunner().invoke(app, ["doctor", "--json", "--stage", "dev"])

    found = {each["what"]: each for each in map(json.loads, ran.stdout.splitlines())}
    assert ran.exit_code == 1
    assert found["concurrency"]["found"] == f"not checked: AWS refuses GetAccountSettings ({code})"
    assert advice in found["concurrency"]["do"]
    assert found["functions"]["well"]
    assert found["mappings"]["well"]


@pytest.mark.parametrize(("in_sandbox", "well"), [(True, False), (False, True)])
def test_phones_that_are_paged_in_the_sms_sandbox_are_reported(world: World, in_sandbox: bool, well: bool) -> None:
    sns = world.connection.client("sns")
    topic = sns.create_topic(Name=world.names.of("pager"))["TopicArn"]
    assert equipment.text_messages(to_stage()).well
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+436641234567")
    answers("sns", "GetSMSSandboxAccountStatus", {"IsInSandbox": in_sandbox})

    finding = equipment.text_messages(to_stage())

    assert finding.well == well
    assert "1 phones" in finding.found


@pytest.mark.parametrize(
    ("changes", "well", "found"),
    [
        ({}, True, "50000 e-mails a day, 14 a second; 100 in the last 24 hours"),
        ({"ProductionAccessEnabled": False}, False, "sandbox"),
        ({"EnforcementStatus": "PROBATION"}, False, "may pause it soon (PROBATION)"),
        ({"SendQuota": {"Max24HourSend": 200, "MaxSendRate": 1, "SentLast24Hours": 199}}, False, "199 in the last"),
    ],
)
def test_the_state_of_the_e_mail_account(changes: dict[str, Any], well: bool, found: str) -> None:
    quota = {"Max24HourSend": 50_000, "MaxSendRate": 14, "SentLast24Hours": 100}
    account = {"ProductionAccessEnabled": True, "SendingEnabled": True, "SendQuota": quota}
    answers("sesv2", "GetAccount", account | changes)

    finding = notifications.sandbox(to_stage())

    assert finding.well == well
    assert found in finding.found


@pytest.mark.parametrize(("complaints", "well"), [(0.0005, True), (0.001, False)])
def test_complaints_are_compared_with_the_rate_at_which_ses_reviews_an_account(complaints: float, well: bool) -> None:
    assert notifications.reputation(to_stage()).found == "SES has no rates of bounces and complaints yet"
    points = [
        {"Timestamp": datetime(2026, 3, day, tzinfo=UTC), "Maximum": rate} for day, rate in ((1, 1), (2, complaints))
    ]
    answers("cloudwatch", "GetMetricStatistics", {"Datapoints": points})

    assert notifications.reputation(to_stage()).well == well


def pause(world: World) -> None:
    """Pause the consumer; its mapping stays on."""
    paused = Paused(by="Ada", reason="a new table", since=clock.now(), operation="o-1")
    write(world, switches(world).pause(CONSUMER, paused))


def write(world: World, part: Any) -> None:
    world.connection.dynamodb.transact_write_items(TransactItems=[part])
