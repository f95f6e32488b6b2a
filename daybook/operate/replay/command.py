"""`daybook replay`: deliver recorded events to a consumer again."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.contracts import clock
from daybook.contracts.identity import stream_name
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Since, Stage, Until
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.stage import connected
from daybook.operate.drawing import number_of
from daybook.operate.errors import NotAStream, OperatorError
from daybook.operate.missing_events import span, span_of_streams
from daybook.operate.operation import check_reason
from daybook.operate.rate_limit import RateLimit
from daybook.operate.replay.replay import AlreadyFinished, Portion, Replay, Summary
from daybook.operate.replay.selection import Selection
from daybook.operate.terminal import daybook

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

_MAX_NAMED = 100  # the limit of the event ReplayStarted


def replay(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="CONSUMER", help="The consumer, for example `reserve-stock`.")
    ] = "",
    missing: Annotated[bool, typer.Option("--missing", help="Only events that the consumer never received.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All events that the consumer has not processed.")] = False,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Events of this type. Can be repeated.")
    ] = None,
    stream: Annotated[str, typer.Option(metavar="STREAM", help="Events of one stream, for example `order/1001`.")] = "",
    correlation: Annotated[str, typer.Option(metavar="ID", help="Events with this correlation id.")] = "",
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="ID", help="The event with this id. Can be repeated.")
    ] = None,
    since: Since = None,
    until: Until = None,
    rate: Annotated[float | None, typer.Option(metavar="N", min=0.1, help="At most N events per second.")] = None,
    resume: Annotated[str, typer.Option(metavar="ID", help="Continue an interrupted replay.")] = "",
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Deliver recorded events to one consumer again: they are put into its queue, and not on the event bus.

    An event must match all criteria. Events that are committed or discarded at the consumer are skipped. With
    `--missing`, the consumer receives only events without a ledger row: those recorded while its service was not
    deployed, or before it existed.

    Without `--apply`, the command prints what the consumer would receive, and which effects in external systems may
    follow. Repeating a replay is safe: a consumer does not process an event again. `--resume` continues an interrupted
    replay.

    By default, events since the creation of the store's table are selected; for a table restored from a backup, use
    `--since`. To rebuild a view, use `daybook rebuild`. An effect receives only events that are selected by `--event`.

    Exit codes: 0 success; 1 not all events were delivered; 2 the command failed; 130 interrupted by Ctrl-C.
    """
    with connected(stage) as connection:
        check_reason(reason, required=False)
        if resume:
            if any((to, missing, everything, types, stream, correlation, events, since, until)):
                raise (
                    OperatorError(
                        "--resume continues with the selection of that replay; it can only be combined with --rate"
                    )
                )
            try:
                wanted = Replay.resume(connection, resume)
            except AlreadyFinished as finished:
                note(str(finished))
                return
        else:
            if not to:
                raise OperatorError("--to CONSUMER is required, or --resume ID to continue a replay")
            if not (everything or missing or types or stream or correlation or events or since or until):
                raise OperatorError(
                    "select the events: --missing (never received), --type, --stream, --correlation, --event, --since, "
                    "--until, or --all"
                )
            if max(len(types or ()), len(events or ())) > _MAX_NAMED:
                raise OperatorError(f"at most {_MAX_NAMED} events or types can be selected")
            if stream and "/" not in stream:
                raise NotAStream(stream)
            now, of_streams = datetime.now(UTC), stream or correlation or events
            selection = Selection(
                span=span_of_streams(since, until, now) if of_streams else span(connection, since, until, now),
                types=tuple(types or ()),
                stream=stream_name(stream),
                correlation_id=correlation,
                events=tuple(events or ()),
                missing=missing,
            )
            wanted = Replay(connection, to, selection)
        summary = Summary(wanted.subscribed_since)
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
    note(f"Replay id: {wanted.id}")

    def stopped() -> str:
        next_command = f"To continue: {daybook('replay', resume=wanted.id, apply=True, stage=stage)}"
        return f"Stopped; {number_of(summary.events)} delivered in this run. {next_command}"

    _follow(wanted.run(rate_limit, reason=reason), summary, "delivered", stopped, stopped)


def _follow(portions: Iterable[Portion], summary: Summary, done: str, *interrupted: Callable[[], str]) -> None:
    """Process all portions, and show the progress on standard error."""
    start_time = time.monotonic()
    with progress("reading the journal", *interrupted) as update:
        for portion in portions:
            summary.add(portion)
            rate = summary.events / max(time.monotonic() - start_time, 0.001)
            update(
                f"{number_of(summary.events)} {done}, {summary.skipped} skipped, "
                f"up to {portion.position[:19]}Z, {rate:.0f} per second"
            )


def _skipped(wanted: Replay, summary: Summary) -> list[str]:
    has = "has received" if wanted.selection.missing else "has processed"
    number = f"Skipped, because {wanted.consumer.name} {has} them: {summary.skipped}."
    unproven = (
        f"Delivered although the ledger says that they are done, because these rows have no valid proof: "
        f"{wanted.unproven}. {wanted.consumer.name} makes them dead letters. "
        f"See: {daybook('audit', 'check', stage=wanted.stage)}"
    )
    return [number] * bool(summary.skipped) + [unproven] * bool(wanted.unproven)


def _numbers(summary: Summary) -> str:
    types = ", ".join(f"{number} {name}" for name, number in sorted(summary.by_type.items()))
    number = number_of(summary.events)
    return f"{number} ({types}), recorded from {summary.oldest} to {summary.newest}."


def _done(wanted: Replay, summary: Summary) -> list[str]:
    if not summary.events:
        return _found(wanted, summary)
    return [f"Delivered to {wanted.consumer.name}: {_numbers(summary)}", *_skipped(wanted, summary)]


def _found(wanted: Replay, summary: Summary) -> list[str]:
    """The lines about the selected events and the consumer."""
    to, selection = wanted.consumer.name, wanted.selection
    looked = f"recorded from {_to_second(selection.span.since)} to {_to_second(selection.span.until)}"
    if not summary.events:
        return [f"{to} has all selected events that were {looked}.", *_skipped(wanted, summary)]
    missing = "Missing" if selection.missing else "Not processed"
    lines = [f"{missing} at {to}, of the events {looked}: {_numbers(summary)}", *_skipped(wanted, summary)]
    if summary.fresh:
        lines.append(
            f"{number_of(summary.fresh)} of these were recorded after {to} subscribed "
            f"({_to_second(summary.subscribed_since)}), and may still be delivered; a second delivery does no harm."
        )
    return [*lines, *_about(wanted)]


def _about(wanted: Replay) -> Iterator[str]:
    consumer = wanted.consumer
    if consumer.kind == "view":
        tables: Sequence[str] = sorted(consumer.tables)
        view = tables[0] if len(tables) == 1 else "VIEW"
        rebuild = daybook("rebuild", view, stage=wanted.stage)
        yield f"{consumer.name} is a view. To rebuild it from all its events: {rebuild}"
    if consumer.kind == "effect":
        yield f"{consumer.name} calls an external system, once per idempotency key: {consumer.idempotency_key}."
    if consumer.ordered:
        yield f"{consumer.name} is ordered: it processes each stream from its cursor on, and no event before it."
    if wanted.effects:
        effects = ", ".join(f"{effect.name} ({effect.idempotency_key})" for effect in wanted.effects)
        yield f"{consumer.name} may cause these effects: {effects}."
    elif consumer.emits:
        yield f"The events that {consumer.name} emits cause no effect in an external system."
    else:
        yield f"{consumer.name} emits no events."


def _report_failures(summary: Summary) -> None:
    for failure in summary.failures:
        event = failure.event
        note(f"{event.type} {event.stream} #{event.sequence} ({event.id}) was not delivered: {failure.error}")
    if more := summary.not_delivered - len(summary.failures):
        note(f"and {more} more")
    if summary.not_delivered:
        number = number_of(summary.not_delivered)
        fail(f"{number} could not be delivered; start a new replay for these", exit_code=1)


def _as_data(wanted: Replay, summary: Summary) -> dict[str, object]:
    return {
        "to": wanted.consumer.name,
        "since": clock.timestamp(wanted.selection.span.since),
        "until": clock.timestamp(wanted.selection.span.until),
        "subscribed_since": clock.timestamp(summary.subscribed_since),
        "events": summary.events,
        "by_type": dict(summary.by_type),
        "skipped": summary.skipped,
        "unproven": wanted.unproven,
        "since_it_subscribed": summary.fresh,
        "oldest": summary.oldest,
        "newest": summary.newest,
        "effects": {effect.name: effect.idempotency_key for effect in wanted.effects},
        "not_delivered": [{"id": failure.event.id, "error": failure.error} for failure in summary.failures],
    }


def _to_second(moment: datetime) -> str:
    return f"{clock.timestamp(moment)[:19]}Z"
