"""`daybook dead resolve`: record the outcome of an effect that was unknown."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from daybook.contracts.contract import Event
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage, text_of
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters import resolve as resolving
from daybook.operate.dead_letters.index import NoSuchDeadLetter
from daybook.operate.dead_letters.resolve import NotTellable
from daybook.operate.operation import because
from daybook.store.ledger import COMMITTED

EXAMPLES = """
**Examples**

- `daybook dead resolve ID --outcome no-effect --reason "SES has no such message" --apply`
- `daybook dead resolve ID --outcome took-effect > sent.json`
- `daybook dead resolve ID --outcome took-effect --event sent.json --reason "SES shows it as sent" --apply`
"""


class Outcome(StrEnum):
    """What the operator has found out."""

    TOOK_EFFECT = resolving.TOOK_EFFECT
    NO_EFFECT = resolving.NO_EFFECT


def resolve(
    dead_letter: Annotated[
        str, typer.Argument(metavar="ID", help="The dead letter: EVENT, its event's id, or EVENT@CONSUMER.")
    ],
    *,
    outcome: Annotated[Outcome, typer.Option("--outcome", help="What you have found out in the external system.")],
    event: Annotated[
        typer.FileText | None,
        typer.Option(
            "--event", encoding="utf-8", metavar="FILE", help="The event that says that it took effect; `-`: input."
        ),
    ] = None,
    no_event: Annotated[bool, typer.Option("--no-event", help="It took effect, and no event should say so.")] = False,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Record the outcome of an effect (an e-mail, a page, a payment) that is unknown: look first, in the external
    system.

    `no-effect`: nothing happened. The effect record is withdrawn, and the effect receives its event again; the command
    says how that ends.

    `took-effect`: it did happen. An event says so, as the effect's service would have emitted it: `--event` names a
    file with `{"DetailType": "EmailSent", "data": {…}}`. Without it, the events that the effect may emit are printed,
    for you to fill in. The event is recorded as if the effect itself had emitted it, and nothing is attempted again.

    Payments find out by themselves how an attempt ended: retry such a dead letter instead (`daybook dead retry`).

    With `--apply`, the outcome is recorded in the same transaction. After an interruption repeat the command: it finds
    how far it came.

    Exit code 1: there is no such dead letter, its outcome is known, or the effect has failed again.
    """
    with connected(stage) as connection:
        if outcome is Outcome.NO_EFFECT and (event or no_event):
            raise NotTellable("an effect that did not happen has no event: leave out --event and --no-event")
        if event and no_event:
            raise NotTellable("give either --event or --no-event")
        try:
            doubt = resolving.find(connection, dead_letter)
        except NoSuchDeadLetter:
            done = resolving.done_before(connection, dead_letter)
            if done is None:
                raise
            _report(done, stage, as_json=as_json, before=True)
            return
        if outcome is Outcome.TOOK_EFFECT and not (event or no_event):
            _show_templates(doubt, stage)
            return
        said = resolving.outcome_in(doubt, text_of(event)) if event else None
        if not apply:
            data: dict[str, object] = {
                "dead_letter": doubt.dead_letter.id,
                "idempotency_key": doubt.idempotency_key,
                "outcome": outcome.value,
            }
            data["event"] = said.contract.type if said else None
            preview(data, *_foreseen(doubt, outcome, said), as_json=as_json)
            return
        because(reason)
        if doubt.withdrawn and outcome is Outcome.NO_EFFECT:
            note("The attempt is withdrawn already; the effect receives its event again.")
        interrupted = "Interrupted. Repeat the command: it finds how far it came, and nothing is done twice."
        with progress(f"waiting for {doubt.consumer.name}", lambda: interrupted):
            if outcome is Outcome.TOOK_EFFECT:
                done = resolving.took_effect(connection, doubt, said, reason)
            else:
                done = resolving.had_no_effect(connection, doubt, reason)
        _report(done, stage, as_json=as_json)
        if done.state != COMMITTED:
            fail(f"it is {done.state} again: {done.error}: {done.reason}", exit_code=1)


def _foreseen(doubt: resolving.Doubt, outcome: Outcome, said: Event | None) -> Iterator[str]:
    what, name = doubt.idempotency_key, doubt.consumer.name
    if outcome is Outcome.NO_EFFECT and doubt.withdrawn:
        yield f"It is recorded already that {what} had no effect. {name} would receive its event again."
    elif outcome is Outcome.NO_EFFECT:
        yield f"Would record that {what} had no effect. {name} would receive its event again: it happens then."
    elif said:
        yield f"Would record that {what} took effect, by {said.contract.type} on {said.stream}."
    else:
        yield f"Would record that {what} took effect, and no event of it."
    if doubt.consumer.can_ask:
        yield f"{name} can ask by itself how it ended, which is better: daybook dead retry {doubt.dead_letter.id}"


def _show_templates(doubt: resolving.Doubt, stage: str) -> None:
    templates = doubt.templates
    text = json.dumps(templates if len(templates) != 1 else templates[0], indent=2, ensure_ascii=False)
    answer(None, *text.split("\n"), as_json=False)
    note(f"{doubt.consumer.name} may have emitted one of these: {', '.join(doubt.consumer.emits) or 'none'}")
    note(
        f"Leave that one in a file, filled in, then: daybook dead resolve {doubt.dead_letter.id} --outcome took-effect "
        f"--event FILE --reason TEXT --stage {stage}; or, if no event should be recorded, --no-event"
    )


def _report(done: resolving.Resolved, stage: str, *, as_json: bool, before: bool = False) -> None:
    lines = [f"{done.dead_letter} is done already."] if before else []
    if not before and done.state == COMMITTED:
        lines = [f"{done.dead_letter} is resolved, and committed."]
    lines += [f"The event that says so: daybook trace {event} --stage {stage}" for event in done.told]
    report({**asdict(done), "before": before}, *lines, as_json=as_json)
