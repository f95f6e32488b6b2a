"""The shop at work: orders come in at the front door, and all that follows happens, whatever functions are deployed.

The flow of an order ends when the system is quiet. Only where it begins is said here, and which shelf must be full.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bench.tables import articles
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.operate.idle import wait_until_idle
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.store.attributes import pack_item
from daybook.store.journal import Span
from daybook.store.timers import from_item
from events.catalogue import CATALOGUE
from events.inventory import StockReceived
from events.orders import OrderPlaced, RefundAsked

# What an order that goes well does not meet: money that is asked back.
_UNUSUAL = frozenset({RefundAsked.__name__})

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daybook.contracts.contract import Event
    from daybook.operate.connection import Connection

_PATIENCE = timedelta(seconds=300)
_PIECES = 1_000_000  # the most that a delivery note can say


class NeverQuiet(RuntimeError):
    """The system was not quiet in time. What was measured is not the whole flow."""


class Flow:
    """Orders through a deployed system. `began` is when the last lot of them was begun, `sent` how many events were."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answered: set[tuple[str, str]] = set()
        self.began = datetime.now(UTC)
        self.sent = 0

    def stock_up(self) -> None:
        """Put plenty of all that orders want on the shelf."""
        self.send(StockReceived, [{"sku": sku, "quantity": _PIECES} for sku in articles()])

    def place(self, orders: int) -> None:
        """Send so many orders at once, and wait until nothing is under way."""
        run = uuid.uuid4().hex[:6]
        self.began = datetime.now(UTC)
        self.send(OrderPlaced, [{"order_id": f"{run}-{number}"} for number in range(orders)])

    def answer(self) -> dict[str, int]:
        """Say what is said outside of streams that were opened since then: that a parcel has left, for example.

        That is one event of each contract that comes from outside and continues such a stream, as a rule. Waits until
        nothing is under way; returns how many events of each type were sent.
        """
        said: dict[str, int] = {}
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
                said[contract.type] = len(streams)
        return said

    def hasten_timers(self) -> int:
        """Let all timers that are armed be due now. Returns how many that were."""
        dynamodb, table = self._connection.dynamodb, self._connection.names.due
        pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        rows = [item for page in pages for item in page["Items"] if "id" in item]
        for row in rows:
            armed = from_item(row)
            due = replace(armed, draft=replace(armed.draft, time=clock.now()))
            dynamodb.delete_item(TableName=table, Key={"slot": row["slot"], "due": row["due"]})
            dynamodb.put_item(
                TableName=table, Item=pack_item({**due.key, **asdict(due.draft), "place": str(due.place)})
            )
        return len(rows)

    def send(self, event: type[Event], several: Iterable[Mapping[str, Any]]) -> None:
        """Send an example of the event for each of `several`, with what those say, and wait until all is quiet."""
        (source, *_) = event.contract.sources
        entries = [
            {
                "Source": source,
                "DetailType": event.contract.type,
                "Detail": {"metadata": {"id": uuid.uuid4().hex}, "data": {**event.example, **said}},
            }
            for said in several
        ]
        self.sent += len(entries)
        outcomes = list(send(self._connection, read_entries(json.dumps(entries))))
        self.settle(expected=[outcome.event_id or "" for outcome in outcomes])

    def settle(self, *, expected: Iterable[str] = ()) -> None:
        """Wait until nothing is under way. Raises NeverQuiet."""
        now = datetime.now(UTC)
        left = wait_until_idle(
            self._connection, self.began - timedelta(seconds=1), now + _PATIENCE, expected=list(expected)
        )
        if left:
            msg = f"{len(left)} things are still under way after {_PATIENCE}, for example {left[0]}"
            raise NeverQuiet(msg)

    def _recorded(self) -> Iterator[Any]:
        journal = self._connection.journal
        span = Span(self.began - timedelta(seconds=1), datetime.now(UTC) + timedelta(seconds=1))
        return (line for hour in span.hours() for bucket in hour for line in journal.lines(bucket, span))


def _named(event: type[Event], key: str) -> dict[str, Any]:
    """What makes the event's example one of the stream with that key: its id, wherever the example has it."""
    own = event.example[event.contract.stream_field]
    return {name: key for name, value in event.example.items() if value == own}
