"""`daybook replay`: give a consumer its history."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from backbone import clock
from backbone.journal import Span
from ops import gap
from ops.cli.options import AsJson, Stage
from ops.cli.printing import fail, note, number_of_events
from ops.cli.reaching import connected
from ops.drawing import plain
from ops.errors import OperatorError
from ops.subscriptions import listens_since

EXAMPLES = """
**Examples**

- `daybook replay --to reserve-stock --missing`
- `daybook replay --to reserve-stock --missing --since 3d --apply --stage prod`
- `daybook replay --to reserve-stock --missing --json | jq .events`
"""


def replay(
    *,
    to: Annotated[str, typer.Option("--to", metavar="CONSUMER", help="To which consumer: `reserve-stock`.")],
    missing: Annotated[
        bool, typer.Option("--missing", help="What it subscribes to, and never got. Must be said.")
    ] = False,
    stage: Stage = "dev",
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Recorded from then on: `3d` ago, or RFC 3339. All, unless given."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recorded before then; until 5 minutes ago unless given.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a consumer its history: events of the past, put into its queue as its rule would have put them.

    `--missing` are those events that it subscribes to and that the ledger has no row of at this consumer: what was
    recorded while its service was not deployed, or before there was one. Without `--apply` you are told what they are,
    and nothing is changed. To repeat it does no harm: what a consumer has done, it does not do again.

    "All" is what was recorded since the store's table was made; for a table restored from a backup say `--since`.

    Exit code 1: not all could be delivered.
    """
    with connected(stage) as connection:
        if not missing:
            msg = "say which events to replay: --missing, those that the consumer never got"
            raise OperatorError(msg)
        span = gap.span(connection, since, until, datetime.now(UTC))
        events = gap.gap(connection, to, span.since, span.until)
        summary = gap.Summary(listens_since(connection, to))
        failures = []
        with Console(stderr=True).status("reading the journal …") as status:
            for outcome in gap.deliver(connection, to, events) if apply else map(gap.Outcome, events):
                if outcome.delivered:
                    summary.add(outcome.event)
                    status.update(f"{number_of_events(summary.events)}, up to {outcome.event.recorded_at[:19]}Z …")
                else:
                    failures.append(outcome)
        if as_json:
            typer.echo(json.dumps(_as_data(to, span, summary, failures, applied=apply)))
        else:
            _tell(to, span, summary, applied=apply)
        for failure in failures:
            event = failure.event
            note(f"{event.type} {event.stream} #{event.sequence} ({event.id}) was not delivered: {failure.error}")
        if failures:
            fail(f"{number_of_events(len(failures))} could not be delivered; repeat the command for those", exit_code=1)


def _tell(to: str, span: Span, summary: gap.Summary, *, applied: bool) -> None:
    """Say what was found, or done."""
    looked = f"recorded from {_second(span.since)} to {_second(span.until)}"
    if not summary.events:
        typer.echo(f"Nothing is missing at {to} of what was {looked}.")
        return
    types = ", ".join(f"{times} {plain(name)}" for name, times in sorted(summary.by_type.items()))
    number = number_of_events(summary.events)
    told = f"{number} ({types}), the oldest of {summary.oldest}, the newest of {summary.newest}"
    if applied:
        typer.echo(f"Delivered to {to}: {told}.")
        return
    typer.echo(f"Missing at {to}, of what was {looked}: {told}.")
    if summary.fresh:
        typer.echo(
            f"{number_of_events(summary.fresh)} of these came since {to} listens ({_second(summary.listens_since)}), "
            "and may be on the way to it; a second delivery does no harm."
        )
    typer.echo("Nothing was changed. To deliver them, repeat the command with --apply.")


def _as_data(
    to: str, span: Span, summary: gap.Summary, failures: list[gap.Outcome], *, applied: bool
) -> dict[str, object]:
    return {
        "to": to,
        "since": clock.timestamp(span.since),
        "until": clock.timestamp(span.until),
        "listens_since": clock.timestamp(summary.listens_since),
        "events": summary.events,
        "by_type": dict(summary.by_type),
        "since_it_listens": summary.fresh,
        "oldest": summary.oldest,
        "newest": summary.newest,
        "applied": applied,
        "not_delivered": [{"id": failure.event.id, "error": failure.error} for failure in failures],
    }


def _second(moment: datetime) -> str:
    return f"{clock.timestamp(moment)[:19]}Z"
