"""How many deliveries per second the whole system processes, compared with each of two other functions alone."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import route, tables
from bench.flow import Flow, NotIdle
from bench.subjects import DOCUMENTED, OURS, PLAIN, PREFIXES
from bench.targets import Target
from daybook.contracts import clock
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.store.ledger import COMMITTED
from daybook.store.limits import PUT_EVENTS_ENTRIES
from events.orders import OrderPlaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_WARM_UP = 20  # orders
_TIMEOUT = timedelta(seconds=300)

# Deliveries, and the seconds from sending the first order to the last commit.
Burst = tuple[int, float]


def measure(progress: Progress, *, orders: int, rounds: int) -> list[Target]:
    """Send bursts of orders to each, in turn on one cloud, and compare the medians."""
    with up(progress) as cloud:
        with progress.step("warming up"):
            subjects: dict[str, Callable[[int], Burst]] = {
                OURS: _Ours(cloud).burst,
                DOCUMENTED: _Other(cloud, DOCUMENTED, "reservations").burst,
                PLAIN: _Other(cloud, PLAIN, "events").burst,
            }
            for burst in subjects.values():
                burst(_WARM_UP)
        rates: dict[str, list[float]] = {subject: [] for subject in subjects}
        with progress.step(f"sending {rounds} bursts of {orders} orders to each"):
            bursts = [(subject, subjects[subject](orders)) for _ in range(rounds) for subject in subjects]
    for subject, (deliveries, seconds) in bursts:
        rates[subject].append(deliveries / seconds)
    each = {subject: median(rates[subject]) for subject in subjects}
    for subject in subjects:
        an_order = next(deliveries for name, (deliveries, _) in bursts if name == subject) / orders
        span = f"{min(rates[subject]):.1f} to {max(rates[subject]):.1f}"
        progress.say(f"  {subject:<10}  {each[subject]:6.1f} deliveries per second ({span}), {an_order:.1f} per order")
    return [
        Target("deliveries per second, ours to documented", each[OURS] / each[DOCUMENTED], minimum=1.0),
        Target("deliveries per second, ours to plain", each[OURS] / each[PLAIN], minimum=0.5),
    ]


class _Ours:
    """The deployed system. A delivery is a committed row in the ledger."""

    def __init__(self, cloud: Cloud) -> None:
        self._connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        self._flow = Flow(self._connection)
        self._flow.receive_stock()

    def burst(self, orders: int) -> Burst:
        """Send orders, and wait until the system is idle."""
        self._flow.place(orders)
        began = self._flow.began
        ends = [at for at in self._commits() if at >= clock.timestamp(began)]
        return len(ends), (clock.moment(max(ends)) - began).total_seconds()

    def _commits(self) -> Iterator[str]:
        for row in _rows(self._connection.dynamodb, self._connection.names.ledger):
            if row.get("state", {}).get("S") == COMMITTED:
                yield row["at"]["S"]


class _Other:
    """A function alone. A delivery is a row in the table that it writes last."""

    def __init__(self, cloud: Cloud, subject: str, table: str) -> None:
        self._dynamodb = cloud.client("dynamodb")
        self._events = cloud.client("events")
        prefix = PREFIXES[subject]
        tables.create(self._dynamodb, prefix, tables.DOCUMENTED if subject == DOCUMENTED else tables.PLAIN)
        if subject == DOCUMENTED:
            tables.fill_stock(self._dynamodb, f"{prefix}stock", "sku")
        self._table = f"{prefix}{table}"
        self._bus = route.deploy(cloud, subject)
        self._before = 0

    def burst(self, orders: int) -> Burst:
        """Send orders, and wait until all are processed."""
        began = datetime.now(UTC)
        entries = [self._entry() for _ in range(orders)]
        for start in range(0, orders, PUT_EVENTS_ENTRIES):
            answer = self._events.put_events(Entries=entries[start : start + PUT_EVENTS_ENTRIES])
            if answer["FailedEntryCount"]:
                msg = "the cloud did not accept all orders"
                raise NotIdle(msg)
        ends = self._wait(orders)
        return orders, (max(ends) - began).total_seconds()

    def _wait(self, orders: int) -> list[datetime]:
        deadline = datetime.now(UTC) + _TIMEOUT
        while (done := self._count() - self._before) < orders:
            if datetime.now(UTC) > deadline:
                msg = f"{self._table} has {done} of {orders} orders after {_TIMEOUT}"
                raise NotIdle(msg)
            time.sleep(0.5)
        self._before += done
        return [datetime.fromisoformat(row["at"]["S"]) for row in _rows(self._dynamodb, self._table)]

    def _count(self) -> int:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table, Select="COUNT", ConsistentRead=True
        )
        return sum(page["Count"] for page in pages)

    def _entry(self) -> dict[str, Any]:
        order = {**OrderPlaced.example, "order_id": f"B-{uuid.uuid4().hex[:12]}"}
        return {
            "EventBusName": self._bus,
            "Source": OrderPlaced.contract.sources[0],
            "DetailType": OrderPlaced.contract.type,
            "Detail": json.dumps(order),
        }


def _rows(dynamodb: Any, table: str) -> Iterator[dict[str, Any]]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return (item for page in pages for item in page["Items"])
