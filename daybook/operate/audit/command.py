"""`daybook audit`: export the history, and check that it is complete."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate import missing_events, moments
from daybook.operate.audit import check as checking
from daybook.operate.audit import export as exporting
from daybook.operate.audit.findings import Difference, Findings
from daybook.operate.cli.operation import progress
from daybook.operate.cli.options import AsJson, Commands, Since, Stage, Until
from daybook.operate.cli.printing import answer, note
from daybook.operate.cli.stage import connected
from daybook.operate.drawing import number_of
from daybook.operate.terminal import safe_json
from daybook.store.journal import Span

EXPORT_EXAMPLES = """
**Examples**

- `daybook audit export --to history.jsonl.gz --stage prod`
- `daybook audit export --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z --to march.jsonl.gz`
- `daybook audit export --since 1h --to - | jq -r .metadata.type | sort | uniq -c`
"""

CHECK_EXAMPLES = """
**Examples**

- `daybook audit check --stage prod`
- `daybook audit check --since 7d --settled 6h`
- `daybook audit check --since 3h --settled 0s` (right after a repair)
- `daybook audit check --json | jq -r 'select(.kind == "undelivered") | .consumer' | sort | uniq -c`
"""

# The number of events between two updates of the progress.
_STEP = 500
_MAX_SHOWN = 100  # differences
_STATES = ("committed", "dead", "discarded", "open", "in a blocked stream", "set aside by publish")

app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def audit() -> None:
    """Export the history, and check that it is complete and that every consumer has received it."""


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The gzip file to write, for example `history.jsonl.gz`; `-` for standard output.",
        ),
    ],
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Export the complete history to a file: one event per line as JSON, in the order of recording.

    **The file contains personal data.** Only its owner may read it (mode 0600); give it only to persons who may read
    the data. Each line is an event as it is stored: `metadata`, `data` (the stored JSON text), `source`, `writer`,
    `previous`, `hash`, `proof`. To check a line, remove `hash` and `proof` from the object: the SHA-256 of the rest, as
    JSON in UTF-8 with sorted keys and without spaces, must equal `hash`. `previous` must equal the `hash` of the event
    before it in the stream.

    The same period gives the same bytes. The file appears when it is complete: after Ctrl-C or an error there is no
    file. By default, the export starts at the creation of the store's table; for a table restored from a backup, use
    `--since`. With `--to -`, plain lines go to standard output.

    Exit code 1: events of the journal are not in the store. See `daybook audit check`.
    """
    with connected(stage) as connection:
        now = datetime.now(UTC)
        span = missing_events.span(connection, since, until, now)
        complete = missing_events.complete(connection, now)
        if span.until > complete:
            span = Span(min(span.since, complete), complete)
            note(f"The journal is complete up to {clock.timestamp(complete)}; the export ends there")
        history = exporting.events(connection, span)
        interrupted = "Interrupted: no file was written. Repeat the command to start again"
        with progress("reading the journal", lambda: interrupted) as update:
            events = _counted(history, update)
            if to == "-":
                for event in events:
                    typer.echo(safe_json(exporting.line(event)))
                return
            done = exporting.write(events, Path(to), force=force)
        ends = {"since": clock.timestamp(span.since), "until": clock.timestamp(span.until)}
        answer(
            {"file": to, "events": done.events, "sha256": done.sha256, **ends},
            f"Exported {number_of(done.events)}, recorded from {ends['since']} to {ends['until']}, to {to}",
            f"sha256 {done.sha256}",
            "The file contains personal data. Only its owner may read it.",
            as_json=as_json,
        )


@app.command(epilog=CHECK_EXAMPLES)
def check(
    *,
    since: Since = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events recorded before this time. Default: all.")
    ] = None,
    settled: Annotated[
        str,
        typer.Option(
            metavar="AGE",
            help="Events younger than this count as open if they have no final status. Right after a repair, use `0s`.",
        ),
    ] = "1h",
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Check that the history is complete and that every consumer has received it.

    **Store.** Each stream has the sequence numbers 1, 2, 3 and so on without a gap. The hash of each event matches its
    content, and links to the event before it. Each event is proven by the function that has recorded it. No event was
    recorded before its predecessor. The journal finds all
    events. Items that are not events are listed.

    **Ledger.** Each event has an origin. Each event that was admitted, processed or emitted is in the store: this finds
    streams whose end was deleted. Each discarded event has a recorded operation.

    **Consumers.** Each event was published. Each consumer that subscribed to it at that time has a final processing
    status of it: committed, dead or discarded. Dead events (see `daybook dead`), and the events after them in blocked
    streams of ordered consumers, are no difference.

    Events younger than `--settled`, by default one hour, count as open if they have no final status, and are no
    difference. **Right after a repair, use `--settled 0s`** when the queues are empty (`daybook status`): otherwise
    the events of the last hour are not checked.

    The command reads both tables completely, which takes time and has a cost. It changes nothing. Events that are
    recorded during the check are no difference. With `--json`, prints one object per difference, and a last one with
    the counts.

    Exit code 1: there are differences.
    """
    with connected(stage) as connection:
        now = datetime.now(UTC)
        scope = checking.Scope(
            since=moments.moment(since, now) if since else None,
            until=moments.moment(until, now) if until else None,
            settled=moments.moment(settled, now),
        )
        shown: list[Difference] = []

        def report(difference: Difference) -> None:
            if as_json:
                answer(asdict(difference), as_json=True)
            elif len(shown) < _MAX_SHOWN:
                shown.append(difference)

        with progress("reading the store", lambda: "Interrupted: the check is not complete") as update:
            found = checking.check(connection, scope, report=report, progress=lambda so_far: update(_how_far(so_far)))
        data = {"checked": dict(found.counts), "differences": dict(found.differences)}
        answer(data, *_summary(found, shown), as_json=as_json)
        if found.differences:
            raise typer.Exit(1)


def _summary(found: Findings, shown: list[Difference]) -> Iterator[str]:
    number = found.counts
    statuses = ", ".join(f"{number[state]} {state}" for state in _STATES if number[state]) or "none"
    yield f"Checked {number_of(number['events'])} of {number['streams']} streams, with all hashes,"
    yield f"and {number['rows']} rows of the ledger. Processing statuses: {statuses}."
    for difference in shown:
        yield f"{difference.kind:11}  {difference.where}: {difference.text}".replace("  : ", "  ")
    differences = found.differences.total()
    if not differences:
        yield "Nothing is missing, changed or undelivered."
        return
    if differences > len(shown):
        yield f"… and {differences - len(shown)} more; --json prints all"
    by_kind = ", ".join(f"{times} {kind}" for kind, times in sorted(found.differences.items()))
    yield f"{differences} differences ({by_kind}). For the meaning of each kind, see docs/runbook.md#audit"


def _how_far(findings: Findings) -> str:
    counts = findings.counts
    rows = f", {counts['rows']} rows of the ledger" if counts["rows"] else ""
    return f"{number_of(counts['events'])}{rows}, {findings.differences.total()} differences"


def _counted(history: Iterable[Envelope], update: Callable[[str], None]) -> Iterator[Envelope]:
    """The same events, while the progress is shown."""
    for count, event in enumerate(history, 1):
        yield event
        if count % _STEP == 0:
            update(f"{number_of(count)}, up to {event.metadata.recorded_at[:19]}Z")
