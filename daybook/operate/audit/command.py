"""`daybook audit`: export the history, and check that it is complete."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate import missing_events, moments
from daybook.operate.audit import check as checking
from daybook.operate.audit import export as exporting
from daybook.operate.audit.findings import Difference, Summary
from daybook.operate.audit.plan import Plan, Scope, store_id
from daybook.operate.audit.state_file import StateFile, unfinished
from daybook.operate.cli.operation import progress
from daybook.operate.cli.options import AsJson, Commands, Since, Stage, Until
from daybook.operate.cli.printing import answer, note
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import number_of
from daybook.operate.errors import OperatorError
from daybook.operate.terminal import daybook, safe_json
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
- `daybook audit check --resume ~/.local/state/daybook/audit-prod-20260301T093000.000000Z.db --stage prod`
- `daybook audit check --json | jq -r 'select(.kind == "undelivered") | .consumer' | sort | uniq -c`
"""

# The number of events between two updates of the progress.
_STEP = 500
_MAX_SHOWN = 100  # differences
_SETTLED = "1h"
# How far the check is, in words, by what is read.
_READ = {
    "store": "the store",
    "ledger": "the ledger",
    "emitters": "the ledger again, for missing events",
    "events": "the store again, for repeated events",
    "journal": "the journal",
    "emitters_in_journal": "the journal again, for missing events",
    "events_in_journal": "the journal again, for repeated events",
}
# What a check with --since does not find.
_NOT_CHECKED = (
    "rows of the ledger whose event the journal does not list: planted rows, events deleted at the end of a stream",
    "effect records, and the positions of ordered consumers",
    "an item of the store that the journal does not list, unless the next event of its stream is in this period",
)
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
        span = _complete_span(connection, since, until, "the export ends there")
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
    ] = _SETTLED,
    processes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processes that check in parallel. Default: one for each processor."),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="FILE", help="Continue an interrupted check.")] = None,
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

    **With `--since`** the command reads the journal of the period, and the events and rows of the ledger that belong to
    it, so its time and cost depend on the period. It does not find rows of the ledger whose event the journal does not
    list (an event that was deleted at the end of its stream, a planted row), and does not check effect records and the
    positions of ordered consumers. Without `--since` the command reads both tables completely, which takes hours and
    costs money: see docs/benchmarks.md.

    Events younger than `--settled`, by default one hour, count as open if they have no final status, and are no
    difference. **Right after a repair, use `--settled 0s`** when the queues are empty (`daybook status`): otherwise
    the events of the last hour are not checked.

    The check can be interrupted, also by a crash: it keeps its state in a file, and `--resume` goes on from there. The
    differences so far are printed again. The command changes nothing in the stage. Events that are recorded during the
    check are no difference. With `--json`, prints one object per difference, and a last one with the counts.

    Exit codes: 0 no differences; 1 there are differences; 2 the command failed; 130 interrupted by Ctrl-C.
    """
    with connected(stage) as connection:
        shown: list[Difference] = []

        def report(difference: Difference) -> None:
            if as_json:
                answer(asdict(difference), as_json=True)
            elif len(shown) < _MAX_SHOWN:
                shown.append(difference)

        with _state(connection, since, until, settled, resume) as state:
            how_far = _HowFar(state)
            with progress("reading what is deployed", how_far.stopped, how_far.stopped) as update:
                found = checking.check(
                    connection,
                    state,
                    report=report,
                    progress=lambda so_far: update(how_far.text(so_far)),
                    processes=processes or os.cpu_count() or 1,
                )
            state.delete()
        scope = state.plan.scope
        data = {"checked": dict(found.counts), "differences": dict(found.differences), **_about(scope)}
        answer(data, *_summary(found, scope, shown), as_json=as_json)
        if found.differences:
            raise typer.Exit(1)


def _state(
    connection: Connection, since: str | None, until: str | None, settled: str, resume: Path | None
) -> AbstractContextManager[StateFile]:
    """The state of a new check, or of the one in the file `resume`."""
    if resume:
        if since or until or settled != _SETTLED:
            raise OperatorError(
                "--resume continues with the period of that check; it can only be combined with --processes"
            )
        return StateFile.existing(resume, connection.stage, store_id(connection))
    for file in unfinished(connection.stage):
        note(f"A check is not complete. To continue: {_resume(file, connection.stage)}; otherwise delete the file")
    now = datetime.now(UTC)
    span = _complete_span(connection, since, until, "the check ends there") if since else None
    scope = Scope(
        since=span.since if span else None,
        until=span.until if span else moments.moment(until, now) if until else None,
        settled=moments.moment(settled, now),
    )
    return StateFile.new(Plan.of(connection, scope))


def _complete_span(connection: Connection, since: str | None, until: str | None, then: str) -> Span:
    """The period, as far as the journal is complete. Notes that it ends `then`, if it ends earlier than `until`."""
    now = datetime.now(UTC)
    span, complete = missing_events.span(connection, since, until, now), missing_events.complete(connection, now)
    if span.until <= complete:
        return span
    note(f"The journal is complete up to {clock.timestamp(complete)}; {then}")
    return Span(min(span.since, complete), complete)


def _resume(file: Path, stage: str) -> str:
    return daybook("audit", "check", resume=str(file), stage=stage)


def _about(scope: Scope) -> dict[str, Any]:
    """What was read, as JSON."""
    ends = {name: each and clock.timestamp(each) for name, each in (("since", scope.since), ("until", scope.until))}
    read = ["journal"] if scope.span else ["store", "ledger"]
    return {**ends, "read": read, "not_checked": list(_NOT_CHECKED) if scope.span else []}


def _summary(found: Summary, scope: Scope, shown: list[Difference]) -> Iterator[str]:
    number = found.counts
    statuses = ", ".join(f"{number[state]} {state}" for state in _STATES if number[state]) or "none"
    if scope.span:
        ends = f"from {clock.timestamp(scope.span.since)} to {clock.timestamp(scope.span.until)}"
        yield f"Checked {number_of(number['events'])} that the journal lists, recorded {ends}, with all hashes,"
    else:
        yield f"Checked {number_of(number['events'])} of {number['streams']} streams, with all hashes,"
    yield f"and {number['rows']} rows of the ledger. Processing statuses: {statuses}."
    for difference in shown:
        yield f"{difference.kind:11}  {difference.where}: {difference.text}".replace("  : ", "  ")
    differences = found.differences.total()
    if differences > len(shown):
        yield f"… and {differences - len(shown)} more; --json prints all"
    if differences:
        by_kind = ", ".join(f"{times} {kind}" for kind, times in sorted(found.differences.items()))
        yield f"{differences} differences ({by_kind}). For the meaning of each kind, see docs/runbook.md#audit"
    else:
        yield "Nothing is missing, changed or undelivered."
    if scope.span:
        yield "Only a check without --since finds:"
        yield from (f"  {each}" for each in _NOT_CHECKED)


@dataclass(slots=True)
class _HowFar:
    """How far a check is, in words."""

    state: StateFile
    _last: checking.Progress | None = None
    _first: checking.Progress | None = None
    _began: float = field(default_factory=time.monotonic)

    def text(self, so_far: checking.Progress) -> str:
        """The line that shows the progress."""
        if self._first is None or self._first.phase != so_far.phase:
            self._first, self._began = so_far, time.monotonic()
        self._last = so_far
        counts, done = so_far.summary.counts, so_far.done - self._first.done
        rows = f", {counts['rows']} rows of the ledger" if counts["rows"] else ""
        left = ""
        if done:
            seconds = (time.monotonic() - self._began) / done * (so_far.of - so_far.done)
            left = f", {timedelta(seconds=round(seconds))} left"
        differences = so_far.summary.differences.total()
        return f"{number_of(counts['events'])}{rows}, {differences} differences; {self._where(so_far)}{left}"

    def stopped(self) -> str:
        """The sentence after an interruption, or an error."""
        if not self.state.is_begun:
            return "Stopped: nothing is checked yet. Repeat the command to start again"
        at = f" at {self._where(self._last)}" if self._last else ""
        return f"Stopped{at}. To continue: {_resume(self.state.path, self.state.plan.stage)}"

    def _where(self, so_far: checking.Progress) -> str:
        return f"{_READ[so_far.phase]}, {100 * so_far.done // max(1, so_far.of)} %"


def _counted(history: Iterable[Envelope], update: Callable[[str], None]) -> Iterator[Envelope]:
    """The same events, while the progress is shown."""
    for count, event in enumerate(history, 1):
        yield event
        if count % _STEP == 0:
            update(f"{number_of(count)}, up to {event.metadata.recorded_at[:19]}Z")
