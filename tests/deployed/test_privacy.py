"""What is about a person stands in the stored event, and in the body of what could not be processed; nowhere else."""

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

from daybook.contracts.contract import Part, personal_fields
from daybook.local.faults import Fault, Faults
from daybook.local.project import ROOT
from daybook.store.ledger import DEAD
from events.accounts import Counterparty
from events.equipment import EquipmentAlarmAcknowledged
from events.patients import AllergyConflictFound, PatientRecordUpdated
from events.values import Address, Customer
from tests.deployed.deployed import Deployed, an_event, an_order, short_visibility_timeout, stock_received, unique
from tests.deployed.test_commands import daybook
from tests.deployed.test_equipment import FINE, a_report, alarms, an_acknowledgement
from tests.local.processes import until

NAME, EMAIL = uuid.uuid4().hex, uuid.uuid4().hex
CUSTOMER = {"name": f"Ada {NAME}", "email": f"{EMAIL}@example.com"}
ADDRESS = {"lines": [f"1 {NAME} Street"], "postal_code": NAME[:8], "city": NAME, "country": "GB"}
ACKNOWLEDGED = {"who": NAME}
BODIES = {"store: data", "ledger: body"}
# What a service must know of a person to do its work, it keeps in rows of its own.
ROWS = {NAME: {"orders: purchase", "orders: ship_to"}, EMAIL: {"orders: purchase"}}

# A trace header with nothing but ids
# (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader).
IDS = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]")


@dataclass(frozen=True)
class Traces:
    """All that is left of some orders, by where it was found; with an order, and an event that was refused."""

    texts: dict[str, str]
    order: str
    refused: str

    def where(self, text: str) -> set[str]:
        return {place for place, found in self.texts.items() if text in found}


@pytest.fixture(scope="module")
def traces(running_system: Deployed, faults: Faults) -> Traces:
    """What is left of orders that have met all that an order can meet."""
    system = running_system.from_now_on()
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5))
    with bury_waits(system) as dead_letters:
        somebody_sees_to_an_alarm(system)
        refused = system.sends(*refused_orders(), an_acknowledgement(f"{unique('MON')}:fault:1", **ACKNOWLEDGED))
        is_no_event(system, "admit", json.dumps(CUSTOMER))
        is_no_event(system, "reserve-stock", json.dumps({"detail": CUSTOMER}))
        fails_and_is_done(system, faults, order, sku)
        dies_at_last(system, faults)
        (second,) = system.sends(personal(an_order(order, lines=[(sku, 2)])))
        attributes = [*dead_letters(len(refused) + 4)]
    system.refusals(*refused, second)
    outputs = [
        daybook(system, "trace", f"order/{order}", "--data"),
        daybook(system, "trace", f"order/{order}", "--data", "--json"),
        daybook(system, "trace", refused[0]),
        daybook(system, "events", "--json"),
        daybook(system, "send", "-", given=json.dumps(personal(an_order(lines=[("mug", 0)])))),
    ]
    texts = {
        "attributes": json.dumps(attributes),
        "daybook": "".join(output.stdout + output.stderr for output in outputs),
        "trace headers": "\n".join(faults.traces()),
        **what_is_kept(system, {"orders": "place-order"}),
    }
    return Traces(texts, order, refused[0])


def test_the_markers_stand_in_every_field_that_is_about_a_person() -> None:
    models = [Part]
    for model in models:
        models += model.__subclasses__()

    # Other tests in this process may have made classes of the same names.
    ours = [model for model in models if getattr(sys.modules[model.__module__], model.__name__, None) is model]
    marked = {model: personal_fields(model) for model in ours if model.__module__.startswith("events.")}

    assert {model: fields for model, fields in marked.items() if fields} == {
        Customer: frozenset(CUSTOMER),
        Address: frozenset(ADDRESS) - {"country"},
        PatientRecordUpdated: frozenset({"resource"}),
        AllergyConflictFound: frozenset({"prescribed", "substance"}),
        EquipmentAlarmAcknowledged: frozenset(ACKNOWLEDGED),
        Counterparty: frozenset({"account", "name"}),
    }


@pytest.mark.parametrize("marker", [NAME, EMAIL], ids=["name", "email"])
def test_what_is_about_a_person_stands_in_stored_data_and_kept_bodies_and_nowhere_else(
    traces: Traces, marker: str
) -> None:
    assert traces.where(marker) == BODIES | ROWS[marker]


def test_traces_say_which_call_came_of_which_and_nothing_else(traces: Traces, system: Deployed, faults: Faults) -> None:
    # The local cloud keeps no traces. AWS's own records hold ids, names and times, and of an invocation that ends in an
    # error that error, which is in the log too; functions could add to them, and do not.
    headers = [line for line in traces.texts["trace headers"].splitlines() if line]

    assert headers
    assert [header for header in headers if not IDS.fullmatch(header)] == []
    assert "xray" not in {call.service for call in faults.calls()}
    assert tracers(system) == []


def test_the_search_finds_what_is_no_secret_wherever_it_is_written(traces: Traces) -> None:
    assert traces.where(traces.order) >= BODIES | {"daybook", "logs", "ledger: stream", "store: stream"}
    assert traces.where(traces.refused) >= {"attributes", "logs", "ledger: event"}


def tracers(system: Deployed) -> list[str]:
    """What a process has loaded that could send traces, once it has imported every deployed function."""
    pages = system.cloud.client("lambda").get_paginator("list_functions").paginate()
    handlers = [function["Handler"] for page in pages for function in page["Functions"]]
    modules = [handler.rpartition(".")[0] for handler in handlers if handler.startswith("functions.")]
    assert modules
    said = f"import sys, {', '.join(modules)}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.check_output([sys.executable, "-c", said], cwd=ROOT, text=True).splitlines()
    # Powertools loads its Tracer by itself, which does nothing without X-Ray's SDK.
    return [module for module in loaded if "xray" in module or "opentelemetry" in module]


def personal(entry: dict[str, Any], **customer: str) -> dict[str, Any]:
    """The entry, of a customer whose every personal field holds a marker."""
    detail = entry["Detail"]
    about = {"customer": CUSTOMER | customer, "ship_to": ADDRESS}
    return {**entry, "Detail": {**detail, "data": {**detail["data"], **about}}}


def refused_orders() -> list[dict[str, Any]]:
    """Orders that admit refuses, each for another reason."""
    newer = personal(an_order())
    newer["Detail"]["metadata"] = {"version": 99}
    unknown = personal(an_order())["Detail"]["data"]
    return [
        personal(an_order(lines=[("mug", 0)])),
        personal(an_order(), email=f"{EMAIL} at example.com"),
        personal(an_order(), language=f"{NAME} {EMAIL}"),
        personal(an_order(source="shop.unknown")),
        personal(an_order(note="x" * 70_000)),
        an_event("OrderDreamt", unknown, source="shop.checkout"),
        newer,
    ]


def somebody_sees_to_an_alarm(system: Deployed) -> None:
    """A device tells of a fault, and somebody acknowledges it."""
    device = unique("MON")
    system.receives(a_report(device, FINE, status="fault"))
    (alarm,) = alarms(system, device)
    system.receives(an_acknowledgement(alarm["id"], **ACKNOWLEDGED))


def is_no_event(system: Deployed, consumer: str, body: str) -> None:
    """Put a message into a queue that came from no bus."""
    sqs = system.cloud.client("sqs")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"], MessageBody=body
    )


def fails_and_is_done(system: Deployed, faults: Faults, order: str, sku: str) -> None:
    """An order is forbidden at one consumer, in conflict at another, and kills a third; all of them do it at last."""
    write = "TransactWriteItems"
    met = [
        Fault.denied(function="reserve-stock", operation=write),
        Fault.conflict(function="place-order", times=3),
        Fault.death("before", function="order-status-placed", operation=write),
    ]
    with (
        short_visibility_timeout(system, "order-status-placed", until_true=lambda: faults.injected_count(met[-1])),
        faults.inject(*met),
    ):
        system.receives(personal(an_order(order, lines=[(sku, 2)])))
    assert [faults.injected_count(fault) for fault in met] == [1, 3, 1]


def dies_at_last(system: Deployed, faults: Faults) -> None:
    """An order is forbidden at a consumer as often as it may try."""
    denied = Fault.denied(function="place-order", operation="TransactWriteItems", times=3)
    with faults.inject(denied):
        (placed,) = system.sends(personal(an_order()))
        until(lambda: "dead" in system.log_messages("place-order", placed), what="place-order has given it up")


@contextmanager
def bury_waits(system: Deployed) -> Iterator[Any]:
    """In the block, dead letters stay in their queues. Gives a function: the attributes of so many of them."""
    lambda_, sqs = system.cloud.client("lambda"), system.cloud.client("sqs")
    name = system.connection.names.of("record-dead-letters")
    mappings = lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]

    def attributes(number: int) -> list[Any]:
        found: dict[str, Any] = {}

        def enough() -> bool:
            for mapping in mappings:
                url = sqs.get_queue_url(QueueName=mapping["EventSourceArn"].rpartition(":")[2])["QueueUrl"]
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

        until(enough, what=f"{number} dead letters")
        return list(found.values())

    for mapping in mappings:
        lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield attributes
    finally:
        for mapping in mappings:
            lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def what_is_kept(system: Deployed, services_tables: Mapping[str, str]) -> dict[str, str]:
    """All that stands in logs, metrics and tables, by where. Services' tables are given with a function each."""
    return {
        "logs": "".join(log for file in system.cloud.logs.iterdir() for log in own(file.read_text(errors="replace"))),
        "log groups": "".join(log_groups(system)),
        "metrics": json.dumps(system.cloud.client("cloudwatch").list_metrics()["Metrics"]),
        **tables(system, services_tables),
    }


def own(log: str) -> list[str]:
    """The lines of a log that this system has written; the local cloud's e-mail service names whom it writes to."""
    return [line for line in log.splitlines(keepends=True) if "SESv2 SendEmail" not in line]


def log_groups(system: Deployed) -> Iterator[str]:
    """All that the functions' log groups hold."""
    logs = system.cloud.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield from (event["message"] for event in events["events"])


def tables(system: Deployed, services_tables: Mapping[str, str]) -> dict[str, str]:
    """All that stands in all tables, by attribute, each as one text."""
    names = system.connection.names
    told = {names.store: "store", names.ledger: "ledger"}
    told |= {system.table(table, function): table for table, function in services_tables.items()}
    texts: dict[str, str] = {}
    for table in system.cloud.client("dynamodb").list_tables()["TableNames"]:
        for item in system.items(table):
            dead = item.get("state") == DEAD or table != names.ledger
            for name, value in item.items():
                place = (
                    f"{told.get(table, table)}: {name}" if dead or name != "body" else f"{table}: body of the living"
                )
                texts[place] = texts.get(place, "") + f"{value}\n"
    return texts
