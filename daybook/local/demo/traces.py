"""What became of samples: their journeys, and their refusals. Complaints are sentences on what is not as it must be."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from daybook.local.demo.day import PATIENCE
from daybook.local.demo.samples import Sample
from daybook.operate.connection import Connection
from daybook.operate.drawing import draw
from daybook.operate.trace.trace import Trace
from daybook.store import ledger


def show(console: Console, connection: Connection, samples: Iterable[Sample]) -> Iterator[str]:
    """Print what became of every sample. Yields complaints."""
    for sample in samples:
        console.print(f"\n[bold]{escape(sample.story)}[/]", markup=True)
        for journey in _journeys(connection, sample):
            draw(journey, console)
            if complaint := sample.complaint(journey):
                yield complaint
        for refusal in sample.refusals(connection.account):
            entry = _refused(connection, refusal.event_id)
            was = entry.details.get("error", entry.state) if entry else "not there"
            if entry is None or was != refusal.error:
                yield f"{refusal.producer_id} should have been refused with {refusal.error}; it is {was}"
            else:
                reason = escape(str(entry.details["reason"]))
                console.print(f"{refusal.producer_id}  [red]refused: {refusal.error}[/]  {reason}", markup=True)


def complaints(connection: Connection, sample: Sample) -> Iterator[str]:
    """The complaints about a sample whose journeys are not shown."""
    return filter(None, map(sample.complaint, _journeys(connection, sample)))


def _journeys(connection: Connection, sample: Sample) -> Iterator[Trace]:
    return (Trace.of(connection, stream) for stream in sample.ends)


def _refused(connection: Connection, event_id: str) -> ledger.Entry | None:
    """What the ledger says of an event that admit has refused. The dead letter may still be on its way there."""
    deadline = datetime.now(UTC) + PATIENCE
    while datetime.now(UTC) < deadline:
        if entry := connection.ledger.find(event_id, "admit"):
            return entry
        time.sleep(0.1)
    return None
