"""`daybook trace`: the trace of events through every service."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.contracts import clock
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, note_that_the_index_lags
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import draw
from daybook.operate.moments import INDEX_LAG
from daybook.operate.trace.trace import Trace

EXAMPLES = """
**Examples**

- `daybook trace order/1001`
- `daybook trace 954ee5d5-d2e0-81b7-909d-26244858827d --data --stage prod`
- `daybook trace order/1001 --json | jq '.events[] | select(.deliveries[].state == "waiting") | .id'`
"""


def trace(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A stream (`order/1001`), or the id of an event or of a correlation.")
    ],
    *,
    stage: Stage = "dev",
    with_data: Annotated[
        bool, typer.Option("--data", help="Show the events' data too. Personal fields show as •••.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=2000, help="At most N events of the stream, and of each correlation.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Show the trace of events through every service: which consumers have processed them, what they emitted, and what
    is still to come.

    For a stream you see its newest events and the correlations they belong to; for an event or a correlation id, the
    whole correlation. Under each event stand its consumers, with their processing status by the ledger, and under these
    the events they emitted. A consumer that subscribes and has not processed the event yet is shown as *waiting*. Times
    count from the first event of the correlation.

    Exit code 1: no such stream, event or correlation is known.
    """
    with connected(stage) as connection:
        trace = Trace.of(connection, what, most=limit)
        if as_json:
            typer.echo(json.dumps(trace.as_data(with_data=with_data), indent=2))
        else:
            draw(trace, console(), with_data=with_data)
        recent = clock.timestamp(datetime.now(UTC) - INDEX_LAG)
        if any(step.event.metadata.recorded_at > recent for step in trace.steps):
            note_that_the_index_lags(stage)
