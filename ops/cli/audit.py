"""`daybook audit`: the history as a file, and whether it is whole."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from backbone import clock
from backbone.envelope import Envelope
from backbone.journal import Span
from ops import gap
from ops.audit import export as exporting
from ops.cli.options import AsJson, Stage
from ops.cli.printing import fail, note, number_of_events
from ops.cli.reaching import connected

EXPORT_EXAMPLES = """
**Examples**

- `daybook audit export --to history.jsonl.gz --stage prod`
- `daybook audit export --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z --to march.jsonl.gz`
- `daybook audit export --since 1h --to - | jq -r .metadata.type | sort | uniq -c`
"""

_INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended
# The progress is told each time that so many events were written.
_STEP = 500

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def audit() -> None:
    """Take the history out as a file, and check that it is whole and that everybody has got it."""


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="A new gzip file, `history.jsonl.gz`; `-` is standard output.")
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Recorded from then on: `3d` ago, or RFC 3339. All, unless given."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recorded before then; until 5 minutes ago unless given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of this name.")] = False,
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Write the complete history, event by event in the order of recording, one JSON object a line.

    **The file holds personal data**, all that events hold: only its owner may read it (mode 0600), and whoever gets it
    must be allowed to. Each line is an event as it is stored: `metadata`, `data` (the stored JSON text), `source`,
    `previous`, `hash`. To check it, take `hash` out of the object: the SHA-256 of the rest, as JSON in UTF-8 with sorted
    keys and without spaces, must be it; and `previous` must be the `hash` of the event before it in the stream.

    The same span gives the same bytes. The file is there once it is complete; Ctrl-C or an error leaves none. "All" is
    what was recorded since the store's table was made; for a table restored from a backup say `--since`. With `--to -`
    plain lines go to standard output, and what else is told goes to standard error.

    Exit code 1: the store lacks events that the journal names. See `daybook audit check`.
    """
    with connected(stage) as connection:
        now = datetime.now(UTC)
        span = gap.span(connection, since, until, now)
        complete = gap.complete(connection, now)
        if span.until > complete:
            span = Span(min(span.since, complete), complete)
            note(f"The journal is sure to be complete up to {clock.timestamp(complete)}; the history ends there")
        try:
            with Console(stderr=True).status("reading the journal …") as status:
                tell = _progress(status.update)
                if to == "-":
                    for event in exporting.events(connection, span):
                        typer.echo(exporting.line(event))
                        tell(event)
                    return
                done = exporting.write(exporting.events(connection, span), Path(to), force=force, written=tell)
        except KeyboardInterrupt:
            fail("interrupted: no file was left; repeat the command to begin again", exit_code=_INTERRUPTED)
        told = {"since": clock.timestamp(span.since), "until": clock.timestamp(span.until)}
        if as_json:
            typer.echo(json.dumps({"file": to, "events": done.events, "sha256": done.sha256, **told}))
            return
        typer.echo(f"{number_of_events(done.events)}, recorded from {told['since']} to {told['until']}, are in {to}")
        typer.echo(f"sha256 {done.sha256}")
        typer.echo("It holds personal data; only its owner may read it.")


def _progress(update: Callable[[str], None]) -> Callable[[Envelope], None]:
    count = 0

    def tell(event: Envelope) -> None:
        nonlocal count
        count += 1
        if count % _STEP == 0:
            update(f"{number_of_events(count)}, up to {event.metadata.recorded_at[:19]}Z …")

    return tell
