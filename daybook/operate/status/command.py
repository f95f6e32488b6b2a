"""`daybook status`: show the status of the consumers."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from daybook.consumers.switch import BreakerState
from daybook.contracts import clock
from daybook.operate.cli.operation import progress
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, console
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import table
from daybook.operate.pause.pause import NoSuchConsumer
from daybook.operate.status.status import ADMIT, PUBLISH, RECORD_DEAD_LETTERS, Status, next_steps, status
from daybook.operate.terminal import plain

EXAMPLES = """
**Examples**

- `daybook status`
- `daybook status charge-order refund-order --watch --stage prod`
- `daybook status --all --stage prod`
- `daybook status --check && echo ok`
- `daybook status --json | jq -r 'select(.needs | length > 0) | .consumer'`
"""

_REFRESH = 2.0  # seconds
_COLUMNS = (
    "consumer",
    "waiting",
    "in flight",
    "delayed",
    "oldest",
    "per minute",
    "dead",
    "blocked",
    "state",
    "last error",
)
_NUMBERS = _COLUMNS[1:8]


def show_status(
    consumers: Annotated[
        list[str] | None, typer.Argument(metavar="[CONSUMER]...", help="Show only these consumers.")
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every 2 seconds until Ctrl-C.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also show idle consumers and empty columns.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with code 1 if anything needs attention.")] = False,
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Show the status of the consumers: waiting messages, the age of the oldest message, events per minute, dead
    letters, paused consumers, and open circuit breakers. Consumers that need attention come first, and the last lines
    are the next steps. Idle consumers are only counted, unless you name them or use `--all`.

    Ages and rates are CloudWatch metrics of the last 5 minutes. If there are none, they are computed from the newest
    events of the last 5 minutes. With `--json`, prints one object per line.

    Exit code 1, with `--check`: something needs attention.
    """
    if watch and (as_json or check):
        raise typer.BadParameter("--watch cannot be used with --json or --check")
    with connected(stage) as connection:
        if watch:
            keep_showing(connection, consumers or [], everything=everything)
            return
        with progress("reading"):
            found = _found(connection, consumers or [])
        for each in found if as_json else ():
            answer(as_data(each), as_json=True)
        if not as_json:
            console().print(_view(found, connection.stage, everything=everything or bool(consumers)))
        if check and any(each.needs for each in found):
            raise typer.Exit(1)


def as_data(each: Status) -> dict[str, object]:
    """The status of a consumer as JSON data."""
    switch = each.switch
    return {
        "consumer": each.consumer,
        "kind": each.kind,
        "waiting": each.waiting,
        "in_flight": each.in_flight,
        "delayed": each.delayed,
        "oldest_seconds": None if each.oldest is None else round(each.oldest, 1),
        "committed_per_minute": None if each.rate is None else round(each.rate, 1),
        "dead": each.dead,
        "blocked_streams": each.blocked,
        "lag_ms": each.lag,
        "mappings": list(each.mappings),
        "paused": asdict(switch.paused) if switch.paused else None,
        "breaker": str(each.breaker),
        "opened_at": switch.opened_at if switch.opened else None,
        "retry_at": switch.retry_at if switch.opened else None,
        "last_error": each.last_error,
        "needs": each.needs,
    }


def _found(connection: Connection, wanted: list[str]) -> list[Status]:
    found = status(connection, wanted)
    missing = set(wanted) - {each.consumer for each in found}
    for name in sorted(missing):
        raise NoSuchConsumer(name, connection.stage, [each.consumer for each in status(connection)])
    return found


def keep_showing(connection: Connection, wanted: list[str], *, everything: bool = False) -> None:
    """Show the status, and refresh it every 2 seconds until Ctrl-C."""
    try:
        with Live(Text("loading …"), console=console(), auto_refresh=False) as live:
            while True:
                moment = Text(f"{clock.now()[:19]}Z, Ctrl-C to quit", style="dim")
                drawn = _view(_found(connection, wanted), connection.stage, everything=everything or bool(wanted))
                live.update(Group(drawn, moment), refresh=True)
                time.sleep(_REFRESH)
    except KeyboardInterrupt:
        return


def _view(found: list[Status], stage: str, *, everything: bool) -> RenderableType:
    own = [each for each in found if each.consumer not in {PUBLISH, RECORD_DEAD_LETTERS}]
    shown = [each for each in own if everything or not each.idle]
    return Group(*_parts(own, shown, found, stage, everything=everything))


def _parts(
    own: list[Status], shown: list[Status], found: list[Status], stage: str, *, everything: bool
) -> Iterator[RenderableType]:
    if shown:
        rows = list(map(_row, shown))
        kept = [column for column in range(len(_COLUMNS)) if everything or any(row[column] != "" for row in rows)]
        cells = [[row[column] for column in kept] for row in rows]
        yield table(f"Consumers of {stage}", [_COLUMNS[column] for column in kept], cells, numbers=_NUMBERS)
    if idle := len(own) - len(shown):
        subject = f"{'other' if shown else 'consumer'}{' is' if idle == 1 else 's are'}"
        yield Text(f"{idle} {subject} idle; --all shows them", style="dim")
    if backbone := [_backbone_line(each) for each in found if each not in own]:
        yield Text("; ".join(backbone))
    steps = next_steps(found, stage)
    yield Text("Needs attention:", style="bold") if steps else Text("Nothing needs attention.", style="green")
    yield from (Text(f"  {step}") for step in steps)


def _row(each: Status) -> tuple[object, ...]:
    name = f"{each.consumer} (ingress)" if each.consumer == ADMIT else each.consumer
    rate = "" if each.rate is None else f"{each.rate:.1f}"
    counts = (each.waiting or "", each.in_flight or "", each.delayed or "")
    return (
        name,
        *counts,
        _age(each.oldest),
        rate,
        each.dead or "",
        each.blocked or "",
        _state(each),
        plain(each.last_error),
    )


def _state(each: Status) -> str:
    """Why it receives no messages, and since when; empty if it receives messages."""
    reasons = []
    if paused := each.switch.paused:
        reasons.append(f"paused by {plain(paused.by)} since {paused.since[:16]}Z")
    if each.breaker is BreakerState.OPEN:
        reasons.append(f"breaker open since {each.switch.opened_at[:16]}Z, next try at {each.switch.retry_at[11:19]}Z")
    elif each.breaker is BreakerState.HALF_OPEN:
        reasons.append(f"breaker open since {each.switch.opened_at[:16]}Z, trying now")
    if not reasons and any(state != "Enabled" for state in each.mappings):
        reasons.append(", ".join(state.lower() for state in each.mappings))
    return "; ".join(reasons)


def _backbone_line(each: Status) -> str:
    if each.consumer == RECORD_DEAD_LETTERS:
        return f"record-dead-letters: {each.on_the_way or 'no'} dead letters to record"
    lag = "" if each.lag is None else f", {each.lag / 1000:.1f} s lag"
    state = _state(each)
    return f"publish: {state or 'on'}{lag}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"  # noqa: PLR2004 - two hours
