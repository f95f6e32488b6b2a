"""`daybook rebuild`: rebuild a view from the store."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.operate import missing_events
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.reaching import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import number_of
from daybook.operate.operation import because
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
        help="From events recorded then or later. All, unless given: since the store's table was created, which is "
        "too late for one that was restored from a backup.",
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
    abandon: Annotated[bool, typer.Option("--abandon", help="Abandon the rebuild that was stopped.")] = False,
    reason: Reason = "",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a view from the events in the store, as its deployed functions map them.

    Events keep arriving meanwhile, and readers notice nothing: they see the old view until the new one is complete, and
    then the new one at once. A rebuild that fails or is stopped leaves the old view as it is. It takes at least twice
    as long as one of the view's functions may run, since it waits for invocations that began before.

    Events that are dead, discarded, or not processed yet are not part of a view. `daybook verify` says whether a
    rebuild is needed.

    Exit code 1: the rebuild was abandoned meanwhile, or there is none to abandon.
    """
    with connected(stage) as connection:
        because(reason, required=False)
        found = View.named(connection, view)
        if abandon:
            if apply:
                rebuilding.abandon(found, reason=reason)
                done = f"The rebuild of {view} is abandoned. The next one deletes the rows that it has left."
                report({"view": view}, done, as_json=as_json)
            else:
                would = f"Would abandon the rebuild of {view}; readers see the view from before."
                preview({"view": view}, would, as_json=as_json)
            return
        start = missing_events.span(connection, since, None, datetime.now(UTC)).since
        if not apply:
            _preview(connection, found, start, as_json=as_json)
            return
        began = time.monotonic()
        stopped = f"Interrupted; whether the new view is live is shown by: daybook verify {view} --stage {stage}"
        with progress("beginning", lambda: stopped) as update:
            result = rebuilding.rebuild(found, start, reason=reason, anew=anew, progress=update)
        seconds = time.monotonic() - began
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
        for hour in reversed(list(span.hours())):
            for counted in connection.each(lambda bucket: Counter(e.type for e in view.lines(bucket, span)), hour):
                by_type += counted
            update(f"{number_of(by_type.total())}, up to {hour[0][:13]}h")
    types = ", ".join(f"{number} {name}" for name, number in sorted(by_type.items())) or "none"
    preview(
        {"view": view.name, "events": by_type.total(), "by_type": dict(by_type), "keepers": list(view.keepers)},
        f"Would rebuild {view.name} from {number_of(by_type.total())} ({types}), as {', '.join(view.keepers)} "
        f"map them. Readers see the view as it is until the new one is complete. It takes at least "
        f"{2 * view.longest} s.",
        as_json=as_json,
    )
