"""`daybook verify`: hold a view against the store."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from daybook.operate import missing_events as gap
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import fail, number_of_events
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import plain
from daybook.operate.views import verify as verifying
from daybook.operate.views.rebuild_command import Since, ViewName
from daybook.operate.views.verify import Difference, Verified
from daybook.operate.views.views import View

EXAMPLES = """
**Examples**

- `daybook verify order-status`
- `daybook verify order-status --json | jq -r .key`
- `daybook verify order-status --reveal --stage prod`
"""

_MOST_TOLD = 50


def verify(
    view: ViewName,
    *,
    stage: Stage = "dev",
    since: Since = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show what is there and what should be; it may be about people.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compute a view afresh from the store, as its deployed functions map events, and compare it with the live one.

    Changes nothing. All rows are held in memory. What is dead, discarded, or not handled yet is not part of a view, and
    is counted. Events keep coming in meanwhile: what differs is looked at again, and a row that keeps changing is told
    as busy. With `--json`, one object a difference, then one of the whole.

    Exit code 1: something differs; `daybook rebuild` mends it.
    """
    with connected(stage) as connection:
        found = View.named(connection, view)
        start = gap.span(connection, since, None, datetime.now(UTC)).since
        with Console(stderr=True).status("reading the journal …") as status:
            verified = verifying.verify(found, start, tell=status.update)
        for difference in verified.differences if as_json else verified.differences[:_MOST_TOLD]:
            typer.echo(json.dumps(_data(difference, reveal=reveal)) if as_json else _line(difference, reveal=reveal))
        if as_json:
            typer.echo(json.dumps(_summary(view, verified)))
        else:
            _tell(view, verified)
        if verified.differences:
            fail(
                f"{len(verified.differences)} rows differ from what the store says; "
                f"to mend them: daybook rebuild {view} --apply --stage {stage}",
                exit_code=1,
            )


def _line(difference: Difference, *, reveal: bool) -> str:
    if difference.what != "differs":
        return f"{plain(difference.key)}  {difference.what}"
    if not reveal:
        return f"{plain(difference.key)}  differs in {', '.join(map(plain, difference.fields))}"
    fields = (f"{name} is {is_!r} and should be {should!r}" for name, (is_, should) in difference.fields.items())
    return plain(f"{difference.key}  {'; '.join(fields)}")


def _data(difference: Difference, *, reveal: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"key": difference.key, "what": difference.what, "fields": list(difference.fields)}
    if reveal:
        told["values"] = {name: {"is": str(a), "should_be": str(b)} for name, (a, b) in difference.fields.items()}
    return told


def _summary(view: str, verified: Verified) -> dict[str, Any]:
    told = {"view": view, "rows": verified.rows, "events": verified.events, "differences": len(verified.differences)}
    return {**told, "busy": verified.busy, "left_out": dict(verified.left_out)}


def _tell(view: str, verified: Verified) -> None:
    if len(verified.differences) > _MOST_TOLD:
        typer.echo(f"… and {len(verified.differences) - _MOST_TOLD} more (--json tells all)")
    well = "" if verified.differences else ": each is as the store says"
    typer.echo(
        f"{plain(view)}: {verified.rows} rows, made from {number_of_events(verified.events)}, were looked at{well}."
    )
    if verified.left_out:
        left = ", ".join(f"{number} {plain(state)}" for state, number in sorted(verified.left_out.items()))
        typer.echo(f"Not in the view: {left}.")
    if verified.busy:
        typer.echo(f"{len(verified.busy)} rows kept changing, and were not compared to the end.")
