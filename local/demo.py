"""The system at work, shown: orders come in, and each one's journey is drawn."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from backbone.attributes import unpack_item
from backbone.ledger import Entry
from backbone.settings import table_variable
from events.values import MINOR_UNIT_DIGITS
from local.cloud import Cloud
from local.errors import StepFailed
from local.progress import Progress
from local.samples import FOLDER, Sample, all_samples
from local.system import STAGE, up
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
    must, else 0. Raises LocalRunError if a step fails.
    """
    began = time.monotonic()
    goods, *orders = all_samples(samples)
    with up(progress) as cloud:
        connection = Connection.to(STAGE, environment={"AWS_ENDPOINT_URL": cloud.endpoint})
        with progress.step("putting goods on the shelf"):
            ids = _send(cloud, connection, [goods])
        before = _stock(cloud, connection)
        with progress.step("sending orders, and waiting until all is quiet"):
            ids |= _send(cloud, connection, orders)
        complaints = list(_show(progress, connection, orders, ids))
        complaints += _complaints(connection, [goods])
        after = _stock(cloud, connection)
        complaints += _not_conserved(before, after)
        _show_stock(progress, before, after)
        _show_orders(progress, cloud, connection)
        events = sum(1 for _ in _recorded(connection))
    progress.say(
        f"{events} events in the store. All of it took {time.monotonic() - began:.0f} s; nothing is left running."
    )
    if complaints:
        progress.say("\nNot as the samples say it must be:\n" + "\n".join(f"  {each}" for each in complaints))
        return 1
    _what_next(progress)
    return 0


def _send(cloud: Cloud, connection: Connection, samples: Sequence[Sample]) -> dict[str, str]:
    """Send all entries, wait until nothing is under way; returns the ids of the events by their producer's."""
    since = datetime.now(UTC) - timedelta(seconds=1)
    refused = {producer_id for sample in samples for producer_id in sample.refused}
    ids: dict[str, str] = {}
    try:
        for sample in samples:
            for outcome in send(connection, sample.entries):
                if not outcome.taken:
                    raise StepFailed(
                        "sending events", f"EventBridge: {outcome.error}", cloud.kept_logs / cloud.log.name
                    )
                ids[outcome.entry.producer_id or ""] = outcome.event_id or ""
        expected = [event_id for producer_id, event_id in ids.items() if producer_id not in refused]
        left = wait_until_quiet(connection, since, since + _PATIENCE, expected=expected)
    except OperatorError as error:
        raise StepFailed("sending events", str(error), cloud.kept_logs / cloud.log.name) from error
    if left:
        why = "\n".join(f"  {each}" for each in left[:10])
        raise StepFailed("waiting until all is quiet", why, cloud.kept_logs / cloud.log.name)
    return ids


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


def _stock(cloud: Cloud, connection: Connection) -> dict[str, dict[str, Any]]:
    """The shelf, by article."""
    return _rows(cloud, connection, "stock", of="reserve-stock")


def _not_conserved(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is on the shelf and what is put aside must add up to what there was."""
    for sku, was in before.items():
        now = after[sku].get("available", 0) + after[sku].get("reserved", 0)
        if now != was["available"]:
            yield f"of {was['available']} pieces of {sku} there are now {now}"


def _rows(cloud: Cloud, connection: Connection, table: str, *, of: str) -> dict[str, dict[str, Any]]:
    """All rows of a service's table, by key, in its order. Its name is the one that one of its functions was given."""
    configuration = cloud.client("lambda").get_function_configuration(FunctionName=connection.names.of(of))
    name = configuration["Environment"]["Variables"][table_variable(table)]
    pages = cloud.client("dynamodb").get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    rows = (unpack_item(item) for page in pages for item in page["Items"])
    return {row["id"]: row for row in sorted(rows, key=lambda row: str(row["id"]))}


def _show_orders(progress: Progress, cloud: Cloud, connection: Connection) -> None:
    table = Table(title="The orders, as the view order-status tells them", title_justify="left", title_style="bold")
    for column in ("order", "status", "total", "missing"):
        table.add_column(column, justify="right" if column == "total" else "left")
    for order, row in _rows(cloud, connection, "order-status", of="order-status-placed").items():
        digits = MINOR_UNIT_DIGITS[row["currency"]]
        total = f"{Decimal(row['total']).scaleb(-digits):.{digits}f} {row['currency']}"
        table.add_row(order, row["status"], total, ", ".join(row.get("missing", ())))
    progress.say()
    progress.console.print(table)


def _show_stock(
    progress: Progress, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> None:
    table = Table(title="The shelf", title_justify="left", title_style="bold")
    for column in ("article", "before", "available", "reserved"):
        table.add_column(column, justify="left" if column == "article" else "right")
    for sku, row in after.items():
        was = before.get(sku, {}).get("available", 0)
        table.add_row(sku, str(was), str(row.get("available", 0)), str(row.get("reserved", 0)))
    progress.say()
    progress.console.print(table)


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
  events/orders.py                               what an order must look like
  README.md                                      add a function, deploy to AWS, operate
"""
    )
