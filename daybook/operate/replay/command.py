"""`daybook replay`: deliver recorded events to a consumer again."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from daybook.contracts import clock
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Since, Stage, Until
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import number_of, plain
from daybook.operate.errors import NotAStream, OperatorError
from daybook.operate.missing_events import span, span_of_streams
from daybook.operate.operation import because
from daybook.operate.rate_limit import RateLimit
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

_MOST_NAMED = 100  # the limit of the event ReplayStarted


def replay(
    *,
    to: Annotated[str, typer.Option("--to", metavar="CONSUMER", help="To which consumer: `reserve-stock`.")] = "",
    missing: Annotated[bool, typer.Option("--missing", help="Only events that the consumer never received.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All that it subscribes to, and has not processed.")
    ] = False,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Events of this type. May be repeated.")
    ] = None,
    stream: Annotated[str, typer.Option(metavar="STREAM", help="Events of one stream: `order/1001`.")] = "",
    correlation: Annotated[str, typer.Option(metavar="ID", help="Events of one correlation, by its id.")] = "",
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="ID", help="One event, by its id. May be repeated.")
    ] = None,
    since: Since = None,
    until: Until = None,
    rate: Annotated[float | None, typer.Option(metavar="N", min=0.1, help="At most N events a second.")] = None,
    resume: Annotated[str, typer.Option(metavar="ID", help="Go on with a replay that was stopped.")] = "",
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Deliver recorded events to one consumer: they are put into its queue as its rule would have put them.

    Only this consumer receives them: nothing goes over the event bus. Criteria are combined: an event must meet all of
    them. Of the selected events, those are passed over that the ledger has as committed or discarded at the consumer.
    With `--missing` it receives only events that the ledger has no row of: those recorded while its service was not
    deployed, or before it existed.

    Without `--apply` the command says what the consumer would receive, and which effects in external systems may
    follow. Repeating a replay is safe: a consumer does not process again what it has processed. A replay that was
    stopped goes on where it stopped by `--resume`.

    "All" is what was recorded since the store's table was created; for a table restored from a backup give `--since`.
    To rebuild a view use `daybook rebuild`. A consumer with effects receives only events that are named.

    Exit codes: 0 done; 1 not all could be delivered; 2 the command could not do its work; 130 stopped by Ctrl-C.
    """
    with connected(stage) as connection:
        because(reason, required=False)
        if resume:
            if any((to, missing, everything, types, stream, correlation, events, since, until)):
                raise OperatorError("--resume goes on with the selection of that replay; add no option but --rate")
            try:
                wanted = Replay.resume(connection, resume)
            except AlreadyFinished as finished:
                note(str(finished))
                return
        else:
            if not to:
                raise OperatorError("name the consumer: --to CONSUMER, or the replay to go on with: --resume ID")
            if not (everything or missing or types or stream or correlation or events or since or until):
                raise OperatorError(
                    "say which events to replay: --missing, those that the consumer never got; by --type, --stream, "
                    "--correlation, --event, --since and --until; or --all"
                )
            if max(len(types or ()), len(events or ())) > _MOST_NAMED:
                msg = f"at most {_MOST_NAMED} events or types can be named at once"
                raise OperatorError(msg)
            if stream and "/" not in stream:
                raise NotAStream(stream)
            now, of_streams = datetime.now(UTC), stream or correlation or events
            selection = Selection(
                span=span_of_streams(since, until, now) if of_streams else span(connection, since, until, now),
                types=tuple(types or ()),
                stream=stream,
                correlation_id=correlation,
                events=tuple(events or ()),
                missing=missing,
            )
            wanted = Replay(connection, to, selection)
        summary = Summary(wanted.listens_since)
        if apply:
            _apply(wanted, summary, RateLimit(rate), reason, stage)
            report(_as_data(wanted, summary) | {"operation": wanted.id}, *_done(wanted, summary), as_json=as_json)
        else:
            _follow(wanted.survey(), summary, "found")
            data, found = _as_data(wanted, summary) | {"operation": None}, _found(wanted, summary)
            if summary.events:
                preview(data, *found, do="To deliver them", as_json=as_json)
            else:
                answer(data | {"applied": False}, *found, as_json=as_json)
        _report_failures(summary)


def _apply(wanted: Replay, summary: Summary, rate_limit: RateLimit, reason: str, stage: str) -> None:
    note(f"This is the replay {wanted.id}")

    def stopped() -> str:
        go_on = f"To go on: daybook replay --resume {wanted.id} --apply --stage {stage}"
        return f"Stopped; {number_of(summary.events)} delivered this time. {go_on}"

    try:
        _follow(wanted.run(rate_limit, reason=reason), summary, "delivered", stopped)
    except (BotoCoreError, ClientError, OperatorError):
        note(stopped())
        raise


def _follow(portions: Iterable[Portion], summary: Summary, done: str, *interrupted: Callable[[], str]) -> None:
    """Take all portions, and show on standard error how far it is."""
    began = time.monotonic()
    with progress("reading the journal", *interrupted) as update:
        for portion in portions:
            summary.add(portion)
            rate = summary.events / max(time.monotonic() - began, 0.001)
            update(
                f"{number_of(summary.events)} {done}, {summary.passed_over} passed over, "
                f"up to {plain(portion.position[:19])}Z, {rate:.0f} a second"
            )


def _passed_over(wanted: Replay, summary: Summary) -> list[str]:
    has = "has received" if wanted.selection.missing else "has processed"
    number = f"Passed over, since {wanted.consumer.name} {has} them: {summary.passed_over}."
    return [number] if summary.passed_over else []


def _numbers(summary: Summary) -> str:
    types = ", ".join(f"{number} {name}" for name, number in sorted(summary.by_type.items()))
    number = number_of(summary.events)
    return f"{number} ({types}), the oldest of {summary.oldest}, the newest of {summary.newest}."


def _done(wanted: Replay, summary: Summary) -> list[str]:
    """What was done, in words."""
    if not summary.events:
        return _found(wanted, summary)
    return [f"Delivered to {wanted.consumer.name}: {_numbers(summary)}", *_passed_over(wanted, summary)]


def _found(wanted: Replay, summary: Summary) -> list[str]:
    """What was found, in words, and what must be known of the consumer."""
    to, selection = wanted.consumer.name, wanted.selection
    looked = f"recorded from {_second(selection.span.since)} to {_second(selection.span.until)}"
    if not summary.events:
        return [f"Nothing is missing at {to} of what was {looked}.", *_passed_over(wanted, summary)]
    missing = "Missing" if selection.missing else "Not processed"
    lines = [f"{missing} at {to}, of what was {looked}: {_numbers(summary)}", *_passed_over(wanted, summary)]
    if summary.fresh:
        lines.append(
            f"{number_of(summary.fresh)} of these were recorded since {to} listens "
            f"({_second(summary.listens_since)}), and may be on the way to it; a redelivery does no harm."
        )
    return [*lines, *_about(wanted)]


def _about(wanted: Replay) -> Iterator[str]:
    """What must be known of the consumer."""
    consumer = wanted.consumer
    if consumer.kind == "view":
        tables: Sequence[str] = sorted(consumer.tables)
        view = tables[0] if len(tables) == 1 else "VIEW"
        yield f"{consumer.name} is a view: to rebuild it from all its events, daybook rebuild {view}."
    if consumer.kind == "effect":
        yield f"{consumer.name} calls an external system, once for each idempotency key: {consumer.idempotency_key}."
    if consumer.ordered:
        yield f"{consumer.name} is ordered: it processes each stream from its cursor on, and nothing behind that again."
    if wanted.effects:
        effects = ", ".join(f"{effect.name} ({effect.idempotency_key})" for effect in wanted.effects)
        yield f"What {consumer.name} does then may cause: {effects}."
    elif consumer.emits:
        yield f"What {consumer.name} emits causes no effect in an external system."
    else:
        yield f"{consumer.name} emits nothing, and causes nothing else."


def _report_failures(summary: Summary) -> None:
    for failure in summary.failures:
        event = failure.event
        note(f"{event.type} {event.stream} #{event.sequence} ({event.id}) was not delivered: {failure.error}")
    if more := summary.not_delivered - len(summary.failures):
        note(f"and {more} more")
    if summary.not_delivered:
        number = number_of(summary.not_delivered)
        fail(f"{number} could not be delivered; begin a new replay for those", exit_code=1)


def _as_data(wanted: Replay, summary: Summary) -> dict[str, object]:
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
        "may_set_going": {effect.name: effect.idempotency_key for effect in wanted.effects},
        "not_delivered": [{"id": failure.event.id, "error": failure.error} for failure in summary.failures],
    }


def _second(moment: datetime) -> str:
    return f"{clock.timestamp(moment)[:19]}Z"
