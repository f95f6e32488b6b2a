"""Each function has only the permissions that it needs."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from daybook.consumers.effect import Effect
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from events.catalogue import CATALOGUE
from events.inventory import StockReceived
from functions.inventory import receive_stock
from functions.patients import reconcile_records
from tests.templates.sources import consumers
from tests.templates.synthesis import Assembly

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
TAKE_MESSAGES = {"sqs:ReceiveMessage", "sqs:DeleteMessage"}
RECEIVE_ACTIONS = TAKE_MESSAGES | {"sqs:GetQueueAttributes"}
QUEUE = RECEIVE_ACTIONS | {"sqs:ChangeMessageVisibility", "sqs:SendMessage"}
LEDGER = {"dynamodb:GetItem ledger", "dynamodb:UpdateItem ledger"}
ALWAYS = LOGS | TRACES
CHECKS_PROOFS = {"kms:Decrypt", "dynamodb:GetItem keys"}
PROVES = CHECKS_PROOFS | {"kms:GenerateDataKeyWithoutPlaintext", "dynamodb:PutItem keys"}
CONSUMER = ALWAYS | QUEUE | LEDGER | {"dynamodb:BatchGetItem store"} | PROVES  # it proves its rows of the ledger
EFFECT = CONSUMER | {"dynamodb:BatchGetItem ledger"}
SCHEDULES = {"dynamodb:PutItem due"}
OPENS = {"dynamodb:PutItem store"}
CONTINUES = OPENS | {"dynamodb:Query store"}


def reads_changes_of(table: str) -> set[str]:
    """The permissions of an event source mapping of a table's change stream."""
    actions = {f"dynamodb:{action} {table}-stream" for action in ("DescribeStream", "GetRecords", "GetShardIterator")}
    return actions | {"dynamodb:ListStreams"}


def reads(*tables: str) -> set[str]:
    """The permissions for Work.read."""
    return {f"dynamodb:BatchGetItem {table}" for table in tables}


def reads_and_saves(*tables: str) -> set[str]:
    """The permissions for Work.read and Work.save."""
    return {f"dynamodb:{action} {table}" for action in ("BatchGetItem", "PutItem") for table in tables}


def writes_view(*tables: str) -> set[str]:
    """The permissions of a view: read the generations, and update rows without reading them."""
    return {f"dynamodb:{action} {table}" for action in ("BatchGetItem", "UpdateItem") for table in tables}


# The permissions of each function. They are requirements, so they are not derived from the stacks. A new function needs
# a line here; the test that finds no line prints the function's permissions.
ALLOWED = {
    "admit": ALWAYS | RECEIVE_ACTIONS | {"sqs:SendMessage"} | LEDGER | CONTINUES | PROVES,
    "publish": ALWAYS | CHECKS_PROOFS | {"events:PutEvents", "sqs:SendMessage"} | reads_changes_of("store"),
    "republish": ALWAYS
    | CHECKS_PROOFS
    | {"events:PutEvents", "sqs:SendMessage", "dynamodb:Query journal", "dynamodb:BatchGetItem store"}
    | {"dynamodb:GetItem ledger"},
    "record-dead-letters": ALWAYS | TAKE_MESSAGES | {"sqs:ListQueues"} | LEDGER | {"s3:PutObject"},
    "fire-timers": ALWAYS
    | {"sqs:SendMessage"}
    | {f"dynamodb:{action} due" for action in ("Query", "Scan", "PutItem", "DeleteItem")}
    | {"dynamodb:GetItem ledger"}
    | CONTINUES
    | PROVES,
    "control-consumers": ALWAYS
    | LEDGER
    | {"dynamodb:BatchGetItem ledger", "dynamodb:PutItem ledger", "events:ListRules"}
    | {"lambda:ListEventSourceMappings", "lambda:UpdateEventSourceMapping"}
    | {"sqs:ListQueues", "sqs:GetQueueAttributes", "cloudwatch:GetMetricData"},
    "watch-ledger": ALWAYS | reads_changes_of("ledger"),
    "place-order": CONSUMER | {"dynamodb:PutItem Orders"} | SCHEDULES,
    **dict.fromkeys(
        ("confirm-order", "cancel-unstocked", "cancel-unpaid", "cancel-expired", "complete-order", "grant-refund"),
        CONSUMER | {"dynamodb:BatchGetItem Orders", "dynamodb:PutItem Orders"} | CONTINUES,
    ),
    **dict.fromkeys(
        (
            f"order-status-{milestone}"
            for milestone in (
                "placed",
                "reserved",
                "out-of-stock",
                "confirmed",
                "cancelled",
                "fulfilled",
                "refunded",
                "refund-failed",
            )
        ),
        CONSUMER | writes_view("OrderStatus"),
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
    **dict.fromkeys(("refund-order", "check-refund"), EFFECT | {"secretsmanager:GetSecretValue"} | CONTINUES),
    **dict.fromkeys(("watch-refund", "watch-unsettled-refund"), CONSUMER | SCHEDULES),
    **dict.fromkeys(("settle-refund", "release-refund"), CONSUMER | reads_and_saves("Orders")),
    "prepare-shipment": CONSUMER | OPENS,
    "track-equipment": CONSUMER | writes_view("Devices", "DeviceHistory"),
    **dict.fromkeys(
        ("tally-transaction", "tally-reversal"),
        CONSUMER | writes_view("AccountDays", "MerchantDays", "Minutes"),
    ),
    "register-device": CONSUMER | reads_and_saves("Watch") | SCHEDULES,
    "retire-device": CONSUMER | reads_and_saves("Watch", "Alarms") | CONTINUES,
    "set-limits": CONSUMER | reads_and_saves("Limits"),
    "raise-alarm": CONSUMER
    | reads_and_saves("Watch", "Alarms", "Unjudged")
    | {"dynamodb:BatchGetItem Limits"}
    | SCHEDULES
    | CONTINUES,
    "raise-pending-alarm": CONSUMER
    | reads_and_saves("Watch")
    | {"dynamodb:BatchGetItem Limits", "dynamodb:PutItem Alarms"}
    | SCHEDULES
    | OPENS,
    "check-silence": CONSUMER | reads_and_saves("Watch") | {"dynamodb:PutItem Alarms"} | SCHEDULES | CONTINUES,
    "acknowledge-alarm": CONSUMER | reads_and_saves("Alarms"),
    "escalate-alarm": CONSUMER | reads_and_saves("Alarms") | SCHEDULES | CONTINUES,
    "score-transaction": CONSUMER | reads_and_saves("FraudProfiles") | CONTINUES,
    **dict.fromkeys(("page-staff", "page-escalation"), EFFECT | {"sns:Publish"} | CONTINUES),
    **dict.fromkeys(
        ("mail-confirmed", "mail-cancelled", "mail-fulfilled", "mail-refunded", "mail-refund-failed"),
        EFFECT | {"ses:SendEmail"} | OPENS,
    ),
    "unpack-bundle": CONSUMER | CONTINUES,
    "index-patient": CONSUMER
    | reads_and_saves("PatientIndex", "PatientIdentifiers", "PatientTerms", "IndexResources")
    | CONTINUES,
    **dict.fromkeys(
        ("index-merged", "index-unmerged"),
        CONSUMER | reads_and_saves("PatientIndex", "PatientIdentifiers") | reads("IndexResources") | CONTINUES,
    ),
    "sync-pharmacy": CONSUMER
    | reads_and_saves("PharmacyRecords", "PharmacyResources")
    | {"dynamodb:BatchGetItem TerminologyAnswers"}
    | CONTINUES,
    **dict.fromkeys(
        ("sync-pharmacy-merged", "sync-pharmacy-unmerged"),
        CONSUMER
        | reads_and_saves("PharmacyRecords")
        | reads("PharmacyResources")
        | {"dynamodb:BatchGetItem TerminologyAnswers"}
        | CONTINUES,
    ),
    "ask-terminology": EFFECT | CONTINUES,
    "save-terminology-answer": CONSUMER
    | reads_and_saves("PharmacyRecords", "TerminologyAnswers")
    | reads("PharmacyResources")
    | CONTINUES,
    "sync-billing": CONSUMER | reads_and_saves("BillingRecords", "BillingResources"),
    **dict.fromkeys(("sync-billing-merged", "sync-billing-unmerged"), CONSUMER | reads_and_saves("BillingRecords")),
    "reconcile-records": CONSUMER
    | reads_and_saves("PatientIndex", "PatientIdentifiers", "PatientTerms", "PharmacyRecords", "BillingRecords")
    | reads_and_saves("IndexResources", "PharmacyResources", "BillingResources")
    | {"dynamodb:BatchGetItem ledger", "dynamodb:BatchGetItem TerminologyAnswers"}
    | CONTINUES,
    "set-threshold": CONSUMER | reads_and_saves("Thresholds"),
    "set-rate": CONSUMER | reads_and_saves("Rates"),
    "activate-list": CONSUMER | reads_and_saves("Sanctions") | {"dynamodb:BatchGetItem SanctionsLists"} | SCHEDULES,
    "decide-match": CONSUMER | reads_and_saves("SanctionsDecisions"),
    "screen-transaction": CONSUMER
    | reads_and_saves(
        "CashTransactions", "CashDays", "RecentCash", "Cases", "Rates", "Counterparties", "CounterpartyBlocks"
    )
    | {
        f"dynamodb:BatchGetItem {table}"
        for table in ("Thresholds", "Sanctions", "SanctionsLists", "SanctionsDecisions")
    }
    | CONTINUES,
    "screen-again": CONSUMER
    | reads_and_saves("Cases")
    | {
        f"dynamodb:BatchGetItem {table}"
        for table in ("Counterparties", "CounterpartyBlocks", "Sanctions", "SanctionsLists", "SanctionsDecisions")
    }
    | SCHEDULES
    | CONTINUES,
    "screen-reversal": CONSUMER | reads_and_saves("CashTransactions", "CashDays", "RecentCash", "Cases") | CONTINUES,
}


# The consumers whose progress reconcile-records waits for.
RECONCILED = [
    *("index-patient", "index-merged", "index-unmerged"),
    *("sync-pharmacy", "sync-pharmacy-merged", "sync-pharmacy-unmerged"),
    *("sync-billing", "sync-billing-merged", "sync-billing-unmerged"),
]

# The events that each function appends.
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
def test_a_function_has_exactly_the_permissions_that_it_needs(aws: Assembly, function: str) -> None:
    assert permissions_of(aws, function) == ALLOWED[function]


def test_the_permissions_of_every_function_are_checked(aws: Assembly) -> None:
    functions = {f["FunctionName"].removeprefix("daybook-test-") for f in aws.properties("AWS::Lambda::Function")}

    for function in functions - ALLOWED.keys():
        pytest.fail(f"{function} has no entry in ALLOWED; add this one if it needs all of it: {entry(aws, function)}")
    assert functions == ALLOWED.keys()


def test_the_entry_of_a_function_is_made_of_the_names_of_its_permissions(aws: Assembly) -> None:
    for function, permissions in ALLOWED.items():
        assert eval("{" + entry(aws, function) + "}", dict(globals())) == {function: permissions}  # noqa: S307


def entry(aws: Assembly, function: str) -> str:
    """The function's entry in ALLOWED."""
    rest, named = set(permissions_of(aws, function)), []
    for name in ("EFFECT", "CONSUMER", "CONTINUES", "OPENS"):
        if globals()[name] <= rest:
            named.append(name)
            rest -= globals()[name]
    others = "{" + ", ".join(f'"{each}"' for each in sorted(rest)) + "}"
    return f'"{function}": {" | ".join([*named, *([others] if rest else [])])},'


# These have no resource types: AWS denies them on any narrower resource
# (https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html).
WITHOUT_RESOURCES = {
    *TRACES,
    *("lambda:ListEventSourceMappings", "events:ListRules", "sqs:ListQueues", "dynamodb:ListStreams"),
    "cloudwatch:GetMetricData",
}


def test_exactly_the_actions_without_resource_types_are_allowed_on_all_resources(aws: Assembly) -> None:
    for function in ALLOWED:
        for statement in aws.statements(function):
            actions = WITHOUT_RESOURCES.intersection(_actions(statement))
            assert actions == (set(_actions(statement)) if "*" in _resources(statement) else set()), function


def test_only_control_consumers_may_change_mappings_and_only_those_of_its_stage(aws: Assembly) -> None:
    switching = [(f, s) for f in ALLOWED for s in aws.statements(f) if "lambda:UpdateEventSourceMapping" in _actions(s)]

    ((function, statement),) = switching
    assert function == "control-consumers"
    assert ":function:daybook-test-*" in json.dumps(statement["Condition"]["ArnLike"]["lambda:FunctionArn"])


@pytest.mark.parametrize("function", sorted(ALLOWED))
def test_a_function_may_use_only_its_own_rows_of_the_ledger(aws: Assembly, function: str) -> None:
    own: dict[str, list[tuple[set[str], dict[str, Any]]]] = {
        # The rows of all consumers, but only their switches, and the register.
        "control-consumers": [
            ({"GetItem", "BatchGetItem", "UpdateItem"}, _keys("*#switch")),
            ({"GetItem", "PutItem"}, _keys("#register")),
        ],
        # The processing statuses of all consumers, and no other rows.
        "record-dead-letters": [
            (
                {"GetItem", "UpdateItem"},
                {
                    "ForAllValues:StringNotLike": {
                        "dynamodb:LeadingKeys": ["#*", "*#effect#*", "*#cursor#*", "*#switch"]
                    }
                },
            )
        ],
    }
    if function in {"admit", *(consumer.name for consumer in consumers())}:
        own[function] = [({"GetItem", "UpdateItem"}, _keys(f"{function}#*"))]
        if function in {consumer.name for consumer in consumers() if isinstance(consumer, Effect)}:
            own[function] = [({"GetItem", "UpdateItem", "BatchGetItem"}, _keys(f"{function}#*"))]
    if function == "reconcile-records":
        own[function] += [({"BatchGetItem"}, _keys(*(f"{consumer}#*" for consumer in RECONCILED)))]

    appends = any(
        "dynamodb:PutItem" in _actions(s) and " store" in map(_where, _resources(s)) for s in aws.statements(function)
    )
    if appends or function == "republish":  # the number of the journal's shards, for reading
        own.setdefault(function, []).append(({"GetItem"}, _keys("#shards")))

    granted = [
        ({action.removeprefix("dynamodb:") for action in _actions(s)}, s.get("Condition"))
        for s in aws.statements(function)
        if " ledger" in map(_where, _resources(s))
    ]

    expected = own.get(function, [])
    assert len(granted) == len(expected)
    assert [each for each in granted if each not in expected] == []


def test_reconcile_records_may_read_the_statuses_of_exactly_the_consumers_that_it_waits_for() -> None:
    assert sorted(RECONCILED) == sorted(
        consumer for _, consumers in reconcile_records.SYSTEMS.values() for consumer in consumers.values()
    )


def test_no_function_may_update_or_delete_stored_events(aws: Assembly) -> None:
    for policy in aws.properties("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if {" store", " journal"}.intersection(map(_where, _resources(statement))):
                assert set(_actions(statement)) <= {"dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchGetItem"}


def test_only_publish_and_republish_may_put_events_on_a_bus(aws: Assembly) -> None:
    allowed = [f for f in ALLOWED for s in aws.statements(f) if "events:PutEvents" in _actions(s)]

    assert allowed == ["publish", "republish"]


def test_a_function_may_append_only_to_the_streams_of_its_events_and_only_in_a_transaction(aws: Assembly) -> None:
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


def test_no_other_function_may_append(aws: Assembly) -> None:
    assert {f for f in ALLOWED if "dynamodb:PutItem store" in permissions_of(aws, f)} == APPENDED.keys()


def test_a_writer_may_use_and_create_only_its_own_key(aws: Assembly) -> None:
    for function in (name for name, needed in ALLOWED.items() if needed >= PROVES):
        (creating,) = [s for s in aws.statements(function) if "kms:GenerateDataKeyWithoutPlaintext" in _actions(s)]
        (writing,) = [s for s in aws.statements(function) if _where(s["Resource"]) == " keys" and len(_actions(s)) > 1]

        own = {"kms:EncryptionContext:consumer": function, "kms:EncryptionContext:stage": "test"}
        assert creating["Condition"] == {"StringEquals": own}
        assert _actions(creating) == ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"]
        assert writing["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [function]}}


def test_only_publish_republish_and_fire_timers_may_use_all_keys(aws: Assembly) -> None:
    using = {
        function
        for function in ALLOWED
        for s in aws.statements(function)
        if "kms:Decrypt" in _actions(s) and "kms:EncryptionContext:consumer" not in s["Condition"]["StringEquals"]
    }

    assert using == {"publish", "republish", "fire-timers"}


READS = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}
HISTORY = {"reconcile-records": {"patient/*"}}


# Guards: the conditions of backbone_access.py.
def test_a_consumer_may_read_only_the_streams_of_its_event_and_those_of_events_that_it_emits(aws: Assembly) -> None:
    for consumer in consumers():
        read: dict[str, set[str]] = {}
        for statement in aws.statements(consumer.name):
            if any(_where(resource) == " store" for resource in _resources(statement)):
                for action in READS.intersection(_actions(statement)):
                    keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                    read.setdefault(action, set()).update(keys)

        own = _streams([consumer.event_type])
        others = {*own, *_streams(consumer.emits), *HISTORY.get(consumer.name, ())}
        assert read.pop("dynamodb:BatchGetItem") == {*own}, consumer.name
        assert read.keys() <= {"dynamodb:Query"}, consumer.name
        assert read.get("dynamodb:Query", set()) <= others, consumer.name


def test_admit_may_read_every_stream_that_it_appends_to(aws: Assembly) -> None:
    (look,) = [s for s in aws.statements("admit") if "dynamodb:Query" in _actions(s)]

    assert look["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": _streams(APPENDED["admit"])}}


def test_emails_are_sent_from_the_shops_address_only(aws: Assembly) -> None:
    sending = [s for s in aws.statements("mail-confirmed") if "ses:SendEmail" in _actions(s)]

    conditions = {json.dumps(s["Resource"]): s.get("Condition") for s in sending}
    assert {condition for resource, condition in conditions.items() if ":identity/*" not in resource} == {None}
    (named,) = (condition for resource, condition in conditions.items() if ":identity/*" in resource)
    assert named == {"StringEquals": {"ses:FromAddress": "shop@example.com"}}


def permissions_of(assembly: Assembly, function: str) -> set[str]:
    """The actions that a function's role allows, each with its table."""
    return {
        f"{action}{_where(resource)}"
        for statement in assembly.statements(function)
        for action in _actions(statement)
        for resource in _resources(statement)
    }


def test_an_ordered_consumer_may_read_only_the_streams_of_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def order_stock(_: StockReceived, __: Work) -> None: ...

    order_stock.__module__ = receive_stock.__name__
    monkeypatch.setattr(receive_stock, "order_stock", reaction(StockReceived, ordered=True)(order_stock), raising=False)
    service = Service(App(), "inventory", stage=Stage(name="local"))
    service.reaction("order_stock", StockReceived)

    policies = Template.from_stack(service).find_resources("AWS::IAM::Policy").values()
    statements = [s for policy in policies for s in policy["Properties"]["PolicyDocument"]["Statement"]]
    (query,) = [s for s in statements if "dynamodb:Query" in _actions(s)]
    assert _where(query["Resource"]) == " store"
    assert _actions(query) == ["dynamodb:Query"]
    assert query["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["stock/*"]}}


def test_reconcile_records_may_read_only_the_streams_of_patients(aws: Assembly) -> None:
    looking = [s for s in aws.statements("reconcile-records") if "dynamodb:Query" in _actions(s)]

    assert looking
    assert [s["Condition"] for s in looking] == [
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["patient/*"]}}
    ] * len(looking)


def test_reads_history_allows_only_reading_those_streams_and_rows_of_the_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count_stock(_: StockReceived, __: Work) -> None: ...

    count_stock.__module__ = receive_stock.__name__
    monkeypatch.setattr(receive_stock, "count_stock", reaction(StockReceived)(count_stock), raising=False)
    granted = {}
    for history in (None, StockReceived):
        service = Service(App(), "inventory", stage=Stage(name="local"))
        statuses = ["receive-stock"] if history else []
        service.reaction("count_stock", StockReceived, reads_history=history, reads_statuses_of=statuses)
        policies = Template.from_stack(service).find_resources("AWS::IAM::Policy").values()
        granted[history] = [json.dumps(s) for p in policies for s in p["Properties"]["PolicyDocument"]["Statement"]]

    more = [json.loads(each) for each in granted[StockReceived] if each not in granted[None]]
    assert [(_actions(s), _where(s["Resource"]), s.get("Condition")) for s in more] == [
        (["dynamodb:Query"], " store", {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["stock/*"]}}),
        (["dynamodb:BatchGetItem"], " ledger", _keys("receive-stock#*")),
    ]


def _keys(*patterns: str) -> dict[str, Any]:
    """The condition that limits a statement to items with these partition keys."""
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)}}


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def _streams(events: Iterable[type[Event]]) -> list[str]:
    """The kinds of streams of these events, as patterns."""
    examples = [event.read(json.dumps(event.example), version=event.contract.version) for event in events]
    return sorted({f"{example.stream.partition('/')[0]}/*" for example in examples})


def _resources(statement: dict[str, Any]) -> list[Any]:
    resources = statement["Resource"]
    return resources if isinstance(resources, list) else [resources]


def _where(resource: Any) -> str:
    """The table that a resource is, with a space before it; empty for other resources."""
    text = json.dumps(resource)
    names = {
        "-store-stream": "store-stream",
        "-ledger-stream": "ledger-stream",
        "/index/journal": "journal",
        "-store": "store",
        "-ledger": "ledger",
        "-due": "due",
        "-keys": "keys",
    }
    of_a_service = re.search(r'"(\w+)Table[0-9A-F]{8}"', text)
    if of_a_service:
        return f" {of_a_service[1]}"
    return next((f" {name}" for part, name in names.items() if part in text), "")
