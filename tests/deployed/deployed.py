"""The deployed system as tests see it: they send events to the ingress bus and check everything else from outside."""

import hashlib
import io
import json
import os
import signal
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
from daybook.local.processes import function_in
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
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from tests.local.processes import unique, until

TIMEOUT = timedelta(minutes=8)
CHECKOUT = "shop.checkout"

# All events of an order with stock and a valid card, up to the request for its shipment. Sorted, because services do
# not wait for each other.
CONFIRMED = ["EmailSent", "OrderConfirmed", "OrderPlaced", "PaymentSucceeded", "ShipmentRequested", "StockReserved"]
# The same for an order without stock.
UNSTOCKED = ["EmailSent", "OrderCancelled", "OrderPlaced", "OutOfStock"]


class Log:
    """What functions logged so far. Each line is read and parsed once."""

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
                with suppress(ValueError):  # a killed process may have written half a line
                    line = json.loads(text)
                    self._lines.setdefault(str(line.get("service")), []).append((text, line))


@dataclass
class Deployed:
    """The system on the local cloud, as one test sees it. Tests share the system, so each uses its own orders and
    articles.
    """

    cloud: Cloud
    connection: Connection
    provider: StandIn | None = None
    _log: Log | None = None
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _sent: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, cloud: Cloud, provider: StandIn | None = None) -> Self:
        """The system deployed on this cloud."""
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        return cls(cloud, connection, provider, Log(cloud.log))

    def from_now_on(self) -> Self:
        """The same system for the next test, without sent events."""
        return replace(self, _began=datetime.now(UTC), _sent=[])

    def sends(self, *events: Mapping[str, Any]) -> list[str]:
        """Put events on the ingress bus. Returns their ids in Daybook."""
        outcomes = list(send(self.connection, read_entries(json.dumps(events))))
        assert all(outcome.accepted for outcome in outcomes), outcomes
        ids = [outcome.event_id or "" for outcome in outcomes]
        self._sent += ids
        return ids

    def finishes(self, *events: str) -> None:
        """Wait until these events, or all that this test has sent, and all that follows from them are processed. Does
        not wait for duplicates or for retried dead letters.
        """
        wanted = events or self._sent
        self._assert_nothing(wait_until_done(self.connection, wanted, self._began, datetime.now(UTC) + TIMEOUT))

    def is_idle(self) -> None:
        """Wait until the whole system is idle."""
        self._assert_nothing(wait_until_idle(self.connection, self._began, datetime.now(UTC) + TIMEOUT))

    def drains(self, consumer: str) -> None:
        """Wait until the consumer's queue is empty: no message waits, is in flight or is delayed."""
        until(
            lambda: not any(messages(self, consumer)),
            what=f"the queue of {consumer} is empty",
            seen=lambda: messages(self, consumer),
        )

    def _assert_nothing(self, left: Sequence[object]) -> None:
        """Fail if anything is left, with the log lines about it."""
        if left:
            lines = [f"{len(left)} deliveries are not finished after {TIMEOUT}, for example:"]
            for each in left[:5]:
                lines.append(f"  {each}")
                if isinstance(each, Undelivered):
                    logged = self.log(each.consumer, each.event.id)
                    lines += [f"    logged: {line}" for line in logged] or ["    no log line about it"]
            pytest.fail("\n".join(lines))

    def receives(self, *events: Mapping[str, Any]) -> None:
        """Send events that will be admitted, and wait until all that follows from them is processed."""
        self.finishes(*self.sends(*events))

    def trace(self, stream: str) -> Trace:
        """The trace of a stream."""
        return Trace.of(self.connection, stream)

    def types(self, stream: str) -> list[str]:
        """The types of all events of the stream's correlation, sorted."""
        return sorted(step.event.metadata.type for step in self.trace(stream).steps)

    def outcome(self, order: str) -> list[str]:
        """The results of the order's reservation, event by event."""
        return [envelope.metadata.type for envelope in self.connection.store.stream(f"reservation/{order}")]

    def pieces(self, sku: str) -> tuple[int, int]:
        """The available pieces of an article, and the pieces that orders have reserved or received."""
        reservations = self.items(self.table("reservations", "reserve-stock"))
        theirs = [row["pieces"].get(sku, 0) for row in reservations if row["stage"] in {"reserved", "committed"}]
        return self.row("stock", sku, of="reserve-stock").get("available", 0), sum(theirs)

    def row(self, table: str, key: str, *, of: str) -> dict[str, Any]:
        """A row of a service's table, found through a function that uses it; empty if there is none."""
        return PlainTable(self.connection, self.table(table, of)).live().row(key) or {}

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table, by its name in AWS."""
        return list(PlainTable(self.connection, table).scan())

    def dead(self, event_id: str, consumer: str) -> LedgerEntry:
        """The ledger's entry of an event that is dead at the consumer. Waits for it."""
        return self._entry(event_id, consumer, DEAD)

    def commits(self, event_id: str, consumer: str) -> LedgerEntry:
        """The ledger's entry of an event that the consumer has committed. Waits for it."""
        return self._entry(event_id, consumer, COMMITTED)

    def _entry(self, event_id: str, consumer: str, state: str) -> LedgerEntry:
        found: LedgerEntry | None = None

        def is_there() -> bool:
            nonlocal found
            found = self.connection.ledger.find(event_id, consumer)
            return found is not None and found.state == state

        until(
            is_there,
            what=f"{event_id} is {state} at {consumer}",
            seen=lambda: (found, self.log_messages(consumer, event_id)),
        )
        assert found
        return found

    def dead_body(self, body: str, consumer: str) -> LedgerEntry:
        """The same for a message that names no event."""
        return self.dead(f"body-{hashlib.sha256(body.encode()).hexdigest()}", consumer)

    def refusals(self, *event_ids: str) -> dict[str, str]:
        """The error with which admit rejected each event. Waits for all of them."""
        return {event_id: self.dead(event_id, "admit").details["error"] for event_id in event_ids}

    def log(self, consumer: str, event_id: str) -> list[dict[str, Any]]:
        """The consumer's log lines about an event, in order. A killed process may not have written its last lines."""
        self._log = self._log or Log(self.cloud.log)
        return self._log.about(consumer, event_id)

    def logged(self, consumer: str, event_id: str, *, last: str = "") -> list[dict[str, Any]]:
        """The same, once there is a line, or one with the message `last`. A function logs after its commit, so the line
        may come after all work is done.
        """
        until(
            lambda: (
                self.log_messages(consumer, event_id) if not last else last in self.log_messages(consumer, event_id)
            ),
            what=f"{consumer} has logged {last or 'something'} about {event_id}",
            seen=lambda: self.log_messages(consumer, event_id),
        )
        return self.log(consumer, event_id)

    def log_messages(self, consumer: str, event_id: str) -> list[str]:
        """Only the messages of these lines: `committed`, `duplicate`, `failed` …"""
        return [line["message"] for line in self.log(consumer, event_id)]

    def table(self, table: str, function: str) -> str:
        """The generated name of a service's table, found through a function that uses it."""
        return consumers(self.connection)[function].tables[table]


@contextmanager
def deployed_system(
    templates: Path, *, iam: bool, faults: Faults | None = None, provider: StandIn | None = None
) -> Iterator[Deployed]:
    """Start a system from synthesized templates, for the length of the block."""
    extra = faults.environment if faults else None
    silent = Progress(Console(file=io.StringIO()))
    with up(silent, iam=iam, extra=extra, provider=provider, templates=templates) as cloud:
        yield Deployed.on(cloud, provider)


@contextmanager
def short_visibility_timeout(
    system: Deployed, consumer: str, *, until_true: Callable[[], object] | None = None
) -> Iterator[None]:
    """Set the visibility timeout to 4 seconds in the block, so that the message of a killed process is redelivered
    soon; with `until_true`, only until that is true. The block ends when the queue is empty.

    A process that starts on a busy machine may take longer than 4 seconds, and its message would be redelivered too. So
    one is started before. Use `until_true` for the process that starts after a death: once the fault was injected.
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
            if until_true and until_true():
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
    """The consumer gets no messages in the block; afterwards it gets all that waited."""
    lambda_ = system.cloud.client("lambda")
    name = system.connection.names.of(consumer)
    (mapping,) = lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def in_queue(system: Deployed, consumer: str) -> int:
    """The number of messages that wait for the consumer."""
    return messages(system, consumer)[0]


def messages(system: Deployed, consumer: str) -> tuple[int, int, int]:
    """The number of the consumer's messages that wait, are in flight, and are delayed."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, in_flight, delayed = (int(counts[name]) for name in names)
    return visible, in_flight, delayed


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
    """An OrderPlaced entry: lines are articles and pieces at 12.50 EUR each, paid with a valid card."""
    order = {
        "order_id": order_id or unique("order"),
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": [
            {"sku": sku, "quantity": quantity, "price": {"amount": 1250, "currency": "EUR"}} for sku, quantity in lines
        ],
        "payment_method": "pm_card_visa",
    }
    return an_event("OrderPlaced", order | data, source=source, producer_id=producer_id)


def stock_received(sku: str, quantity: int) -> dict[str, Any]:
    """A StockReceived entry."""
    data = {"sku": sku, "quantity": quantity, "delivery_id": unique("D")}
    return an_event("StockReceived", data, source="warehouse.receiving", producer_id=unique("delivery"))


def put_into_queue(system: Deployed, consumer: str, body: str) -> None:
    """Send a message to the queue of a consumer."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)


def kill(system: Deployed, consumer: str) -> None:
    """Kill every process of a function: each runs in the folder of its own copy of the bundle."""
    name = system.connection.names.of(consumer)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder = (process / "cwd").readlink()
        except OSError:  # the process has ended, or belongs to another user
            continue
        if folder.is_relative_to(system.cloud.folder) and function_in(folder) == name:
            os.kill(int(process.name), signal.SIGKILL)
