"""The deployed system as tests see it: events go in at the front door, and all else is looked at from outside."""

import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Self

import pytest
from rich.console import Console

from daybook.local.cloud import Cloud
from daybook.local.faults import Faults
from daybook.local.progress import Progress
from daybook.local.provider import StandIn
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.idle import Undelivered, wait_until_done, wait_until_idle
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.operate.tables import PlainTable
from daybook.operate.trace.trace import Trace
from daybook.store.ledger import COMMITTED, DEAD, Entry
from tests.local.left_behind import until

PATIENCE = timedelta(seconds=240)
CHECKOUT = "shop.checkout"

# All events of an order whose goods are there and whose card is good, until its parcel is to be packed; sorted, since
# no service waits for another.
CONFIRMED = ["EmailSent", "OrderConfirmed", "OrderPlaced", "PaymentSucceeded", "ShipmentRequested", "StockReserved"]
# The same of one whose goods are not there.
UNSTOCKED = ["EmailSent", "OrderCancelled", "OrderPlaced", "OutOfStock"]


class Log:
    """What functions have logged so far. Each line is read and parsed once, however often a test asks."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._lines: dict[str, list[tuple[str, dict[str, Any]]]] = {}  # by consumer

    def about(self, consumer: str, event_id: str) -> list[dict[str, Any]]:
        """The lines of the consumer that name the event."""
        self._read_on()
        return [line for text, line in self._lines.get(consumer, []) if f'"{event_id}"' in text]

    def _read_on(self) -> None:
        with self._file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        complete = new[: new.rfind(b"\n") + 1]
        self._read += len(complete)
        for text in complete.decode(errors="replace").splitlines():
            if text.startswith("{"):
                with suppress(ValueError):  # what a killed process was just writing
                    line = json.loads(text)
                    self._lines.setdefault(str(line.get("service")), []).append((text, line))


@dataclass
class Deployed:
    """The system on the local cloud, as one test sees it. Tests share the system, so each has orders and articles of
    its own.
    """

    cloud: Cloud
    connection: Connection
    provider: StandIn | None = None
    _log: Log | None = None
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _sent: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, cloud: Cloud, provider: StandIn | None = None) -> Self:
        """The system that is deployed on this cloud."""
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        return cls(cloud, connection, provider, Log(cloud.log))

    def from_now_on(self) -> Self:
        """The same system, for the next test: nothing was sent yet."""
        return replace(self, _began=datetime.now(UTC), _sent=[])

    def sends(self, *events: Mapping[str, Any]) -> list[str]:
        """Put events on the ingress bus; returns the ids that they have in Daybook."""
        outcomes = list(send(self.connection, read_entries(json.dumps(events))))
        assert all(outcome.taken for outcome in outcomes), outcomes
        ids = [outcome.event_id or "" for outcome in outcomes]
        self._sent += ids
        return ids

    def settles(self, *events: str) -> None:
        """Wait until these events, or all that this test has sent, are done, with everything that they have caused.
        Neither second deliveries nor dead letters that are sent again are waited for.
        """
        wanted = events or self._sent
        self._assert_nothing(wait_until_done(self.connection, wanted, self._began, datetime.now(UTC) + PATIENCE))

    def is_idle(self) -> None:
        """Wait until nothing is in flight in the whole system, whoever has sent it."""
        self._assert_nothing(wait_until_idle(self.connection, self._began, datetime.now(UTC) + PATIENCE))

    def drains(self, consumer: str) -> None:
        """Wait until no message waits for the consumer, is being handled, or will come again."""
        until(
            lambda: not any(messages(self, consumer)),
            what=f"the queue of {consumer} is empty",
            seen=lambda: messages(self, consumer),
        )

    def _assert_nothing(self, left: Sequence[object]) -> None:
        """Fail, with what is left, and with what its consumers have logged about it."""
        if left:
            told = [f"{len(left)} things are still under way after {PATIENCE}, for example:"]
            for each in left[:5]:
                told.append(f"  {each}")
                if isinstance(each, Undelivered):
                    lines = self.log(each.consumer, each.event.id)
                    told += [f"    logged: {line}" for line in lines] or ["    nothing is logged about it"]
            pytest.fail("\n".join(told))

    def receives(self, *events: Mapping[str, Any]) -> None:
        """Send events that will be admitted, and wait until all that comes of them is done."""
        self.settles(*self.sends(*events))

    def journey(self, stream: str) -> Trace:
        """What happened on the stream, and what came of it."""
        return Trace.of(self.connection, stream)

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
        return PlainTable(self.connection, self.table(table, of)).live().row(key) or {}

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table, by its name in AWS."""
        return list(PlainTable(self.connection, table).scan())

    def dead(self, event_id: str, consumer: str) -> Entry:
        """What the ledger says of an event that is dead at the consumer. Waits for it."""
        return self._entry(event_id, consumer, DEAD)

    def commits(self, event_id: str, consumer: str) -> Entry:
        """What the ledger says of an event that the consumer has committed. Waits for it."""
        return self._entry(event_id, consumer, COMMITTED)

    def _entry(self, event_id: str, consumer: str, state: str) -> Entry:
        found: Entry | None = None

        def is_there() -> bool:
            nonlocal found
            found = self.connection.ledger.find(event_id, consumer)
            return found is not None and found.state == state

        until(
            is_there,
            what=f"{event_id} is {state} at {consumer}",
            seen=lambda: (found, self.says(consumer, event_id)),
        )
        assert found
        return found

    def dead_body(self, body: str, consumer: str) -> Entry:
        """The same of a message that names no event."""
        return self.dead(f"body-{hashlib.sha256(body.encode()).hexdigest()}", consumer)

    def refusals(self, *event_ids: str) -> dict[str, str]:
        """The kind of reason for which admit refused each of the events. Waits for all of them."""
        return {event_id: self.dead(event_id, "admit").details["error"] for event_id in event_ids}

    def log(self, consumer: str, event_id: str) -> list[dict[str, Any]]:
        """What the consumer has logged about an event, in order. The last words of a killed process may be lost."""
        self._log = self._log or Log(self.cloud.log)
        return self._log.about(consumer, event_id)

    def logged(self, consumer: str, event_id: str, *, last: str = "") -> list[dict[str, Any]]:
        """The same, once there is a line, or one with the message `last`: a function logs after it has committed, so
        the line may follow when all that came of an event is done already.
        """
        until(
            lambda: self.says(consumer, event_id) if not last else last in self.says(consumer, event_id),
            what=f"{consumer} has logged {last or 'something'} about {event_id}",
            seen=lambda: self.says(consumer, event_id),
        )
        return self.log(consumer, event_id)

    def says(self, consumer: str, event_id: str) -> list[str]:
        """The same, just the messages: `committed`, `duplicate`, `failed` …"""
        return [line["message"] for line in self.log(consumer, event_id)]

    def table(self, table: str, function: str) -> str:
        """The generated name of a service's table, which is found by a function that was given it."""
        return consumers(self.connection)[function].tables[table]


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
def impatient(system: Deployed, consumer: str, *, over: Callable[[], object] | None = None) -> Iterator[None]:
    """In the block, messages whose process dies come again after 4 seconds; with `over`, only until that is true. The
    block ends when all have come again, and have been handled.

    A process that starts under load may take longer than that, and its message would come again as if it had died. So
    one is started before. Say `over` for the one that starts after the death: once the death has struck, that is.
    """
    sqs = system.cloud.client("sqs")
    name = system.connection.names.of(consumer)
    system.cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"Records": []}))
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attribute = "VisibilityTimeout"
    usual = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"]
    ended = Event()

    def restore() -> None:
        while not ended.wait(0.05):
            if over and over():
                break
        sqs.set_queue_attributes(QueueUrl=url, Attributes=usual)

    sqs.set_queue_attributes(QueueUrl=url, Attributes={attribute: "4"})
    with ThreadPoolExecutor(1) as pool:
        restoring = pool.submit(restore)
        try:
            yield
            system.drains(consumer)
        finally:
            ended.set()
            restoring.result()


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
    return messages(system, consumer)[0]


def messages(system: Deployed, consumer: str) -> tuple[int, int, int]:
    """How many messages wait for the consumer, are being handled, and will come again after a delay."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, in_flight, delayed = (int(counts[name]) for name in names)
    return visible, in_flight, delayed


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
