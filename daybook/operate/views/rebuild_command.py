"""`daybook rebuild`: make a view anew from the store."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from daybook.operate import missing_events as gap
from daybook.operate.cli.interruption import INTERRUPTED
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import fail, number_of_events
from daybook.operate.cli.reaching import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import plain
from daybook.operate.views import rebuild as rebuilding
from daybook.operate.views.views import View
from daybook.store.journal import Span

EXAMPLES = """
**Examples**

- `daybook rebuild order-status`
- `daybook rebuild order-status --apply --stage prod`
- `daybook rebuild account-days --anew --apply` after one that was killed
- `daybook rebuild account-days --abandon --apply`
"""

ViewName = Annotated[str, typer.Argument(metavar="VIEW", help="The view, named as its table: `order-status`.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="From what was recorded then on. All, unless given: since the store's table was made, which for one that "
        "was restored from a backup is too late.",
    ),
]


def rebuild(
    view: ViewName,
    *,
    stage: Stage = "dev",
    since: Since = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin again, though another rebuild is under way or was stopped.")
    ] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up the rebuild that was stopped.")] = False,
    reason: Reason = "",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Make a view anew from the events in the store, as its deployed functions map them.

    Events keep coming in meanwhile, and readers notice nothing: they see the old view until the new one is complete,
    and then that at once. A rebuild that fails or is stopped leaves the old view as it is. It takes at least twice as
    long as one of the view's functions may run, since it waits for those that have begun before.

    What is dead, discarded, or not handled yet is not part of a view. Whether one is needed, `daybook verify` says.

    Exit code 1: the rebuild was abandoned meanwhile, or there is none to abandon.
    """
    with connected(stage) as connection:
        found = View.named(connection, view)
        if abandon:
            _abandon(found, reason, apply=apply)
            return
        start = gap.span(connection, since, None, datetime.now(UTC)).since
        if not apply:
            _foretell(connection, found, start, as_json=as_json)
            return
        began = time.monotonic()
        with Console(stderr=True).status("beginning …") as status:
            try:
                done = rebuilding.rebuild(found, start, reason=reason, anew=anew, tell=status.update)
            except KeyboardInterrupt:
                fail(
                    f"stopped; whether the new view is live tells: daybook verify {view} --stage {stage}",
                    exit_code=INTERRUPTED,
                )
        seconds = time.monotonic() - began
        if as_json:
            told = {"view": view, "generation": done.generation, "events": done.events, "deleted": done.deleted}
            typer.echo(json.dumps({**told, "seconds": round(seconds, 1)}))
        else:
            typer.echo(
                f"{plain(view)} was made anew from {number_of_events(done.events)} in {seconds:.0f} s, and is live; "
                f"{done.deleted} rows of before were deleted."
            )


def _abandon(view: View, reason: str, *, apply: bool) -> None:
    if not apply:
        typer.echo(
            f"Would give up the rebuild of {plain(view.name)}; people read the view from before. "
            "To do it, repeat with --apply."
        )
        return
    rebuilding.abandon(view, reason=reason)
    typer.echo(f"The rebuild of {plain(view.name)} was given up. The next one deletes what it has left.")


def _foretell(connection: Connection, view: View, start: datetime, *, as_json: bool) -> None:
    span = Span(start, gap.complete(connection, datetime.now(UTC)))
    by_type: Counter[str] = Counter()
    with Console(stderr=True).status("reading the journal …") as status:
        for hour in reversed(list(span.hours())):
            for counted in connection.each(lambda bucket: Counter(e.type for e in view.lines(bucket, span)), hour):
                by_type += counted
            status.update(f"{number_of_events(by_type.total())}, up to {hour[0][:13]}h …")
    if as_json:
        told = {"view": view.name, "events": by_type.total(), "by_type": dict(by_type), "keepers": list(view.keepers)}
        typer.echo(json.dumps({**told, "applied": False}))
        return
    types = ", ".join(f"{times} {plain(name)}" for name, times in sorted(by_type.items())) or "none"
    typer.echo(
        f"Would make {plain(view.name)} anew from {number_of_events(by_type.total())} ({types}), as "
        f"{', '.join(view.keepers)} map them. Readers see the view as it is until the new one is complete. "
        f"It takes at least {2 * view.longest} s. Nothing was changed. To do it, repeat with --apply."
    )
