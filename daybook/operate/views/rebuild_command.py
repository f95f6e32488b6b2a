"""`daybook rebuild`: rebuild a view from the store."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.operate import missing_events
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import number_of
from daybook.operate.operation import check_reason
from daybook.operate.terminal import daybook
from daybook.operate.views import rebuild as rebuilding
from daybook.operate.views.views import View
from daybook.store.journal import Span

EXAMPLES = """
**Examples**

- `daybook rebuild order-status`
- `daybook rebuild order-status --apply --stage prod`
- `daybook rebuild account-days --restart --apply` (after an interrupted rebuild)
- `daybook rebuild account-days --abandon --apply`
"""

ViewName = Annotated[
    str, typer.Argument(metavar="VIEW", help="The view, named as its table, for example `order-status`.")
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only events recorded at this time or later. Default: the creation of the store's table, which is "
        "too late for a table restored from a backup.",
    ),
]


def rebuild(
    view: ViewName,
    *,
    stage: Stage = "dev",
    since: Since = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Abandon a rebuild that is in progress or was interrupted, and start again."),
    ] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Abandon the interrupted rebuild.")] = False,
    reason: Reason = "",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a view from the events in the store, as its deployed functions map them.

    New events are processed during the rebuild. Readers see the old view until the new one is complete, and then the
    new one at once. If a rebuild fails or is interrupted, the view is not changed. A rebuild takes at least twice the
    timeout of the view's functions, because it waits for running invocations.

    Events that are dead, discarded, or not processed yet are not part of a view. `daybook verify` shows whether a
    rebuild is needed.

    Exit code 1: the rebuild was abandoned by another operator, or there is no rebuild to abandon.
    """
    with connected(stage) as connection:
        check_reason(reason, required=False)
        found = View.named(connection, view)
        if abandon:
            if apply:
                rebuilding.abandon(found, reason=reason)
                done = f"The rebuild of {view} is abandoned. The next rebuild deletes its rows."
                report({"view": view}, done, as_json=as_json)
            else:
                would = f"Would abandon the rebuild of {view}. The view is not changed."
                preview({"view": view}, would, as_json=as_json)
            return
        start = missing_events.span(connection, since, None, datetime.now(UTC)).since
        if not apply:
            _preview(connection, found, start, as_json=as_json)
            return
        start_time = time.monotonic()
        stopped = f"Interrupted. Check the view with: {daybook('verify', view, stage=stage)}"
        with progress("starting", lambda: stopped) as update:
            result = rebuilding.rebuild(found, start, reason=reason, restart=restart, progress=update)
        seconds = time.monotonic() - start_time
        report(
            {
                "view": view,
                "generation": result.generation,
                "events": result.events,
                "deleted": result.deleted,
                "seconds": round(seconds, 1),
            },
            f"{view} was rebuilt from {number_of(result.events)} in {seconds:.0f} s, and is live; "
            f"{result.deleted} old rows were deleted.",
            as_json=as_json,
        )


def _preview(connection: Connection, view: View, start: datetime, *, as_json: bool) -> None:
    span = Span(start, missing_events.complete(connection, datetime.now(UTC)))
    by_type: Counter[str] = Counter()
    with progress("reading the journal") as update:
        for hour in connection.journal.hours(span, oldest_first=True):
            for counted in connection.each(lambda bucket: Counter(e.type for e in view.lines(bucket, span)), hour):
                by_type += counted
            update(f"{number_of(by_type.total())}, up to {hour[0][:13]}h")
    types = ", ".join(f"{number} {name}" for name, number in sorted(by_type.items())) or "none"
    preview(
        {"view": view.name, "events": by_type.total(), "by_type": dict(by_type), "writers": list(view.writers)},
        f"Would rebuild {view.name} from {number_of(by_type.total())} ({types}), as {', '.join(view.writers)} "
        f"map them. Readers see the old view until the new one is complete. It takes at least {2 * view.longest} s.",
        as_json=as_json,
    )
