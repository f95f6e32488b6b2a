"""No function may do in AWS what its job does not need."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from events.catalogue import CATALOGUE
from events.inventory import StockReceived
from functions.inventory import receive_stock
from tests.templates.sources import consumers
from tests.templates.synthesis import Assembly

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
FROM_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
QUEUE = FROM_QUEUE | {"sqs:ChangeMessageVisibility", "sqs:SendMessage"}
LEDGER = {"dynamodb:GetItem ledger", "dynamodb:UpdateItem ledger"}
ALWAYS = LOGS | TRACES
CONSUMER = ALWAYS | QUEUE | LEDGER
EFFECT = CONSUMER | {"dynamodb:BatchGetItem ledger"}
OPENS = {"dynamodb:PutItem store"}
CONTINUES = OPENS | {"dynamodb:Query store"}


def keeps(*tables: str) -> set[str]:
    """What it takes to keep rows that others keep too: read them, and save them as they were read."""
    return {f"dynamodb:{action} {table}" for action in ("BatchGetItem", "PutItem") for table in tables}


def shows(*tables: str) -> set[str]:
    """What it takes to keep a view's rows: see which generation is live, and change them unread."""
    return {f"dynamodb:{action} {table}" for action in ("BatchGetItem", "UpdateItem") for table in tables}


# What each function may do is the requirement, so it is written by hand: derived from a stack's line it would allow
# whatever that line says. A new function needs a line here; the test that misses it prints what the function may do.
ALLOWED = {
    "admit": ALWAYS | FROM_QUEUE | {"sqs:SendMessage"} | LEDGER | {"dynamodb:PutItem store", "dynamodb:Query store"},
    "publish": ALWAYS
    | {"events:PutEvents", "sqs:SendMessage"}
    | {f"dynamodb:{action} stream" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")},
    "republish": ALWAYS
    | {"events:PutEvents", "sqs:SendMessage", "dynamodb:Query journal", "dynamodb:BatchGetItem store"},
    "record-dead-letters": ALWAYS | FROM_QUEUE | LEDGER | {"s3:PutObject"},
    "fire-timers": ALWAYS
    | {"sqs:SendMessage"}
    | {f"dynamodb:{action} due" for action in ("Query", "Scan", "PutItem", "DeleteItem")}
    | CONTINUES,
    "control-consumers": ALWAYS
    | LEDGER
    | {"dynamodb:Query ledger", "lambda:ListEventSourceMappings", "lambda:UpdateEventSourceMapping"},
    "place-order": CONSUMER | {"dynamodb:PutItem Orders", "dynamodb:PutItem due"},
    **dict.fromkeys(
        ("confirm-order", "cancel-unstocked", "cancel-unpaid", "cancel-expired", "complete-order", "grant-refund"),
        CONSUMER | {"dynamodb:BatchGetItem Orders", "dynamodb:PutItem Orders"} | CONTINUES,
    ),
    **dict.fromkeys(
        (
            f"order-status-{milestone}"
            for milestone in ("placed", "reserved", "out-of-stock", "confirmed", "cancelled", "fulfilled", "refunded")
        ),
        CONSUMER | shows("OrderStatus"),
    ),
    "reserve-stock": CONSUMER
    | {f"dynamodb:BatchGetItem {table}" for table in ("Stock", "Reservations")}
    | {"dynamodb:UpdateItem Stock", "dynamodb:PutItem Reservations"}
    | OPENS,
    **dict.fromkeys(
        ("commit-stock", "release-stock"),
        CONSUMER | {"dynamodb:BatchGetItem Reservations", "dynamodb:UpdateItem Stock", "dynamodb:PutItem Reservations"},
    ),
    "receive-stock": CONSUMER | {"dynamodb:UpdateItem Stock"},
    "charge-order": EFFECT | {"secretsmanager:GetSecretValue"} | OPENS,
    "refund-order": EFFECT | {"secretsmanager:GetSecretValue"} | CONTINUES,
    "prepare-shipment": CONSUMER | OPENS,
    "track-equipment": CONSUMER | shows("Devices", "DeviceHistory"),
    **dict.fromkeys(
        ("tally-transaction", "tally-reversal"),
        CONSUMER | shows("AccountDays", "MerchantDays", "Minutes"),
    ),
    "register-device": CONSUMER | keeps("Watch") | {"dynamodb:PutItem due"},
    "retire-device": CONSUMER | keeps("Watch", "Alarms") | CONTINUES,
    "set-limits": CONSUMER | keeps("Limits"),
    "raise-alarm": CONSUMER
    | keeps("Watch", "Alarms")
    | {"dynamodb:BatchGetItem Limits", "dynamodb:PutItem due"}
    | CONTINUES,
    "check-silence": CONSUMER | keeps("Watch") | {"dynamodb:PutItem Alarms", "dynamodb:PutItem due"} | CONTINUES,
    "acknowledge-alarm": CONSUMER | keeps("Alarms"),
    "escalate-alarm": CONSUMER | keeps("Alarms") | {"dynamodb:PutItem due"} | CONTINUES,
    "score-transaction": CONSUMER | keeps("FraudProfiles") | CONTINUES,
    **dict.fromkeys(("page-staff", "page-escalation"), EFFECT | {"sns:Publish"} | CONTINUES),
    **dict.fromkeys(
        ("mail-confirmed", "mail-cancelled", "mail-fulfilled", "mail-refunded"), EFFECT | {"ses:SendEmail"} | OPENS
    ),
    "index-patient": CONSUMER | keeps("PatientIndex", "PatientIdentifiers", "PatientTerms") | CONTINUES,
    **dict.fromkeys(
        ("index-merged", "index-unmerged"), CONSUMER | keeps("PatientIndex", "PatientIdentifiers") | CONTINUES
    ),
    **dict.fromkeys(
        ("sync-pharmacy", "sync-pharmacy-merged", "sync-pharmacy-unmerged"),
        CONSUMER | keeps("PharmacyRecords") | CONTINUES,
    ),
    **dict.fromkeys(
        ("sync-billing", "sync-billing-merged", "sync-billing-unmerged"), CONSUMER | keeps("BillingRecords")
    ),
    "reconcile-records": CONSUMER
    | keeps("PatientIndex", "PatientIdentifiers", "PatientTerms", "PharmacyRecords", "BillingRecords")
    | {"dynamodb:BatchGetItem ledger"}
    | CONTINUES,
    "set-threshold": CONSUMER | keeps("Thresholds"),
    "adopt-list": CONSUMER | keeps("Sanctions") | {"dynamodb:BatchGetItem SanctionsLists"},
    "screen-transaction": CONSUMER
    | keeps("CashTransactions", "CashDays", "NearThreshold", "Cases")
    | {f"dynamodb:BatchGetItem {table}" for table in ("Thresholds", "Sanctions", "SanctionsLists")}
    | CONTINUES,
    "screen-reversal": CONSUMER | keeps("CashTransactions", "CashDays", "NearThreshold", "Cases") | CONTINUES,
}


# Who appends what: admit what comes from outside, sweep what timers stand for, a consumer what it emits.
APPENDED = {
    "admit": [event for event in CATALOGUE.values() if event.contract.sources],
    "fire-timers": [event for event in CATALOGUE.values() if event.contract.timer],
    **{
        consumer.name: emitted
        for consumer in consumers()
        if (emitted := [event for event in consumer.emits if not event.contract.timer])
    },
}


@pytest.mark.parametrize("function", sorted(ALLOWED))
def test_a_function_may_do_what_its_job_needs_and_nothing_else(aws: Assembly, function: str) -> None:
    assert does(aws, function) == ALLOWED[function]


def test_every_function_is_looked_at(aws: Assembly) -> None:
    functions = {f["FunctionName"].removeprefix("daybook-test-") for f in aws.properties("AWS::Lambda::Function")}

    for function in functions - ALLOWED.keys():
        pytest.fail(f"{function} may do {sorted(does(aws, function))}. If that is what it needs, add it to ALLOWED.")
    assert functions == ALLOWED.keys()


def test_only_tracing_and_listing_mappings_is_allowed_on_all_resources(aws: Assembly) -> None:
    lists = {"control-consumers": {"lambda:ListEventSourceMappings"}}  # an action that knows no resources
    for function in ALLOWED:
        for statement in aws.statements(function):
            if "*" in _resources(statement):
                assert set(_actions(statement)) <= TRACES | lists.get(function, set())


def test_the_mappings_of_the_stages_functions_are_switched_by_one_function_alone_and_no_others(aws: Assembly) -> None:
    switching = [(f, s) for f in ALLOWED for s in aws.statements(f) if "lambda:UpdateEventSourceMapping" in _actions(s)]

    ((function, statement),) = switching
    assert function == "control-consumers"
    assert ":function:daybook-test-*" in json.dumps(statement["Condition"]["ArnLike"]["lambda:FunctionArn"])


def test_who_switches_mappings_sees_switches_of_the_ledger_and_no_other_rows(aws: Assembly) -> None:
    (reading,) = [s for s in aws.statements("control-consumers") if "dynamodb:Query" in _actions(s)]

    assert reading["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["switch"]}}


def test_nobody_may_update_or_delete_what_is_stored(aws: Assembly) -> None:
    for policy in aws.properties("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if "-store" in json.dumps(statement["Resource"]):
                assert set(_actions(statement)) <= {"dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchGetItem"}


def test_only_publish_and_republish_may_put_events_on_a_bus(aws: Assembly) -> None:
    may = [f for f in ALLOWED for s in aws.statements(f) if "events:PutEvents" in _actions(s)]

    assert may == ["publish", "republish"]


def test_a_function_appends_to_the_streams_of_what_it_emits_alone_and_only_in_a_transaction(aws: Assembly) -> None:
    for function, events in APPENDED.items():
        conditions = [
            s["Condition"]
            for s in aws.statements(function)
            if _where(s["Resource"]) == " store" and "dynamodb:PutItem" in _actions(s)
        ]

        assert conditions == [
            {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": _streams(events)},
                "ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]},
            }
        ], function


def test_nobody_else_appends(aws: Assembly) -> None:
    assert {f for f in ALLOWED if "dynamodb:PutItem store" in does(aws, f)} == APPENDED.keys()


def test_admit_may_look_at_the_end_of_every_stream_that_it_appends_to(aws: Assembly) -> None:
    (look,) = [s for s in aws.statements("admit") if "dynamodb:Query" in _actions(s)]

    assert look["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": _streams(APPENDED["admit"])}}


def test_letters_are_sent_in_the_shops_name_alone(aws: Assembly) -> None:
    sending = [s for s in aws.statements("mail-confirmed") if "ses:SendEmail" in _actions(s)]

    as_whom = {json.dumps(s["Resource"]): s.get("Condition") for s in sending}
    assert {condition for resource, condition in as_whom.items() if ":identity/*" not in resource} == {None}
    (named,) = (condition for resource, condition in as_whom.items() if ":identity/*" in resource)
    assert named == {"StringEquals": {"ses:FromAddress": "shop@example.com"}}


def does(assembly: Assembly, function: str) -> set[str]:
    """All that a function's role allows: actions, each with the table it is about."""
    return {
        f"{action}{_where(resource)}"
        for statement in assembly.statements(function)
        for action in _actions(statement)
        for resource in _resources(statement)
    }


def test_an_ordered_function_may_read_the_streams_of_its_event_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def follow_stock(_: StockReceived, __: Work) -> None: ...

    follow_stock.__module__ = receive_stock.__name__
    monkeypatch.setattr(
        receive_stock, "follow_stock", reaction(StockReceived, ordered=True)(follow_stock), raising=False
    )
    service = Service(App(), "inventory", stage=Stage(name="local"))
    service.reaction("follow_stock", StockReceived)

    policies = Template.from_stack(service).find_resources("AWS::IAM::Policy").values()
    statements = [s for policy in policies for s in policy["Properties"]["PolicyDocument"]["Statement"]]
    (query,) = [s for s in statements if "dynamodb:Query" in _actions(s)]
    assert _where(query["Resource"]) == " store"
    assert _actions(query) == ["dynamodb:Query"]
    assert query["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["stock/*"]}}


def test_reconciling_reads_patients_streams_and_no_others(aws: Assembly) -> None:
    looking = [s for s in aws.statements("reconcile-records") if "dynamodb:Query" in _actions(s)]

    assert looking
    assert [s["Condition"] for s in looking] == [
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["patient/*"]}}
    ] * len(looking)


def test_a_function_that_recalls_may_read_those_streams_and_several_rows_of_the_ledger_and_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count_stock(_: StockReceived, __: Work) -> None: ...

    count_stock.__module__ = receive_stock.__name__
    monkeypatch.setattr(receive_stock, "count_stock", reaction(StockReceived)(count_stock), raising=False)
    granted = {}
    for recalls in (None, StockReceived):
        service = Service(App(), "inventory", stage=Stage(name="local"))
        service.reaction("count_stock", StockReceived, recalls=recalls)
        policies = Template.from_stack(service).find_resources("AWS::IAM::Policy").values()
        granted[recalls] = [json.dumps(s) for p in policies for s in p["Properties"]["PolicyDocument"]["Statement"]]

    more = [json.loads(each) for each in granted[StockReceived] if each not in granted[None]]
    assert [(_actions(s), _where(s["Resource"]), s.get("Condition")) for s in more] == [
        (["dynamodb:Query"], " store", {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["stock/*"]}}),
        (["dynamodb:BatchGetItem"], " ledger", None),
    ]


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def _streams(events: Iterable[type[Event]]) -> list[str]:
    """The kinds of streams that events of these types stand in, as their examples do."""
    examples = [event.read(json.dumps(event.example), version=event.contract.version) for event in events]
    return sorted({f"{example.stream.partition('/')[0]}/*" for example in examples})


def _resources(statement: dict[str, Any]) -> list[Any]:
    resources = statement["Resource"]
    return resources if isinstance(resources, list) else [resources]


def _where(resource: Any) -> str:
    """Which table a resource is, by the names in it."""
    text = json.dumps(resource)
    names = {
        "StreamArn": "stream",
        "/index/journal": "journal",
        "-store": "store",
        "-ledger": "ledger",
        "FireTimersDue": "due",
        "-due": "due",
    }
    of_a_service = re.search(r'"(\w+)Table[0-9A-F]{8}"', text)
    if of_a_service:
        return f" {of_a_service[1]}"
    return next((f" {name}" for part, name in names.items() if part in text), "")
