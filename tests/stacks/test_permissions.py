"""No function may do in AWS what its job does not need."""

import json
from typing import Any

import pytest

from tests.stacks.synthesis import Assembly

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
FROM_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
QUEUE = FROM_QUEUE | {"sqs:ChangeMessageVisibility", "sqs:SendMessage"}
LEDGER = {"dynamodb:GetItem ledger", "dynamodb:UpdateItem ledger"}
ALWAYS = LOGS | TRACES

ALLOWED = {
    "admit": ALWAYS | FROM_QUEUE | {"sqs:SendMessage"} | LEDGER | {"dynamodb:PutItem store", "dynamodb:Query store"},
    "publish": ALWAYS
    | {"events:PutEvents", "sqs:SendMessage"}
    | {f"dynamodb:{action} stream" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")},
    "bury": ALWAYS | FROM_QUEUE | LEDGER | {"s3:PutObject"},
    "sweep": ALWAYS | {"sqs:SendMessage"} | {f"dynamodb:{action} due" for action in ("Query", "PutItem", "DeleteItem")},
    "place-order": ALWAYS | QUEUE | LEDGER | {"dynamodb:PutItem Orders"},
    "order-status-placed": ALWAYS | QUEUE | LEDGER | {"dynamodb:UpdateItem OrderStatus"},
    "order-status-reserved": ALWAYS | QUEUE | LEDGER | {"dynamodb:UpdateItem OrderStatus"},
    "order-status-out-of-stock": ALWAYS | QUEUE | LEDGER | {"dynamodb:UpdateItem OrderStatus"},
    "reserve-stock": ALWAYS
    | QUEUE
    | LEDGER
    | {
        "dynamodb:BatchGetItem Stock",
        "dynamodb:UpdateItem Stock",
        "dynamodb:PutItem Reservations",
        "dynamodb:PutItem store",
    },
    "receive-stock": ALWAYS | QUEUE | LEDGER | {"dynamodb:UpdateItem Stock"},
}


@pytest.mark.parametrize("function", sorted(ALLOWED))
def test_a_function_may_do_what_its_job_needs_and_nothing_else(prod: Assembly, function: str) -> None:
    assert {
        f"{action}{_where(statement)}" for statement in prod.statements(function) for action in _actions(statement)
    } == (ALLOWED[function])


def test_every_function_is_looked_at(prod: Assembly) -> None:
    functions = {f["FunctionName"].removeprefix("daybook-prod-") for f in prod.properties("AWS::Lambda::Function")}

    assert functions == ALLOWED.keys()


def test_only_tracing_is_allowed_on_all_resources(prod: Assembly) -> None:
    for function in ALLOWED:
        for statement in prod.statements(function):
            if "*" in _resources(statement):
                assert set(_actions(statement)) == TRACES


def test_nobody_may_update_or_delete_what_is_stored(prod: Assembly) -> None:
    for policy in prod.properties("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if "-store" in json.dumps(statement["Resource"]):
                assert set(_actions(statement)) <= {"dynamodb:PutItem", "dynamodb:Query"}


def test_only_publish_may_put_events_on_a_bus(prod: Assembly) -> None:
    may = [f for f in ALLOWED for s in prod.statements(f) if "events:PutEvents" in _actions(s)]

    assert may == ["publish"]


@pytest.mark.parametrize(
    ("function", "streams"), [("admit", ["order/*", "stock/*"]), ("reserve-stock", ["reservation/*"])]
)
def test_a_function_appends_to_its_own_streams_alone_and_only_in_a_transaction(
    prod: Assembly, function: str, streams: list[str]
) -> None:
    (append,) = [s for s in prod.statements(function) if _where(s) == " store" and "dynamodb:PutItem" in _actions(s)]

    assert append["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": streams},
        "ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]},
    }


def test_admit_may_look_at_the_end_of_every_stream_that_it_appends_to(prod: Assembly) -> None:
    (look,) = [s for s in prod.statements("admit") if "dynamodb:Query" in _actions(s)]

    assert look["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["order/*", "stock/*"]}}


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def _resources(statement: dict[str, Any]) -> list[Any]:
    resources = statement["Resource"]
    return resources if isinstance(resources, list) else [resources]


def _where(statement: dict[str, Any]) -> str:
    """Which table a statement is about, by the names in its resources."""
    text = json.dumps(statement["Resource"])
    names = {
        "StreamArn": "stream",
        "-store": "store",
        "-ledger": "ledger",
        "SweepDue": "due",
        "OrderStatusTable": "OrderStatus",
        "OrdersTable": "Orders",
        "StockTable": "Stock",
        "ReservationsTable": "Reservations",
    }
    return next((f" {name}" for part, name in names.items() if part in text), "")
