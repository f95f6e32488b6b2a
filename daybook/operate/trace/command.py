"""`daybook trace`: follow events through every service."""

import json
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, is_fresh, note_that_the_index_lags
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import draw
from daybook.operate.trace.trace import Journey

EXAMPLES = """
**Examples**

- `daybook trace order/1001`
- `daybook trace 954ee5d5-d2e0-81b7-909d-26244858827d --data --stage prod`
- `daybook trace order/1001 --json | jq '.events[] | select(.deliveries[].state == "waiting") | .id'`
"""


def trace(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A stream (`order/1001`), or the id of an event or of a story.")
    ],
    *,
    stage: Stage = "dev",
    with_data: Annotated[
        bool, typer.Option("--data", help="Show the events' data too. What is about a person shows as •••.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=2000, help="At most so many events of the stream, and of each story.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Follow events through every service: who has handled them, what came of that, and what is still to come.

    Of a stream you see its newest events and the stories they belong to; of an event or story, the whole story. Under
    each event stand its consumers, with what the ledger says of them, and under these the events they emitted. A
    consumer that subscribes and has not handled the event yet is shown as *waiting*. Times count from the first event
    of the story.

    Exit code 1: nothing is known of it.
    """
    with connected(stage) as connection:
        journey = Journey.of(connection, what, most=limit)
        if as_json:
            typer.echo(json.dumps(journey.as_data(with_data=with_data), indent=2))
        else:
            draw(journey, console(), with_data=with_data)
        if any(is_fresh(step.event.metadata.recorded_at) for step in journey.steps):
            note_that_the_index_lags(stage)
