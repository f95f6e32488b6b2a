"""`daybook dead resolve`: record the outcome of an effect when it is unknown."""

from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from daybook.contracts.contract import Event
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage, text_of
from daybook.operate.cli.printing import fail, note, say_json
from daybook.operate.cli.stage import connected
from daybook.operate.dead_letters import resolve as resolving
from daybook.operate.dead_letters.index import NoSuchDeadLetter
from daybook.operate.dead_letters.resolve import InvalidOutcomeEvent
from daybook.operate.operation import check_reason
from daybook.operate.terminal import daybook
from daybook.store.ledger import COMMITTED

EXAMPLES = """
**Examples**

- `daybook dead resolve ID --outcome no-effect --reason "SES has no such message" --apply`
- `daybook dead resolve ID --outcome took-effect > sent.json`
- `daybook dead resolve ID --outcome took-effect --event sent.json --reason "SES shows it as sent" --apply`
"""


class Outcome(StrEnum):
    """The outcome that the operator has found."""

    TOOK_EFFECT = resolving.TOOK_EFFECT
    NO_EFFECT = resolving.NO_EFFECT


def resolve(
    dead_letter: Annotated[str, typer.Argument(metavar="ID", help="The dead letter: an event id, or EVENT@CONSUMER.")],
    *,
    outcome: Annotated[Outcome, typer.Option("--outcome", help="The outcome, as you found it in the external system.")],
    event: Annotated[
        typer.FileText | None,
        typer.Option(
            "--event", encoding="utf-8", metavar="FILE", help="File with the outcome event; `-` for standard input."
        ),
    ] = None,
    no_event: Annotated[bool, typer.Option("--no-event", help="It took effect; record no outcome event.")] = False,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Record the outcome of an effect (an e-mail, a page, a payment) when it is unknown. First look in the external
    system.

    `--outcome no-effect`: the effect did not happen. The effect record is withdrawn, and the effect receives its event
    again. The command waits for the result.

    `--outcome took-effect`: the effect did happen. `--event` names a file with the outcome event, for example
    `{"DetailType": "EmailSent", "data": {…}}`. Without `--event`, the command prints templates of the events that the
    effect may emit. The event is recorded as if the effect had emitted it, and nothing is attempted again.

    Payments can query the outcome of an attempt themselves: use `daybook dead retry` for these.

    After an interruption, repeat the command: it continues where it stopped.

    Exit code 1: there is no such dead letter, its outcome is known, or the effect has failed again.
    """
    with connected(stage) as connection:
        if outcome is Outcome.NO_EFFECT and (event or no_event):
            raise InvalidOutcomeEvent("--event and --no-event cannot be used with --outcome no-effect")
        if event and no_event:
            raise InvalidOutcomeEvent("use either --event or --no-event, not both")
        try:
            unknown = resolving.find(connection, dead_letter)
        except NoSuchDeadLetter:
            done = resolving.already_resolved(connection, dead_letter)
            if done is None:
                raise
            _report(done, stage, as_json=as_json, before=True)
            return
        if outcome is Outcome.TOOK_EFFECT and not (event or no_event):
            _show_templates(unknown, stage)
            return
        event_given = resolving.outcome_in(unknown, text_of(event)) if event else None
        if not apply:
            data: dict[str, object] = {
                "dead_letter": unknown.dead_letter.id,
                "idempotency_key": unknown.idempotency_key,
                "outcome": outcome.value,
            }
            data["event"] = event_given.contract.type if event_given else None
            preview(data, *_preview_lines(unknown, outcome, event_given, stage), as_json=as_json)
            return
        check_reason(reason)
        if unknown.withdrawn and outcome is Outcome.NO_EFFECT:
            note("The effect record is already withdrawn; the effect receives its event again.")
        interrupted = "Interrupted. Repeat the command to continue; nothing is done twice."
        with progress(f"waiting for {unknown.consumer.name}", lambda: interrupted):
            if outcome is Outcome.TOOK_EFFECT:
                done = resolving.took_effect(connection, unknown, event_given, reason)
            else:
                done = resolving.had_no_effect(connection, unknown, reason)
        _report(done, stage, as_json=as_json)
        if done.state != COMMITTED:
            fail(f"it is {done.state} again: {done.error}: {done.reason}", exit_code=1)


def _preview_lines(
    unknown: resolving.UnknownOutcome, outcome: Outcome, event_given: Event | None, stage: str
) -> Iterator[str]:
    what, name = unknown.idempotency_key, unknown.consumer.name
    if outcome is Outcome.NO_EFFECT and unknown.withdrawn:
        yield f"It is already recorded that {what} had no effect. {name} would receive its event again."
    elif outcome is Outcome.NO_EFFECT:
        yield f"Would record that {what} had no effect. {name} would receive its event again, and attempt it."
    elif event_given:
        yield f"Would record that {what} took effect, with {event_given.contract.type} on {event_given.stream}."
    else:
        yield f"Would record that {what} took effect, without an outcome event."
    if unknown.consumer.can_query:
        retry = daybook("dead", "retry", unknown.dead_letter.id, stage=stage)
        yield f"{name} can query the outcome itself, which is better: {retry}"


def _show_templates(unknown: resolving.UnknownOutcome, stage: str) -> None:
    templates = unknown.templates
    say_json(templates if len(templates) != 1 else templates[0], indent=2)
    note(f"{unknown.consumer.name} may emit one of these: {', '.join(unknown.consumer.emits) or 'none'}")
    options = {"outcome": "took-effect", "event": "FILE", "reason": "TEXT", "stage": stage}
    resolve = daybook("dead", "resolve", unknown.dead_letter.id, **options)
    note(f"Fill in one of them in a file, then run: {resolve}; or use --no-event to record no event")


def _report(done: resolving.Resolved, stage: str, *, as_json: bool, before: bool = False) -> None:
    lines = [f"{done.dead_letter} is already done."] if before else []
    if not before and done.state == COMMITTED:
        lines = [f"{done.dead_letter} is resolved, and committed."]
    lines += [f"See the outcome event: {daybook('trace', event, stage=stage)}" for event in done.outcome_events]
    report({**asdict(done), "before": before}, *lines, as_json=as_json)
