"""The operator's command line: `daybook …`. What each command does stands in the other modules of this folder."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Never

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from backbone import clock
from backbone.journal import Line, Span
from backbone.store import NotAnEvent
from events.catalogue import CATALOGUE
from ops import gap, listing, moments, sending
from ops.connection import LOCAL, Connection
from ops.doctor import examine
from ops.drawing import draw, plain
from ops.entries import Entry, NotSendable, closest, problem, read_entries
from ops.errors import OperatorError, explain
from ops.journey import Journey
from ops.subscriptions import listens_since

# Where lines are not for a terminal, they are not broken to its width.
_WIDE = 1_000

app = typer.Typer(
    name="daybook",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

Stage = Annotated[
    str,
    typer.Option(
        "--stage",
        envvar="DAYBOOK_STAGE",
        metavar="NAME",
        help="Which deployment: `dev`, `prod` …, or `local`, the one that `make run` keeps up on this machine.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs instead of text for people.")]


def main() -> None:
    """Run the command line that was given."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows another
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"daybook {version('daybook')}")
        raise typer.Exit


@app.callback()
def daybook(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            help="Print the version and exit.",
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Operate a stage of Daybook: send events, follow them through every service, list what was recorded.

    Commands speak to AWS with the credentials and the region that the AWS command line would use (AWS_PROFILE,
    AWS_REGION …), and to AWS_ENDPOINT_URL if that is set. With `--stage local` they find the system that `make run`
    keeps up on this machine, need no credentials, and never reach a real account.

    Exit codes: 0 done; 1 not found, or not all events were taken; 2 the command could not do its work.
    """


@app.command(
    epilog="""
**Examples**

- `daybook send samples/2-fulfilled.json --stage local`
- `jq '.[0]' orders.json | daybook send - --stage dev`
- `daybook send order.json --json | jq -r .event_id`
"""
)
def send(
    file: Annotated[
        typer.FileText,
        typer.Argument(encoding="utf-8", metavar="FILE", help="JSON of the events, or `-` for standard input."),
    ],
    *,
    stage: Stage = "dev",
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Send what breaks its contract here too: admit has the last word.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put events on the stage's ingress bus, as a producer would.

    FILE holds one entry of EventBridge's PutEvents, `{"Source": "shop.checkout", "DetailType": "OrderPlaced",
    "Detail": {"data": {…}}}`, a list of them, or such a list under `entries` or `Entries`. `Detail` may be an object or
    JSON text; `Time` is optional; the bus is always the stage's.

    First all are held against their contracts: if one does not keep it, nothing is sent. With an `id` of its own in
    `Detail.metadata`, an event can be sent again without being done twice.

    Printed are, for each event, EventBridge's id and the one it will have in Daybook. With `--json`, one object a line.
    """
    with _connected(stage) as connection:
        entries = _checked(file, unchecked=unchecked)
        missed = []
        for outcome in sending.send(connection, entries):
            if not outcome.taken:
                missed.append(outcome)
            _tell(outcome, stage, as_json=as_json)
        if missed:
            numbers = ", ".join(str(outcome.entry.number) for outcome in missed)
            _fail(
                f"{len(missed)} of {len(entries)} events were not taken: number {numbers}; send those again",
                exit_code=1,
            )


@app.command(
    epilog="""
**Examples**

- `daybook trace order/1001`
- `daybook trace 954ee5d5-d2e0-81b7-909d-26244858827d --data --stage prod`
- `daybook trace order/1001 --json | jq '.events[] | select(.deliveries[].state == "waiting") | .id'`
"""
)
def trace(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A stream (`order/1001`), or the id of an event or of a story.")
    ],
    *,
    stage: Stage = "dev",
    with_data: Annotated[
        bool, typer.Option("--data", help="Show the events' data too. What is about a person shows as •••.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=2000, help="At most so many events of the stream, and of each story.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Follow events through every service: who has handled them, what came of that, and what is still to come.

    Of a stream you see its newest events and the stories they belong to; of an event or story, the whole story. Under
    each event stand its consumers, with what the ledger says of them, and under these the events they emitted. A
    consumer that subscribes and has not handled the event yet is shown as *waiting*. Times count from the first event
    of the story.

    Exit code 1: nothing is known of it.
    """
    with _connected(stage) as connection:
        journey = Journey.of(connection, what, most=limit)
        if as_json:
            typer.echo(json.dumps(journey.as_data(with_data=with_data), indent=2))
        else:
            draw(journey, _console(), with_data=with_data)
        if any(_is_fresh(step.event.metadata.recorded_at) for step in journey.steps):
            _may_be_incomplete(stage)


@app.command(
    epilog="""
**Examples**

- `daybook events --since 15m`
- `daybook events --type OrderPlaced --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --limit 1000`
- `daybook events --stream order/ --json | jq -r .stream | sort -u`
"""
)
def events(
    *,
    stage: Stage = "dev",
    event_type: Annotated[str | None, typer.Option("--type", help="Only of this type: `OrderPlaced`.")] = None,
    stream: Annotated[
        str | None, typer.Option(help="Only on one stream (`order/1001`), or on all streams of a kind (`order/`).")
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Recorded from then on: `15m`, `2h`, `3d` ago, or RFC 3339.")
    ] = "24h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Recorded before then; now unless given.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List recorded events, the newest first: when each was recorded, its type, its place in its stream, its id.

    They come from the journal, an index that may lack the last moments; those of one stream come from the store itself,
    which lacks nothing. With `--json`, one object a line. Data are never shown; see `daybook trace --data`.
    """
    with _connected(stage) as connection:
        span = moments.span(since, until, datetime.now(UTC))
        found = listing.events(connection, span, event_type=event_type, stream=stream, limit=limit)
        if as_json:
            for line in found.lines:
                typer.echo(json.dumps(asdict(line)))
        else:
            _print_lines(found.lines)
        if not found.lines:
            unknown = closest(event_type) if event_type and event_type not in CATALOGUE else ""
            _note(f"No events since {since}{f' until {until}' if until else ''}{unknown}")
        if found.cut:
            _note(f"There are more; these are the newest {limit}. Raise --limit, or narrow by --until")
        if not found.consistent and datetime.now(UTC) - span.until < moments.INDEX_LAG:
            _may_be_incomplete(stage)


@app.command(
    epilog="""
**Examples**

- `daybook replay --to reserve-stock --missing`
- `daybook replay --to reserve-stock --missing --since 3d --apply --stage prod`
- `daybook replay --to reserve-stock --missing --json | jq .events`
"""
)
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
    with _connected(stage) as connection:
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
                    status.update(f"{_events(summary.events)}, up to {outcome.event.recorded_at[:19]}Z …")
                else:
                    failures.append(outcome)
        if as_json:
            typer.echo(json.dumps(_replay_as_data(to, span, summary, failures, applied=apply)))
        else:
            _tell_replay(to, span, summary, applied=apply)
        for failure in failures:
            event = failure.event
            _note(f"{event.type} {event.stream} #{event.sequence} ({event.id}) was not delivered: {failure.error}")
        if failures:
            _fail(f"{_events(len(failures))} could not be delivered; repeat the command for those", exit_code=1)


@app.command(
    epilog="""
**Examples**

- `daybook doctor --stage prod`
- `daybook doctor --json | jq -r 'select(.well | not) | .do'`
"""
)
def doctor(*, stage: Stage = "dev", as_json: AsJson = False) -> None:
    """See what a person must still do in the account, since no deployment can: verify the sender of e-mails, leave
    SES's sandbox, put the Stripe key into its secret, confirm who is told of alarms.

    Changes nothing. Stripe is asked whether it takes the key, which is never shown. With `--json`, one object a line.

    Exit code 1: something is left to do.
    """
    with _connected(stage) as connection:
        left = 0
        for finding in examine(connection):
            left += not finding.well
            if as_json:
                typer.echo(json.dumps(asdict(finding)))
                continue
            typer.echo(f"{'ok  ' if finding.well else 'TODO'}  {finding.what}: {plain(finding.found)}")
            if not finding.well:
                typer.echo(f"      {plain(finding.do)}")
        if left:
            raise typer.Exit(1)


@contextmanager
def _connected(stage: str) -> Iterator[Connection]:
    """The stage; what goes wrong with it ends the command with one sentence."""
    try:
        yield Connection.to(stage)
    except OperatorError as error:
        _fail(str(error), exit_code=error.exit_code)
    except (BotoCoreError, ClientError) as error:
        _fail(explain(error, stage))
    except NotAnEvent as error:
        _fail(f"{error}; it was not written by this system: look at the alarm on tampering")


def _checked(file: typer.FileText, *, unchecked: bool) -> list[Entry]:
    try:
        text = file.read()
    except UnicodeDecodeError as error:
        msg = f"{file.name} is not UTF-8 text"
        raise NotSendable(msg) from error
    entries = read_entries(text)
    problems = [] if unchecked else [(entry, wrong) for entry in entries if (wrong := problem(entry))]
    if problems:
        for entry, wrong in problems:
            _note(f"event {entry.number}: {wrong}")
        msg = f"{len(problems)} of {len(entries)} events would be refused; nothing was sent (--unchecked sends anyway)"
        raise NotSendable(msg)
    return entries


def _tell(outcome: sending.Outcome, stage: str, *, as_json: bool) -> None:
    entry = outcome.entry
    if as_json:
        told = {"number": entry.number, "type": entry.type, "source": entry.source, "taken": outcome.taken}
        told |= {"envelope_id": outcome.envelope_id, "event_id": outcome.event_id, "error": outcome.error}
        typer.echo(json.dumps(told))
    elif outcome.taken:
        typer.echo(f"{plain(entry.type)} from {plain(entry.source)}")
        typer.echo(f"  EventBridge's id  {outcome.envelope_id}")
        typer.echo(f"  event id          {outcome.event_id}")
        typer.echo(f"  follow it: daybook trace {outcome.event_id} --stage {stage}")
    else:
        _note(f"event {entry.number} ({plain(entry.type)}) was not taken: {outcome.error}")


def _print_lines(lines: tuple[Line, ...]) -> None:
    places = [f"{plain(line.stream)} #{line.sequence}" for line in lines]
    types = max((len(line.type) for line in lines), default=0)
    widest = max(map(len, places), default=0)
    console = _console()
    for line, place in zip(lines, places, strict=True):
        text = Text.assemble(
            (f"{line.recorded_at[:23]}Z", "dim"),
            (f"  {plain(line.type):{types}}", "bold cyan"),
            f"  {place:{widest}}  ",
            (line.id, "dim"),
        )
        console.print(text, soft_wrap=True)


def _tell_replay(to: str, span: Span, summary: gap.Summary, *, applied: bool) -> None:
    """Say what `daybook replay` has found, or done."""
    looked = f"recorded from {_second(span.since)} to {_second(span.until)}"
    if not summary.events:
        typer.echo(f"Nothing is missing at {to} of what was {looked}.")
        return
    types = ", ".join(f"{number} {plain(name)}" for name, number in sorted(summary.by_type.items()))
    told = f"{_events(summary.events)} ({types}), the oldest of {summary.oldest}, the newest of {summary.newest}"
    if applied:
        typer.echo(f"Delivered to {to}: {told}.")
        return
    typer.echo(f"Missing at {to}, of what was {looked}: {told}.")
    if summary.fresh:
        typer.echo(
            f"{_events(summary.fresh)} of these came since {to} listens ({_second(summary.listens_since)}), and may be "
            "on the way to it; a second delivery does no harm."
        )
    typer.echo("Nothing was changed. To deliver them, repeat the command with --apply.")


def _replay_as_data(
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


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number} events"


def _second(moment: datetime) -> str:
    return f"{clock.timestamp(moment)[:19]}Z"


def _is_fresh(recorded_at: str) -> bool:
    return datetime.now(UTC) - clock.moment(recorded_at) < moments.INDEX_LAG


def _may_be_incomplete(stage: str) -> None:
    if stage != LOCAL:  # where indexes do not lag
        _note("Events of the last moments may be missing: the index lags")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def _note(text: str) -> None:
    """What is not the answer itself goes to standard error."""
    typer.echo(plain(text), err=True)


def _fail(sentence: str, *, exit_code: int = 2) -> Never:
    typer.echo(f"Error: {plain(sentence)}", err=True)
    raise typer.Exit(exit_code)
