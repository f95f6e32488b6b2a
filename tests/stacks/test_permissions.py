"""No function may do in AWS what its job does not need."""

import json
import sys
from types import ModuleType
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from backbone.consumer import reaction
from backbone.work import Work
from events.inventory import StockReceived
from stacks.service import Service
from stacks.stage import Stage
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
    | {"events:PutEvents", "sqs:SendMessage", "dynamodb:Query journal", "dynamodb:BatchGetItem store"}
    | {f"dynamodb:{action} stream" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")},
    "bury": ALWAYS | FROM_QUEUE | LEDGER | {"s3:PutObject"},
    "sweep": ALWAYS
    | {"sqs:SendMessage"}
    | {f"dynamodb:{action} due" for action in ("Query", "Scan", "PutItem", "DeleteItem")},
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
    assert does(prod, function) == ALLOWED[function]


def test_every_function_is_looked_at(prod: Assembly) -> None:
    functions = {f["FunctionName"].removeprefix("daybook-prod-") for f in prod.properties("AWS::Lambda::Function")}

    for function in functions - ALLOWED.keys():
        pytest.fail(f"{function} may do {sorted(does(prod, function))}. If that is what it needs, add it to ALLOWED.")
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
                assert set(_actions(statement)) <= {"dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchGetItem"}


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


def does(assembly: Assembly, function: str) -> set[str]:
    """All that a function's role allows: actions, each with the table it is about."""
    return {
        f"{action}{_where(statement)}" for statement in assembly.statements(function) for action in _actions(statement)
    }


def test_an_ordered_function_may_read_the_streams_of_its_event_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(_: StockReceived, __: Work) -> None: ...

    handler.__module__ = "functions.inventory.follow_stock"
    module = ModuleType(handler.__module__)
    module.handler = reaction(StockReceived, ordered=True)(handler)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    service = Service(App(), "inventory", stage=Stage(name="local"))
    service.reaction("follow_stock", StockReceived)

    policies = Template.from_stack(service).find_resources("AWS::IAM::Policy").values()
    statements = [s for policy in policies for s in policy["Properties"]["PolicyDocument"]["Statement"]]
    (query,) = [s for s in statements if "dynamodb:Query" in _actions(s)]
    assert _where(query) == " store"
    assert _actions(query) == ["dynamodb:Query"]
    assert query["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["stock/*"]}}


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
        "/index/journal": "journal",
        "-store": "store",
        "-ledger": "ledger",
        "SweepDue": "due",
        "OrderStatusTable": "OrderStatus",
        "OrdersTable": "Orders",
        "StockTable": "Stock",
        "ReservationsTable": "Reservations",
    }
    return next((f" {name}" for part, name in names.items() if part in text), "")
