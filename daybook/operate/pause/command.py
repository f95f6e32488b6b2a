"""`daybook pause`: stop a consumer, and let its messages wait."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from daybook.operate.cli.interruption import INTERRUPTED
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import plain
from daybook.operate.errors import OperatorError
from daybook.operate.pause.pause import BACKBONE, Pausing, Standing

EXAMPLES = """
**Examples**

- `daybook pause reserve-stock --reason "until the new stock table is there"`
- `daybook pause reserve-stock --reason "until the new stock table is there" --apply --stage prod`
"""

Consumer = Annotated[
    str, typer.Argument(metavar="CONSUMER", help="Which consumer: `reserve-stock`; or `admit`, or `publish`.")
]


def pause(
    consumer: Consumer,
    *,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Stop a consumer: it gets no messages until `daybook resume`. They wait in its queue, for 14 days at the most.

    What it is handling at the moment, it ends. All other consumers go on. Who paused it, when and why is recorded, and
    shown by `daybook status`. No deployment and no circuit breaker switches it on again. To repeat it does no harm.
    """
    with connected(stage) as connection:
        pausing = Pausing(connection, consumer)
        if not reason.strip():
            msg = 'say why, for those who find it paused: --reason "…"'
            raise OperatorError(msg)
        before = pausing.standing()
        if consumer in BACKBONE and not before.switch.paused:
            note(f"While {consumer} is paused, {BACKBONE[consumer]}.")
        if not apply:
            _tell(as_json, before, applied=False)
            if as_json:
                return
            typer.echo(f"{who_paused(before)} already." if before.switch.paused else f"Would pause {consumer}.")
            typer.echo("Nothing was changed. To do it, repeat the command with --apply.")
            return
        said = pausing.pause(reason)
        after = follow(pausing, "the consumer is switched off", stage)
        _tell(as_json, after, applied=True)
        if not as_json:
            typer.echo(f"{consumer} is paused." if said else f"{who_paused(after)} already.")
            typer.echo(f"To go on: daybook resume {consumer} --stage {stage} --apply")


def who_paused(standing: Standing) -> str:
    """Who has paused it, since when and why."""
    paused = standing.switch.paused
    if paused is None:
        return f"{standing.switch.consumer} is not paused"
    told = f"{paused.by} since {paused.since[:19]}Z: {plain(paused.reason)}"
    return f"{standing.switch.consumer} is paused by {told}".rstrip(".")


def follow(pausing: Pausing, what: str, stage: str) -> Standing:
    """Have the mappings follow, with progress; how they stand in the end."""
    standing = None
    try:
        with Console(stderr=True).status(f"{what} …") as status:
            for standing in pausing.follow():
                status.update(f"{what}: {', '.join(standing.mappings) or 'it has no mapping'} …")
    except KeyboardInterrupt:
        fail(
            "interrupted: it is recorded, and takes effect within a minute. See: daybook status", exit_code=INTERRUPTED
        )
    if standing is None:
        standing = pausing.standing()
    if not standing.mappings:
        note(f"{pausing.consumer} has no mapping between its queue and its function: nothing had to be switched.")
    elif not standing.settled:
        note(f"AWS is slow to switch it; it follows within a minute. See: daybook status --stage {stage}")
    return standing


def _tell(as_json: bool, standing: Standing, *, applied: bool) -> None:
    if as_json:
        typer.echo(json.dumps(as_data(standing) | {"applied": applied}))


def as_data(standing: Standing) -> dict[str, object]:
    """How a consumer stands, as data for programs."""
    switch = standing.switch
    return {
        "consumer": switch.consumer,
        "paused": asdict(switch.paused) if switch.paused else None,
        "breaker_open": switch.opened,
        "retry_at": switch.retry_at,
        "mappings": list(standing.mappings),
    }
