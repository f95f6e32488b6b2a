"""`daybook replay`: give a consumer its history."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from daybook.contracts import clock
from daybook.operate import missing_events as gap
from daybook.operate.cli.interruption import INTERRUPTED
from daybook.operate.cli.options import AsJson, Reason, Stage
from daybook.operate.cli.printing import fail, note, number_of_events
from daybook.operate.cli.reaching import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import plain
from daybook.operate.errors import NotAStream, OperatorError
from daybook.operate.rate_limit import Pace
from daybook.operate.replay.replay import AlreadyFinished, Portion, Replay, Summary
from daybook.operate.replay.selection import Selection

EXAMPLES = """
**Examples**

- `daybook replay --to reserve-stock --missing`
- `daybook replay --to reserve-stock --missing --since 3d --apply --stage prod`
- `daybook replay --to reserve-stock --type OrderPlaced --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z`
- `daybook replay --to prepare-shipment --stream order/1001 --apply --reason "the carrier's address was wrong"`
- `daybook replay --to mail-confirmed --event 0b73e9a8-f681-85b0-ab42-8efcb5b144a6 --apply`
- `daybook replay --to tally-transaction --all --rate 500 --apply`
- `daybook replay --resume 6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071 --apply`
- `daybook replay --to reserve-stock --missing --json | jq .events`
"""

_MOST_NAMED = 100  # what the record of a replay has room for


def replay(
    *,
    to: Annotated[str, typer.Option("--to", metavar="CONSUMER", help="To which consumer: `reserve-stock`.")] = "",
    missing: Annotated[bool, typer.Option("--missing", help="Only what the consumer never got.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All that it subscribes to, and has not done.")] = False,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Events of this type. May be repeated.")
    ] = None,
    stream: Annotated[str, typer.Option(metavar="STREAM", help="Events of one stream: `order/1001`.")] = "",
    correlation: Annotated[str, typer.Option(metavar="ID", help="Events of one story, by its correlation id.")] = "",
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="ID", help="One event, by its id. May be repeated.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Recorded from then on: `3d` ago, or RFC 3339. All, unless given."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recorded before then; until 5 minutes ago unless given.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", min=0.1, help="So many events a second at the most.")
    ] = None,
    resume: Annotated[str, typer.Option(metavar="ID", help="Go on with a replay that has stopped.")] = "",
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a consumer its history: events of the past, put into its queue as its rule would have put them.

    Only this consumer gets them: nothing goes over the event bus. What is said together must hold together. Of what is
    selected, it gets what it has not done: what the ledger has as committed or discarded there is passed over. With
    `--missing` it gets only what the ledger has no row of: what was recorded while its service was not deployed, or
    before there was one.

    Without `--apply` you are told what it would get, and which effects on the world outside may follow. To repeat it
    does no harm: what a consumer has done, it does not do again. A replay that was stopped, by whatever, goes on where
    it stopped by `--resume`.

    "All" is what was recorded since the store's table was made; for a table restored from a backup say `--since`. A
    view is made anew by `daybook rebuild`. A consumer with effects gets only events that are named.

    Exit codes: 0 done; 1 not all could be delivered; 2 the command could not do its work; 130 stopped by Ctrl-C.
    """
    with connected(stage) as connection:
        if resume:
            _goes_alone(to, missing, everything, types, stream, correlation, events, since, until)
            try:
                wanted = Replay.resume(connection, resume)
            except AlreadyFinished as finished:
                note(str(finished))
                return
        else:
            selection = _selection(
                connection,
                to=to,
                everything=everything,
                types=tuple(types or ()),
                stream=stream,
                correlation=correlation,
                events=tuple(events or ()),
                missing=missing,
                since=since,
                until=until,
            )
            wanted = Replay(connection, to, selection)
        summary = Summary(wanted.listens_since)
        if apply:
            note(f"This is the replay {wanted.id}")
            with _resumable(f"daybook replay --resume {wanted.id} --apply --stage {stage}", summary):
                _follow(wanted.run(Pace(rate), reason=reason), summary, "delivered")
        else:
            _follow(wanted.survey(), summary, "found")
        if as_json:
            typer.echo(json.dumps(_as_data(wanted, summary, applied=apply)))
        else:
            _tell(wanted, summary, applied=apply)
        _tell_failures(summary)


def _goes_alone(*others: object) -> None:
    if any(others):
        msg = "--resume goes on with what was selected when the replay was begun; say nothing beside it but --rate"
        raise OperatorError(msg)


def _selection(
    connection: Connection,
    *,
    to: str,
    everything: bool,
    types: tuple[str, ...],
    stream: str,
    correlation: str,
    events: tuple[str, ...],
    missing: bool,
    since: str | None,
    until: str | None,
) -> Selection:
    if not to:
        msg = "say to whom: --to CONSUMER, or which replay to go on with: --resume ID"
        raise OperatorError(msg)
    if not (everything or missing or types or stream or correlation or events or since or until):
        msg = (
            "say which events to replay: --missing, those that the consumer never got; by --type, --stream, "
            "--correlation, --event, --since and --until; or --all"
        )
        raise OperatorError(msg)
    if max(len(types), len(events)) > _MOST_NAMED:
        msg = f"at most {_MOST_NAMED} events or types can be named at once"
        raise OperatorError(msg)
    if stream and "/" not in stream:
        raise NotAStream(stream)
    now = datetime.now(UTC)
    of_streams = stream or correlation or events
    span = gap.span_of_streams(since, until, now) if of_streams else gap.span(connection, since, until, now)
    return Selection(span=span, types=types, stream=stream, correlation_id=correlation, events=events, missing=missing)


@contextmanager
def _resumable(command: str, summary: Summary) -> Iterator[None]:
    """Say how to go on, however the block ends before its time."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"Stopped; {number_of_events(summary.events)} delivered this time. To go on: {command}")
        raise typer.Exit(INTERRUPTED) from None
    except (BotoCoreError, ClientError, OperatorError):
        note(f"It stopped; {number_of_events(summary.events)} delivered this time. To go on: {command}")
        raise


def _follow(portions: Iterable[Portion], summary: Summary, done: str) -> None:
    """Take all portions, and show on standard error how far it is."""
    began = time.monotonic()
    with Console(stderr=True).status("reading the journal …") as status:
        for portion in portions:
            summary.add(portion)
            rate = summary.events / max(time.monotonic() - began, 0.001)
            status.update(
                f"{number_of_events(summary.events)} {done}, {summary.passed_over} passed over, "
                f"up to {plain(portion.position[:19])}Z, {rate:.0f} a second …"
            )


def _tell(wanted: Replay, summary: Summary, *, applied: bool) -> None:
    """Say what was found, or done."""
    to, span, missing = wanted.consumer.name, wanted.selection.span, wanted.selection.missing
    looked = f"recorded from {_second(span.since)} to {_second(span.until)}"
    passed = f" Passed over, since {to} {'has got' if missing else 'is done with'} them: {summary.passed_over}."
    if not summary.events:
        typer.echo(f"Nothing is missing at {to} of what was {looked}.{passed if summary.passed_over else ''}")
        return
    types = ", ".join(f"{times} {plain(name)}" for name, times in sorted(summary.by_type.items()))
    number = number_of_events(summary.events)
    told = f"{number} ({types}), the oldest of {summary.oldest}, the newest of {summary.newest}."
    if applied:
        typer.echo(f"Delivered to {to}: {told}{passed if summary.passed_over else ''}")
        return
    typer.echo(f"{'Missing' if missing else 'Not done'} at {to}, of what was {looked}: {told}")
    if summary.passed_over:
        typer.echo(passed.strip())
    if summary.fresh:
        typer.echo(
            f"{number_of_events(summary.fresh)} of these came since {to} listens ({_second(summary.listens_since)}), "
            "and may be on the way to it; a second delivery does no harm."
        )
    for sentence in _kind(wanted):
        typer.echo(sentence)
    typer.echo("Nothing was changed. To deliver them, repeat the command with --apply.")


def _kind(wanted: Replay) -> Iterator[str]:
    """What must be known of the consumer."""
    consumer = wanted.consumer
    if consumer.kind == "view":
        tables: Sequence[str] = sorted(consumer.tables)
        view = tables[0] if len(tables) == 1 else "VIEW"
        yield f"{consumer.name} is a view: to make it anew from all its events, daybook rebuild {view}."
    if consumer.kind == "effect":
        yield f"{consumer.name} acts on the world outside, once for each purpose: {consumer.purpose}."
    if consumer.ordered:
        yield (
            f"{consumer.name} is ordered: it handles each stream from its cursor on, and what lies behind that "
            "not again."
        )
    if wanted.effects:
        effects = ", ".join(f"{effect.name} ({effect.purpose})" for effect in wanted.effects)
        yield f"What {consumer.name} does then may set going: {plain(effects)}."
    elif consumer.emits:
        yield f"What {consumer.name} emits sets no effect on the world outside going."
    else:
        yield f"{consumer.name} emits nothing, and sets nothing else going."


def _tell_failures(summary: Summary) -> None:
    for failure in summary.failures:
        event = failure.event
        note(f"{event.type} {event.stream} #{event.sequence} ({event.id}) was not delivered: {failure.error}")
    if more := summary.not_delivered - len(summary.failures):
        note(f"and {more} more")
    if summary.not_delivered:
        number = number_of_events(summary.not_delivered)
        fail(f"{number} could not be delivered; begin the replay anew for those", exit_code=1)


def _as_data(wanted: Replay, summary: Summary, *, applied: bool) -> dict[str, object]:
    return {
        "to": wanted.consumer.name,
        "since": clock.timestamp(wanted.selection.span.since),
        "until": clock.timestamp(wanted.selection.span.until),
        "listens_since": clock.timestamp(summary.listens_since),
        "events": summary.events,
        "by_type": dict(summary.by_type),
        "passed_over": summary.passed_over,
        "since_it_listens": summary.fresh,
        "oldest": summary.oldest,
        "newest": summary.newest,
        "may_set_going": {effect.name: effect.purpose for effect in wanted.effects},
        "applied": applied,
        "operation": wanted.id if applied else None,
        "not_delivered": [{"id": failure.event.id, "error": failure.error} for failure in summary.failures],
    }


def _second(moment: datetime) -> str:
    return f"{clock.timestamp(moment)[:19]}Z"
