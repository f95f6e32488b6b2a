"""The complete flow of orders through the shop, whatever functions are deployed.

The flow ends when the system is idle. This module defines only its events from external systems, and enough stock.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bench.tables import articles
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.operate.idle import wait_until_idle
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.store.journal import Span
from daybook.store.timers import from_item, to_item
from events.catalogue import CATALOGUE
from events.inventory import StockReceived
from events.orders import OrderPlaced, RefundClaimed

# Events that do not occur for a usual order: requests for refunds.
_UNUSUAL = frozenset({RefundClaimed.__name__})

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daybook.contracts.contract import Event
    from daybook.operate.connection import Connection

_TIMEOUT = timedelta(seconds=300)
_PIECES = 1_000_000  # the maximum quantity of StockReceived


class NotIdle(RuntimeError):
    """The system was not idle in time, so the measurement does not cover the whole flow."""


class Flow:
    """Sends orders to a deployed system. `began` is when the last orders were sent, `sent` the number of events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answered: set[tuple[str, str]] = set()
        self.began = datetime.now(UTC)
        self.sent = 0

    def receive_stock(self) -> None:
        """Receive enough stock of all articles of the orders."""
        self.send(StockReceived, [{"sku": sku, "quantity": _PIECES} for sku in articles()])

    def place(self, orders: int) -> None:
        """Send this many orders at once, and wait until the system is idle."""
        run = uuid.uuid4().hex[:6]
        self.began = datetime.now(UTC)
        self.send(OrderPlaced, [{"order_id": f"{run}-{number}"} for number in range(orders)])

    def send_follow_ups(self) -> dict[str, int]:
        """Send the external events that follow for streams opened since then, for example that a shipment was
        dispatched.

        For each such stream, this is one event of each contract that comes from outside and continues it. Waits until
        the system is idle; returns the number of events by type.
        """
        sent: dict[str, int] = {}
        opened = [line.stream for line in self._recorded() if line.sequence == 1]
        for event in CATALOGUE.values():
            contract = event.contract
            unusual = contract.type in _UNUSUAL or contract.foreign
            if unusual or not contract.sources or contract.place is not Place.CONTINUES:
                continue
            kind = f"{contract.stream_kind}/"
            streams = [s for s in opened if s.startswith(kind) and (s, contract.type) not in self._answered]
            self._answered |= {(stream, contract.type) for stream in streams}
            if streams:
                self.send(event, [_named(event, stream.removeprefix(kind)) for stream in streams])
                sent[contract.type] = len(streams)
        return sent

    def fire_timers_now(self) -> int:
        """Make all armed timers due now. Returns their number."""
        dynamodb, table = self._connection.dynamodb, self._connection.names.due
        pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        rows = [item for page in pages for item in page["Items"] if "id" in item]
        for row in rows:
            armed = from_item(row)
            due = self._connection.keyring.prove_timer(replace(armed, draft=replace(armed.draft, time=clock.now())))
            dynamodb.delete_item(TableName=table, Key={"slot": row["slot"], "due": row["due"]})
            dynamodb.put_item(TableName=table, Item=to_item(due))
        return len(rows)

    def send(self, event: type[Event], several: Iterable[Mapping[str, Any]]) -> None:
        """Send the event's example for each of `several`, with its changes, and wait until the system is idle."""
        (source, *_) = event.contract.sources
        entries = [
            {
                "Source": source,
                "DetailType": event.contract.type,
                "Detail": {"metadata": {"id": uuid.uuid4().hex}, "data": {**event.example, **changes}},
            }
            for changes in several
        ]
        self.sent += len(entries)
        outcomes = list(send(self._connection, read_entries(json.dumps(entries))))
        self.wait_until_idle(expected=[outcome.event_id or "" for outcome in outcomes])

    def wait_until_idle(self, *, expected: Iterable[str] = ()) -> None:
        """Wait until the system is idle. Raises NotIdle."""
        now = datetime.now(UTC)
        left = wait_until_idle(
            self._connection, self.began - timedelta(seconds=1), now + _TIMEOUT, expected=list(expected)
        )
        if left:
            msg = f"{len(left)} deliveries are not finished after {_TIMEOUT}, for example {left[0]}"
            raise NotIdle(msg)

    def _recorded(self) -> Iterator[Any]:
        journal = self._connection.journal
        span = Span(self.began - timedelta(seconds=1), datetime.now(UTC) + timedelta(seconds=1))
        return (line for hour in journal.hours(span) for bucket in hour for line in journal.entries(bucket, span))


def _named(event: type[Event], key: str) -> dict[str, Any]:
    """The fields that put the event's example on the stream with that key: all that have the example's key."""
    own = event.example[event.contract.stream_field]
    return {name: key for name, value in event.example.items() if value == own}
