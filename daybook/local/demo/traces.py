"""Show the traces of samples and the events that were rejected, and find what differs from the samples."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from daybook.local.demo.driver import TIMEOUT
from daybook.local.demo.samples import Sample
from daybook.operate.connection import Connection
from daybook.operate.drawing import draw
from daybook.operate.trace.trace import Trace
from daybook.store import ledger


def show(console: Console, connection: Connection, samples: Iterable[Sample]) -> Iterator[str]:
    """Print the result of every sample. Yields problems."""
    for sample in samples:
        console.print(f"\n[bold]{escape(sample.description)}[/]", markup=True)
        for trace in _traces(connection, sample):
            draw(trace, console)
            if problem := sample.problem(trace):
                yield problem
        for rejection in sample.rejections(connection.account):
            entry = _rejected(connection, rejection.event_id)
            was = entry.details.get("error", entry.state) if entry else "not there"
            if entry is None or was != rejection.error:
                yield f"{rejection.producer_id} should have been rejected with {rejection.error}; it is {was}"
            else:
                reason = escape(str(entry.details["reason"]))
                console.print(f"{rejection.producer_id}  [red]rejected: {rejection.error}[/]  {reason}", markup=True)


def problems(connection: Connection, sample: Sample) -> Iterator[str]:
    """The problems of a sample whose traces are not shown."""
    return filter(None, map(sample.problem, _traces(connection, sample)))


def _traces(connection: Connection, sample: Sample) -> Iterator[Trace]:
    return (Trace.of(connection, stream) for stream in sample.ends)


def _rejected(connection: Connection, event_id: str) -> ledger.LedgerEntry | None:
    """The ledger's entry for an event that admit rejected. Its dead letter may take some time to arrive there."""
    deadline = datetime.now(UTC) + TIMEOUT
    while datetime.now(UTC) < deadline:
        if entry := connection.ledger.find(event_id, "admit"):
            return entry
        time.sleep(0.1)
    return None
