"""The system at work, shown: orders come in, and each one's journey is drawn, to the money and the letters."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from backbone.ledger import Entry
from events.values import MINOR_UNIT_DIGITS
from local.adding_up import Books, Rows, rows
from local.cloud import Cloud
from local.errors import StepFailed
from local.progress import Progress
from local.provider import Fault, Provider
from local.samples import FOLDER, Sample, all_samples
from local.system import STAGE, up
from ops import entries
from ops.connection import Connection
from ops.drawing import draw
from ops.errors import OperatorError
from ops.journey import Journey
from ops.quiet import wait_until_quiet
from ops.sending import send

# Long enough for every function's cold start on a slow machine.
_PATIENCE = timedelta(seconds=120)


def demo(progress: Progress, samples: Path = FOLDER) -> int:
    """Bring the system up, send it the samples, show what became of each. Returns 1 if one ended otherwise than it
    must, or if goods, money and letters do not add up, else 0. Raises LocalRunError if a step fails.
    """
    began = time.monotonic()
    goods, *others = all_samples(samples)
    with Provider() as provider, up(progress, provider=provider) as cloud:
        connection = Connection.to(STAGE, environment={"AWS_ENDPOINT_URL": cloud.endpoint})
        day = _Day(progress, cloud, connection, provider)
        day.goes_by(goods, others)
        complaints = list(_show(progress, connection, others, day.ids))
        complaints += _complaints(connection, [goods])
        books = Books.of(cloud, connection, provider)
        complaints += books.complaints(day.shelf)
        _show_books(progress, day.shelf, books)
        events = sum(1 for _ in _recorded(connection))
    progress.say(
        f"{events} events in the store. All of it took {time.monotonic() - began:.0f} s; nothing is left running."
    )
    if complaints:
        progress.say("\nNot as the samples say it must be:\n" + "\n".join(f"  {each}" for each in complaints))
        return 1
    progress.say("Goods, money and letters add up.")
    _what_next(progress)
    return 0


class _Day:
    """A day in the shop. `shelf` is how it was in the morning; `ids` are those of the events by their producer's."""

    def __init__(self, progress: Progress, cloud: Cloud, connection: Connection, provider: Provider) -> None:
        self.ids: dict[str, str] = {}
        self.shelf: Rows = {}
        self._progress = progress
        self._cloud = cloud
        self._connection = connection
        self._provider = provider
        self._refused: set[str] = set()

    def goes_by(self, goods: Sample, samples: Sequence[Sample]) -> None:
        """All that happens on it."""
        self._refused = {producer_id for sample in samples for producer_id in sample.refused}
        late = [sample for sample in samples if sample.late]
        with self._progress.step("putting goods on the shelf"):
            self._send_and_settle(goods.entries)
        self.shelf = rows(self._connection, "stock", of="reserve-stock")
        with self._progress.step("sending orders, and waiting until all is quiet"), self._faults(samples):
            self._send_and_settle(entry for sample in samples if not sample.late for entry in sample.entries)
        with self._progress.step("handing parcels over, and letting the time to pay run out"):
            self._send(entry for sample in late for entry in sample.entries)
            self._send(entry for sample in samples for entry in sample.then)
            self._wait_for_the_end_of(late)
            for order in [order for sample in late for order in sample.settles]:
                self._provider.settle(order)
            self._settle()

    def _faults(self, samples: Sequence[Sample]) -> Any:
        return self._provider.brings(*(Fault.unavailable(**where) for sample in samples for where in sample.outside))

    def _send_and_settle(self, several: Iterator[entries.Entry] | Sequence[entries.Entry]) -> None:
        self._send(several)
        self._settle()

    def _send(self, several: Iterator[entries.Entry] | Sequence[entries.Entry]) -> None:
        """Put events on the ingress bus."""
        try:
            for outcome in send(self._connection, list(several)):
                if not outcome.taken:
                    raise self._failed("sending events", f"EventBridge: {outcome.error}")
                self.ids[outcome.entry.producer_id or ""] = outcome.event_id or ""
        except OperatorError as error:
            raise self._failed("sending events", str(error)) from error

    def _settle(self) -> None:
        """Wait until nothing is under way."""
        expected = [event_id for producer_id, event_id in self.ids.items() if producer_id not in self._refused]
        now = datetime.now(UTC)
        left = wait_until_quiet(self._connection, now - timedelta(hours=1), now + _PATIENCE, expected=expected)
        if left:
            raise self._failed("waiting until all is quiet", "\n".join(f"  {each}" for each in left[:10]))

    def _wait_for_the_end_of(self, late: Sequence[Sample]) -> None:
        """Let sweep look for timers, as it does each minute, until these orders have ended."""
        deadline = time.monotonic() + _PATIENCE.total_seconds()
        waiting = {stream for sample in late for stream in sample.ends}
        while waiting := {stream for stream in waiting if not self._has_ended(stream)}:
            if time.monotonic() > deadline:
                raise self._failed("letting the time to pay run out", f"  not ended: {', '.join(sorted(waiting))}")
            self._cloud.client("lambda").invoke(FunctionName=self._connection.names.of("sweep"))
            time.sleep(0.5)

    def _has_ended(self, stream: str) -> bool:
        return any(event.metadata.type == "OrderCancelled" for event in self._connection.store.stream(stream))

    def _failed(self, step: str, why: str) -> StepFailed:
        return StepFailed(step, why, self._cloud.kept_logs / self._cloud.log.name)


def _show(
    progress: Progress, connection: Connection, samples: Sequence[Sample], ids: Mapping[str, str]
) -> Iterator[str]:
    """Print what became of every sample. Yields what is not as it must be."""
    for sample in samples:
        progress.console.print(f"\n[bold]{escape(sample.story)}[/]", markup=True)
        for stream in sample.ends:
            journey = Journey.of(connection, stream)
            draw(journey, progress.console)
            if complaint := sample.complaint(journey):
                yield complaint
        for producer_id, error in sample.refused.items():
            entry = _refusal(connection, ids[producer_id])
            was = entry.details.get("error", entry.state) if entry else "not there"
            if entry is None or was != error:
                yield f"{producer_id} should have been refused with {error}; it is {was}"
            else:
                said = f"{producer_id}  [red]refused: {error}[/]  {escape(str(entry.details['reason']))}"
                progress.console.print(said, markup=True)


def _complaints(connection: Connection, samples: Sequence[Sample]) -> Iterator[str]:
    for sample in samples:
        for stream in sample.ends:
            if complaint := sample.complaint(Journey.of(connection, stream)):
                yield complaint


def _refusal(connection: Connection, event_id: str) -> Entry | None:
    """What the ledger says of an event that admit has refused. The dead letter may still be on its way there."""
    deadline = datetime.now(UTC) + _PATIENCE
    while datetime.now(UTC) < deadline:
        if entry := connection.ledger.find(event_id, "admit"):
            return entry
        time.sleep(0.1)
    return None


def _show_books(progress: Progress, shelf: Rows, books: Books) -> None:
    """The shelf, the orders with their money, and the mailbox, side by side with what their keepers say."""
    goods = _table("The shelf", "article", before="right", available="right", reserved="right", sold="right")
    sold = books.sold()
    for sku, row in books.stock.items():
        before = shelf.get(sku, {}).get("available", 0)
        pieces = (before, row.get("available", 0), row.get("reserved", 0), sold[sku])
        goods.add_row(sku, *map(str, pieces))
    orders = _table(
        "The orders, and what the payment provider's book says of them", "order", status="left", total="right"
    )
    for column in ("charged", "paid back"):
        orders.add_column(column, justify="right")
    orders.add_column("why")
    for order, row in books.orders.items():
        taken, back = (
            _money(sum(sums.values()), row["currency"])
            for sums in (books.money.taken(order), books.money.returned(order))
        )
        why = row.get("cancelled_because", "").replace("_", " ")
        total = f"{_money(row['total'], row['currency'])} {row['currency']}"
        orders.add_row(order, row["status"], total, taken, back, why)
    mails = _table("The mailbox", "to", subject="left")
    for mail in books.mails:
        mails.add_row(", ".join(mail.to), mail.subject)
    for table in (goods, orders, mails):
        progress.say()
        progress.console.print(table)


def _table(title: str, first: str, **columns: Any) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name, justify in columns.items():
        table.add_column(name, justify=justify)
    return table


def _money(amount: int, currency: str) -> str:
    digits = MINOR_UNIT_DIGITS[currency]
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"


def _recorded(connection: Connection) -> Iterator[object]:
    pages = connection.dynamodb.get_paginator("scan").paginate(
        TableName=connection.names.store, ConsistentRead=True, ProjectionExpression="id"
    )
    return (item for page in pages for item in page["Items"])


def _what_next(progress: Progress) -> None:
    progress.say(
        """
What next:
  make run                                       keep it running; it says how to send events of your own
  functions/inventory/reserve_stock.py           the function that reserved the stock; its line: stacks/inventory.py
  functions/payments/charge_order.py             the one that charged the customer, once
  events/orders.py                               what an order must look like
  README.md                                      add a function, deploy to AWS, operate
"""
    )
