"""Personal data are in stored events and in bodies of dead letters, and nowhere else."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from daybook.application import application
from daybook.contracts.contract import Part, personal_fields
from daybook.local.faults import Fault, Faults
from daybook.local.project import ROOT
from daybook.runtime.names import DEAD_LETTERS
from daybook.runtime.queues import queue_urls
from daybook.store.ledger import DEAD
from events.accounts import Counterparty
from events.compliance import SanctionsMatchDecided
from events.equipment import EquipmentAlarmAcknowledged
from events.patients import (
    AllergyConflictFound,
    PatientBundleReceived,
    PatientRecordUpdated,
    TerminologyAnswered,
    TerminologyAsked,
)
from events.values import Address, Customer
from tests.deployed.deployed import Deployed, an_event, an_order, short_visibility_timeout, stock_received
from tests.deployed.hospital.test_equipment import FINE, a_report, alarms, an_acknowledgement
from tests.deployed.shop.orders import a_dispatched_shipment
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until

NAME, EMAIL = uuid.uuid4().hex, uuid.uuid4().hex
CUSTOMER = {"name": f"Ada {NAME}", "email": f"{EMAIL}@example.com"}
ADDRESS = {"lines": [f"1 {NAME} Street"], "postal_code": NAME[:8], "city": NAME, "country": "GB"}
ACKNOWLEDGED = {"staff_id": NAME}
BODIES = {"store: data", "ledger: body"}
# Personal data that a service needs for its work are in its own rows.
ROWS = {NAME: {"orders: purchase", "orders: ship_to"}, EMAIL: {"orders: purchase"}}

# A trace header that contains only ids
# (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader).
IDS = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]")


@dataclass(frozen=True)
class Traces:
    """All texts that orders have left, by place; with one of the orders, and a rejected event."""

    texts: dict[str, str]
    order: str
    rejected: str

    def where(self, text: str) -> set[str]:
        return {place for place, found in self.texts.items() if text in found}


@pytest.fixture(scope="module")
def traces(running_system: Deployed, faults: Faults) -> Traces:
    """What is left of orders with every kind of failure."""
    system = running_system.from_now_on()
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5))
    with unrecorded_dead_letters(system) as dead_letters:
        an_alarm_is_acknowledged(system)
        rejected = system.sends(*rejected_orders(), an_acknowledgement(f"{unique('MON')}:fault:1", **ACKNOWLEDGED))
        put_invalid_message(system, "admit", json.dumps(CUSTOMER))
        put_invalid_message(system, "reserve-stock", json.dumps({"detail": CUSTOMER}))
        fails_and_succeeds(system, faults, order, sku)
        system.receives(a_dispatched_shipment(order))
        fails_until_dead(system, faults)
        (second,) = system.sends(personal(an_order(order, lines=[(sku, 2)])))
        attributes = [*dead_letters(len(rejected) + 4)]
    system.refusals(*rejected, second)
    outputs = [
        daybook(system, "trace", f"order/{order}", "--data"),
        daybook(system, "trace", f"order/{order}", "--data", "--json"),
        daybook(system, "trace", rejected[0]),
        daybook(system, "events", "--json"),
        daybook(system, "send", "-", given=json.dumps(personal(an_order(lines=[("mug", 0)])))),
    ]
    texts = {
        "attributes": json.dumps(attributes),
        "daybook": "".join(output.stdout + output.stderr for output in outputs),
        "trace headers": "\n".join(faults.traces()),
        **stored_texts(system, {"orders": "place-order"}),
    }
    return Traces(texts, order, rejected[0])


def test_every_personal_field_has_a_marker() -> None:
    assert application().catalogue  # imports all contracts
    models = [Part]
    for model in models:
        models += model.__subclasses__()

    # Other tests in this process may have created classes with the same names.
    ours = [model for model in models if getattr(sys.modules[model.__module__], model.__name__, None) is model]
    marked = {model: personal_fields(model) for model in ours if model.__module__.startswith("events.")}

    assert {model: fields for model, fields in marked.items() if fields} == {
        Customer: frozenset(CUSTOMER),
        Address: frozenset(ADDRESS) - {"country"},
        PatientRecordUpdated: frozenset({"resource"}),
        PatientBundleReceived: frozenset({"bundle"}),
        AllergyConflictFound: frozenset({"prescribed", "substance"}),
        TerminologyAsked: frozenset({"question"}),
        TerminologyAnswered: frozenset({"question", "atc", "includes"}),
        EquipmentAlarmAcknowledged: frozenset(ACKNOWLEDGED),
        Counterparty: frozenset({"account", "born_on", "name"}),
        SanctionsMatchDecided: frozenset({"reason"}),
    }


@pytest.mark.parametrize("marker", [NAME, EMAIL], ids=["name", "email"])
def test_personal_data_are_only_in_stored_events_and_in_kept_bodies(traces: Traces, marker: str) -> None:
    assert traces.where(marker) == BODIES | ROWS[marker]


def test_traces_contain_only_which_call_caused_which(traces: Traces, system: Deployed, faults: Faults) -> None:
    # The local cloud keeps no traces. AWS's own records contain ids, names, times, and the error of an invocation that
    # ends in an error, which is in the log too. Functions could add to them, and do not.
    headers = [line for line in traces.texts["trace headers"].splitlines() if line]

    assert headers
    assert [header for header in headers if not IDS.fullmatch(header)] == []
    assert "xray" not in {call.service for call in faults.calls()}
    assert tracers(system) == []


def test_the_search_finds_other_data_in_all_places(traces: Traces) -> None:
    assert traces.where(traces.order) >= BODIES | {"daybook", "logs", "ledger: stream", "store: stream"}
    assert traces.where(traces.rejected) >= {"attributes", "logs", "ledger: key"}


def tracers(system: Deployed) -> list[str]:
    """The loaded modules that could send traces, in a process that has imported every deployed function."""
    pages = system.cloud.client("lambda").get_paginator("list_functions").paginate()
    handlers = [function["Handler"] for page in pages for function in page["Functions"]]
    modules = [handler.rpartition(".")[0] for handler in handlers if handler.startswith("functions.")]
    assert modules
    program = f"import sys, {', '.join(modules)}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).splitlines()
    # Powertools loads its Tracer by itself, which does nothing without the X-Ray SDK.
    return [module for module in loaded if "xray" in module or "opentelemetry" in module]


def personal(entry: dict[str, Any], **customer: str) -> dict[str, Any]:
    """The entry with a marker in every personal field of its customer."""
    detail = entry["Detail"]
    about = {"customer": CUSTOMER | customer, "ship_to": ADDRESS}
    return {**entry, "Detail": {**detail, "data": {**detail["data"], **about}}}


def rejected_orders() -> list[dict[str, Any]]:
    """Orders that admit rejects, each for another reason."""
    newer = personal(an_order())
    newer["Detail"]["metadata"] = {"version": 99}
    unknown = personal(an_order())["Detail"]["data"]
    return [
        personal(an_order(lines=[("mug", 0)])),
        personal(an_order(), email=f"{EMAIL} at example.com"),
        personal(an_order(), language=f"{NAME} {EMAIL}"),
        personal(an_order(source="shop.unknown")),
        personal(an_order(note="x" * 70_000)),
        an_event("OrderImagined", unknown, source="shop.checkout"),
        newer,
    ]


def an_alarm_is_acknowledged(system: Deployed) -> None:
    """A device reports a fault, and somebody acknowledges the alarm."""
    device = unique("MON")
    system.receives(a_report(device, FINE, status="fault"))
    (alarm,) = alarms(system, device)
    system.receives(an_acknowledgement(alarm["id"], **ACKNOWLEDGED))


def put_invalid_message(system: Deployed, consumer: str, body: str) -> None:
    """Put a message into a queue that does not come from a bus."""
    sqs = system.cloud.client("sqs")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"], MessageBody=body
    )


def fails_and_succeeds(system: Deployed, faults: Faults, order: str, sku: str) -> None:
    """An order fails with AccessDenied at one consumer, conflicts at another, and kills a third; then all succeed."""
    write = "TransactWriteItems"
    met = [
        Fault.denied(function="reserve-stock", operation=write),
        Fault.conflict(function="place-order", times=3),
        Fault.death("before", function="order-status-placed", operation="UpdateItem"),  # a view of one row
    ]
    with (
        short_visibility_timeout(system, "order-status-placed", until_true=lambda: faults.injected_count(met[-1])),
        faults.inject(*met),
    ):
        system.receives(personal(an_order(order, lines=[(sku, 2)])))
    assert [faults.injected_count(fault) for fault in met] == [1, 3, 1]


def fails_until_dead(system: Deployed, faults: Faults) -> None:
    """An order fails with AccessDenied at a consumer until it is dead."""
    denied = Fault.denied(function="place-order", operation="TransactWriteItems", times=3)
    with faults.inject(denied):
        (placed,) = system.sends(personal(an_order()))
        until(lambda: "dead" in system.log_messages("place-order", placed), what="place-order has given it up")


@contextmanager
def unrecorded_dead_letters(system: Deployed) -> Iterator[Any]:
    """In the block, dead letters stay in their queues. Yields a function that returns the attributes of this many."""
    events, sqs = system.cloud.client("events"), system.cloud.client("sqs")
    schedule = system.connection.names.of("record-dead-letters")
    queues = [url for name, url in queue_urls(sqs, system.connection.names).items() if name.endswith(DEAD_LETTERS)]

    def attributes(number: int) -> list[Any]:
        found: dict[str, Any] = {}

        def enough() -> bool:
            for url in queues:
                answer = sqs.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=10,
                    VisibilityTimeout=0,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
                for each in answer.get("Messages", []):
                    found[each["MessageId"]] = each["MessageAttributes"] | each["Attributes"]
            return len(found) >= number

        until(enough, what=f"{number} dead letters", seen=lambda: found)
        return list(found.values())

    events.disable_rule(Name=schedule)
    try:
        yield attributes
    finally:
        events.enable_rule(Name=schedule)


def stored_texts(system: Deployed, services_tables: Mapping[str, str]) -> dict[str, str]:
    """All texts in logs, metrics and tables, by place. `services_tables` has a function for each table of a service."""
    return {
        "logs": "".join(log for file in system.cloud.logs.iterdir() for log in own(file.read_text(errors="replace"))),
        "log groups": "".join(log_groups(system)),
        "metrics": json.dumps(system.cloud.client("cloudwatch").list_metrics()["Metrics"]),
        **tables(system, services_tables),
    }


def own(log: str) -> list[str]:
    """The lines of a log that this system has written. The local cloud's e-mail service logs its recipients."""
    return [line for line in log.splitlines(keepends=True) if "SESv2 SendEmail" not in line]


def log_groups(system: Deployed) -> Iterator[str]:
    """All lines in the log groups of functions."""
    logs = system.cloud.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield from (event["message"] for event in events["events"])


def tables(system: Deployed, services_tables: Mapping[str, str]) -> dict[str, str]:
    """All values in all tables, one text for each attribute."""
    names = system.connection.names
    names_of_tables = {names.store: "store", names.ledger: "ledger"}
    names_of_tables |= {system.table(table, function): table for table, function in services_tables.items()}
    texts: dict[str, str] = {}
    for table in system.cloud.client("dynamodb").list_tables()["TableNames"]:
        for item in system.items(table):
            dead = item.get("state") == DEAD or table != names.ledger
            for name, value in item.items():
                place = (
                    f"{names_of_tables.get(table, table)}: {name}"
                    if dead or name != "body"
                    else f"{table}: body of an event that is not dead"
                )
                texts[place] = texts.get(place, "") + f"{value}\n"
    return texts
