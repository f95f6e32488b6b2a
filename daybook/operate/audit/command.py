"""`daybook audit`: the history as a file, and whether it is complete."""

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
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import number_of
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
_MOST_SHOWN = 100  # differences
_STATES = ("committed", "dead", "discarded", "open", "in a blocked stream", "set aside by publish")

app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def audit() -> None:
    """Export the history as a file, and check that it is complete and that every consumer has received it."""


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="A new gzip file, `history.jsonl.gz`; `-` is standard output.")
    ],
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of this name.")] = False,
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Write the complete history, event by event in the order of recording, one JSON object a line.

    **The file holds personal data**, all that events hold: only its owner may read it (mode 0600), and the person who
    receives it must be allowed to. Each line is an event as it is stored: `metadata`, `data` (the stored JSON text),
    `source`, `previous`, `hash`. To check it, take `hash` out of the object: the SHA-256 of the rest, as JSON in UTF-8
    with sorted keys and without spaces, must equal it; and `previous` must be the `hash` of the event before it in the
    stream.

    The same span gives the same bytes. The file appears once it is complete; Ctrl-C or an error leaves none. "All" is
    what was recorded since the store's table was created; for a table restored from a backup give `--since`. With
    `--to -` plain lines go to standard output, and messages go to standard error.

    Exit code 1: the store lacks events that the journal names. See `daybook audit check`.
    """
    with connected(stage) as connection:
        now = datetime.now(UTC)
        span = missing_events.span(connection, since, until, now)
        complete = missing_events.complete(connection, now)
        if span.until > complete:
            span = Span(min(span.since, complete), complete)
            note(f"The journal is sure to be complete up to {clock.timestamp(complete)}; the history ends there")
        history = exporting.events(connection, span)
        interrupted = "Interrupted: no file was left; repeat the command to begin again"
        with progress("reading the journal", lambda: interrupted) as update:
            events = _counted(history, update)
            if to == "-":
                for event in events:
                    typer.echo(exporting.line(event))
                return
            done = exporting.write(events, Path(to), force=force)
        ends = {"since": clock.timestamp(span.since), "until": clock.timestamp(span.until)}
        answer(
            {"file": to, "events": done.events, "sha256": done.sha256, **ends},
            f"{number_of(done.events)}, recorded from {ends['since']} to {ends['until']}, are in {to}",
            f"sha256 {done.sha256}",
            "It holds personal data; only its owner may read it.",
            as_json=as_json,
        )


@app.command(epilog=CHECK_EXAMPLES)
def check(
    *,
    since: Since = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recorded before then; up to the newest unless given.")
    ] = None,
    settled: Annotated[
        str,
        typer.Option(
            metavar="AGE",
            help="Younger events may still be under way, and count as open: `1h`. Right after a repair use `0s`.",
        ),
    ] = "1h",
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Check that the history is complete and that every consumer has received it.

    **Store.** Each stream has the sequences 1, 2, 3 … without a gap; each event fits its hash, and names the hash of
    the one before it; none was recorded before its predecessor; all stand where the journal finds them. Items that are
    no events are listed.

    **Ledger.** Each event has an origin, and every event that was admitted, processed or emitted is in the store: this
    finds a stream that was cut off at its end, or deleted. Every discarded event names an operation that is recorded.

    **Consumers.** Each event was published, and each consumer that subscribes to it, and listened then, has a
    processing status of it: committed, dead or discarded. A dead event is no difference, see `daybook dead`, nor are
    the events behind it in a blocked stream of an ordered consumer.

    Events younger than `--settled`, an hour by default, count as open where they have no final status, and are no
    difference. **Right after a repair use `--settled 0s`**, once nothing waits in the queues (`daybook status`): else
    events of that hour are not judged, and a check that finds nothing proves nothing of their repair.

    Both tables are read from end to end, some items of them twice; that takes long and costs what reading them costs.
    Nothing is changed. Events that are recorded meanwhile are no difference. With `--json`, one object for each
    difference, and a last one with the counts.

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
            elif len(shown) < _MOST_SHOWN:
                shown.append(difference)

        with progress("reading the store", lambda: "Interrupted: not all was checked; nothing was changed") as update:
            found = checking.check(connection, scope, report=report, progress=lambda so_far: update(_how_far(so_far)))
        data = {"checked": dict(found.counts), "differences": dict(found.differences)}
        answer(data, *_summary(found, shown), as_json=as_json)
        if found.differences:
            raise typer.Exit(1)


def _summary(found: Findings, shown: list[Difference]) -> Iterator[str]:
    """What was checked, and what is not as it should be."""
    number = found.counts
    statuses = ", ".join(f"{number[state]} {state}" for state in _STATES if number[state]) or "none"
    yield f"Checked {number_of(number['events'])} of {number['streams']} streams, each hash computed again,"
    yield f"and {number['rows']} rows of the ledger. The processing statuses of the events: {statuses}."
    for difference in shown:
        yield f"{difference.kind:11}  {difference.where}: {difference.text}".replace("  : ", "  ")
    differences = found.differences.total()
    if not differences:
        yield "Nothing is missing, changed or undelivered."
        return
    if differences > len(shown):
        yield f"… and {differences - len(shown)} more; --json prints all"
    by_kind = ", ".join(f"{times} {kind}" for kind, times in sorted(found.differences.items()))
    yield f"{differences} differences ({by_kind}). What each means: docs/runbook.md#audit"


def _how_far(findings: Findings) -> str:
    counts = findings.counts
    rows = f", {counts['rows']} rows of the ledger" if counts["rows"] else ""
    return f"{number_of(counts['events'])}{rows}, {findings.differences.total()} differences"


def _counted(history: Iterable[Envelope], update: Callable[[str], None]) -> Iterator[Envelope]:
    """The same events; meanwhile the progress is shown."""
    for count, event in enumerate(history, 1):
        yield event
        if count % _STEP == 0:
            update(f"{number_of(count)}, up to {event.metadata.recorded_at[:19]}Z")
