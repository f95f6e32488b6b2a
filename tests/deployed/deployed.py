"""The deployed system as tests see it: events go in at the front door, and all else is looked at from outside."""

import hashlib
import io
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from backbone.ledger import DEAD, Entry
from local.cloud import Cloud
from local.faults import Faults
from local.progress import Progress
from local.provider import StandIn
from local.system import STAGE, up
from ops.connection import Connection
from ops.entries import read_entries
from ops.journey import Journey
from ops.quiet import wait_until_quiet
from ops.sending import send
from ops.tables import DeployedTable

PATIENCE = timedelta(seconds=120)
CHECKOUT = "shop.checkout"

# All events of an order whose goods are there and whose card is good, until its parcel is to be packed; sorted, since
# no service waits for another.
CONFIRMED = ["EmailSent", "OrderConfirmed", "OrderPlaced", "PaymentSucceeded", "ShipmentRequested", "StockReserved"]
# The same of one whose goods are not there.
UNSTOCKED = ["EmailSent", "OrderCancelled", "OrderPlaced", "OutOfStock"]


@dataclass
class Deployed:
    """The system on the local cloud. Tests share it, so each speaks of orders and articles of its own."""

    cloud: Cloud
    connection: Connection
    provider: StandIn | None = None
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def on(cls, cloud: Cloud, provider: StandIn | None = None) -> Self:
        """The system that is deployed on this cloud, as it is from now on: what came before is not waited for."""
        return cls(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint), provider)

    def sends(self, *events: Mapping[str, Any]) -> list[str]:
        """Put events on the ingress bus; returns the ids that they have in Daybook."""
        outcomes = list(send(self.connection, read_entries(json.dumps(events))))
        assert all(outcome.taken for outcome in outcomes)
        return [outcome.event_id or "" for outcome in outcomes]

    def settles(self, *expected: str) -> None:
        """Wait until nothing is under way, and the expected events are recorded."""
        left = wait_until_quiet(self.connection, self._began, datetime.now(UTC) + PATIENCE, expected=expected)
        assert left == [], left[:5]

    def receives(self, *events: Mapping[str, Any]) -> None:
        """Send events that will be admitted, and wait until all that comes of them is done."""
        self.settles(*self.sends(*events))

    def journey(self, stream: str) -> Journey:
        """What happened on the stream, and what came of it."""
        return Journey.of(self.connection, stream)

    def types(self, stream: str) -> list[str]:
        """The types of all events of the stream's story, sorted."""
        return sorted(step.event.metadata.type for step in self.journey(stream).steps)

    def outcome(self, order: str) -> list[str]:
        """What inventory has said of the order, event by event."""
        return [envelope.metadata.type for envelope in self.connection.store.stream(f"reservation/{order}")]

    def pieces(self, sku: str) -> tuple[int, int]:
        """How many pieces of an article are available, and how many are some order's: put aside, or sent."""
        reservations = self.items(self.table("reservations", "reserve-stock"))
        theirs = [row["pieces"].get(sku, 0) for row in reservations if row["stage"] in {"reserved", "committed"}]
        return self.row("stock", sku, of="reserve-stock").get("available", 0), sum(theirs)

    def row(self, table: str, key: str, *, of: str) -> dict[str, Any]:
        """A row of a service's table, which is found by a function that was given it; empty if there is none."""
        return DeployedTable.of_view(self.connection, table, function=of).row(key) or {}

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table, by its name in AWS."""
        return list(DeployedTable(self.connection, table).scan())

    def dead(self, event_id: str, consumer: str) -> Entry:
        """What the ledger says of an event that is dead at the consumer. Waits for it."""
        deadline = datetime.now(UTC) + PATIENCE
        while not (entry := self.connection.ledger.find(event_id, consumer)) or entry.state != DEAD:
            assert datetime.now(UTC) < deadline, f"{event_id} is not dead at {consumer}: {entry}"
            time.sleep(0.1)
        return entry

    def dead_body(self, body: str, consumer: str) -> Entry:
        """The same of a message that names no event."""
        return self.dead(f"body-{hashlib.sha256(body.encode()).hexdigest()}", consumer)

    def refusals(self, *event_ids: str) -> dict[str, str]:
        """The kind of reason for which admit refused each of the events. Waits for all of them."""
        return {event_id: self.dead(event_id, "admit").details["error"] for event_id in event_ids}

    def log(self, consumer: str, event_id: str) -> list[dict[str, Any]]:
        """What the consumer has logged about an event, in order. The last words of a killed process may be lost."""
        mentioned = (line for line in self.cloud.log.read_text().splitlines() if f'"{event_id}"' in line)
        return [line for line in map(json.loads, mentioned) if line.get("service") == consumer]

    def says(self, consumer: str, event_id: str) -> list[str]:
        """The same, just the messages: `committed`, `duplicate`, `failed` …"""
        return [line["message"] for line in self.log(consumer, event_id)]

    def table(self, table: str, function: str) -> str:
        """The generated name of a service's table, which is found by a function that was given it."""
        return DeployedTable.of(self.connection, table, function=function).name


@contextmanager
def brought_up(
    templates: Path, *, iam: bool, faults: Faults | None = None, provider: StandIn | None = None
) -> Iterator[Deployed]:
    """Bring up a system from templates that the fixture of that name has made. At the end of the block it is gone."""
    extra = faults.environment if faults else None
    silent = Progress(Console(file=io.StringIO()))
    with up(silent, iam=iam, extra=extra, provider=provider, templates=templates) as cloud:
        yield Deployed.on(cloud, provider)


@contextmanager
def impatient(system: Deployed, consumer: str) -> Iterator[None]:
    """In the block, messages whose process dies come again after 4 seconds: also those whose process starts slowly."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    name = "VisibilityTimeout"
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: "4"})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


@contextmanager
def paused(system: Deployed, consumer: str) -> Iterator[None]:
    """In the block, the consumer gets nothing; afterwards, all that has waited."""
    lambda_ = system.cloud.client("lambda")
    name = system.connection.names.of(consumer)
    (mapping,) = lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def in_queue(system: Deployed, consumer: str) -> int:
    """How many messages wait for the consumer, as far as nobody has them."""
    sqs, name = system.cloud.client("sqs"), "ApproximateNumberOfMessages"
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def unique(what: str) -> str:
    """A name that no other test uses."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


def an_event(
    event_type: str, data: Mapping[str, Any], *, source: str, producer_id: str | None = None
) -> dict[str, Any]:
    """A PutEvents entry."""
    metadata = {"id": producer_id} if producer_id else {}
    return {"Source": source, "DetailType": event_type, "Detail": {"metadata": metadata, "data": dict(data)}}


def an_order(
    order_id: str | None = None,
    *,
    lines: Sequence[tuple[str, int]] = (("mug", 1),),
    producer_id: str | None = None,
    source: str = CHECKOUT,
    **data: Any,
) -> dict[str, Any]:
    """An OrderPlaced entry: lines are articles and pieces, at 12.50 EUR each, paid by a good card."""
    order = {
        "order_id": order_id or unique("order"),
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": [
            {"sku": sku, "quantity": quantity, "price": {"amount": 1250, "currency": "EUR"}} for sku, quantity in lines
        ],
        "payment_method": "pm_card_visa",
    }
    return an_event("OrderPlaced", order | data, source=source, producer_id=producer_id)


def goods(sku: str, quantity: int) -> dict[str, Any]:
    """A StockReceived entry."""
    data = {"sku": sku, "quantity": quantity, "delivery_id": unique("D")}
    return an_event("StockReceived", data, source="warehouse.receiving", producer_id=unique("goods"))
