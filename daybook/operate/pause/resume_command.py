"""`daybook resume`: let a consumer that was paused go on."""

import json

import typer

from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.reaching import connected
from daybook.operate.pause.command import Consumer, as_data, follow, who_paused
from daybook.operate.pause.pause import Pausing

EXAMPLES = """
**Examples**

- `daybook resume reserve-stock`
- `daybook resume reserve-stock --reason "the table is there" --apply --stage prod`
"""


def resume(
    consumer: Consumer,
    *,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Let a consumer go on that was paused: it gets all that has waited.

    An effect whose circuit breaker is open is left to that: it goes on by itself once the other side answers again. A
    consumer that was switched off by other means, in AWS's console for example, is switched on too.
    """
    with connected(stage) as connection:
        pausing = Pausing(connection, consumer)
        standing = pausing.standing()
        if not apply:
            if as_json:
                typer.echo(json.dumps(as_data(standing) | {"applied": False}))
                return
            typer.echo(f"{who_paused(standing)}.")
            if not standing.switch.paused and standing.settled:
                typer.echo("Nothing is to be done.")
                return
            typer.echo(f"Would resume {consumer}. Nothing was changed. To do it, repeat the command with --apply.")
            return
        said = pausing.resume(reason)
        standing = follow(pausing, "the consumer is switched on", stage)
        if as_json:
            typer.echo(json.dumps(as_data(standing) | {"applied": True}))
        elif standing.lets_through:
            typer.echo(f"{consumer} goes on." if said else f"{consumer} was not paused; it is switched on.")
        elif standing.switch.paused:
            typer.echo(f"{who_paused(standing)} again.")
        else:
            retry = standing.switch.retry_at[:19]
            typer.echo(
                f"{consumer} is not paused any more, but what it calls does not answer: its circuit breaker is open, "
                f"and tries again at {retry}Z. Nothing is left to do."
            )
