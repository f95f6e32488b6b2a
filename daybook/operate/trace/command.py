"""`daybook trace`: trace events through all services."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.contracts import clock
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, note_that_the_index_lags, say_json
from daybook.operate.cli.stage import connected
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
        str, typer.Argument(metavar="WHAT", help="A stream (`order/1001`), an event id, or a correlation id.")
    ],
    *,
    stage: Stage = "dev",
    with_data: Annotated[
        bool, typer.Option("--data", help="Also show the data of events, with personal fields hidden (•••).")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=2000, help="Maximum number of events of the stream and of each correlation.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Trace events through all services: which consumers have processed them, which events they emitted, and which
    deliveries are still waiting.

    For a stream, the command shows its newest events and their correlations; for an event id or a correlation id, the
    whole correlation. Under each event are its consumers with their processing status, and under each consumer the
    events that it emitted. A consumer that has not processed the event yet is shown as *waiting*. Times are relative to
    the first event of the correlation.

    Exit code 1: the stream, event or correlation was not found.
    """
    with connected(stage) as connection:
        trace = Trace.of(connection, what, most=limit)
        if as_json:
            say_json(trace.as_data(with_data=with_data), indent=2)
        else:
            draw(trace, console(), with_data=with_data)
        recent = clock.timestamp(datetime.now(UTC) - INDEX_LAG)
        if any(step.event.metadata.recorded_at > recent for step in trace.steps):
            note_that_the_index_lags(stage)
