"""`daybook dead resolve`: say how an effect ended whose outcome was unknown."""

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from daybook.contracts.contract import Event
from daybook.operate.cli.interruption import INTERRUPTED
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.connection import Connection
from daybook.operate.dead_letters import resolve as resolving
from daybook.operate.dead_letters.index import NoSuchLetter
from daybook.operate.dead_letters.resolve import NotTellable
from daybook.operate.drawing import plain
from daybook.operate.operation import because
from daybook.store.ledger import COMMITTED

EXAMPLES = """
**Examples**

- `daybook dead resolve ID --outcome no-effect --reason "SES has no such message" --apply`
- `daybook dead resolve ID --outcome took-effect > told.json`
- `daybook dead resolve ID --outcome took-effect --event told.json --reason "SES shows it as sent" --apply`
"""


class Outcome(StrEnum):
    """What somebody has found out."""

    TOOK_EFFECT = resolving.TOOK_EFFECT
    NO_EFFECT = resolving.NO_EFFECT


def resolve(
    letter: Annotated[
        str, typer.Argument(metavar="ID", help="The letter: its event's id, or that with `@CONSUMER` behind it.")
    ],
    *,
    outcome: Annotated[Outcome, typer.Option("--outcome", help="What you have found out, in the world outside.")],
    event: Annotated[
        typer.FileText | None,
        typer.Option("--event", encoding="utf-8", metavar="FILE", help="What tells that it took effect; `-`: input."),
    ] = None,
    no_event: Annotated[
        bool, typer.Option("--no-event", help="It took effect, and no event should tell of it.")
    ] = False,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Say how an effect ended (a letter, a page, a payment) whose outcome is unknown: look first, in the world outside.

    `no-effect`: nothing happened. The attempt is withdrawn, and the effect is given its event once more; you are told
    how that ends.

    `took-effect`: it did happen. An event tells so, in the words of the effect's service: `--event` names a file with
    `{"DetailType": "EmailSent", "data": {…}}`. Without it, what the effect may tell is printed, for you to fill in. The
    event is recorded as if the effect itself had told it, and nothing is attempted again.

    Payments find out by themselves how an attempt ended: retry such a letter (`daybook dead retry`), rather.

    With `--apply`, what you say is recorded in the same transaction. A command that was interrupted is repeated: it
    finds how far it came.

    Exit code 1: no such letter, nothing in doubt, or the effect has failed again.
    """
    with connected(stage) as connection:
        if outcome is Outcome.NO_EFFECT and (event or no_event):
            msg = "what had no effect is told by no event: leave out --event and --no-event"
            raise NotTellable(msg)
        if event and no_event:
            msg = "say either --event or --no-event"
            raise NotTellable(msg)
        try:
            doubt = resolving.find(connection, letter)
        except NoSuchLetter:
            done = resolving.done_before(connection, letter)
            if done is None:
                raise
            _tell(done, stage, as_json=as_json, before=True)
            return
        if outcome is Outcome.TOOK_EFFECT and not (event or no_event):
            _show_templates(doubt, stage)
            return
        told = resolving.outcome_in(doubt, _text(event)) if event else None
        if not apply:
            _announce(doubt, outcome, told, as_json=as_json)
            return
        done = _apply(connection, doubt, outcome, told, because(reason))
        _tell(done, stage, as_json=as_json)
        if done.state != COMMITTED:
            fail(f"it is {done.state} again: {done.error}: {done.reason}", exit_code=1)


def _apply(
    connection: Connection, doubt: resolving.Doubt, outcome: Outcome, told: Event | None, reason: str
) -> resolving.Resolved:
    if doubt.withdrawn and outcome is Outcome.NO_EFFECT:
        note("The attempt is withdrawn already; the event is given to the effect once more.")
    try:
        with Console(stderr=True).status(f"waiting for {doubt.consumer.name} …"):
            if outcome is Outcome.TOOK_EFFECT:
                return resolving.took_effect(connection, doubt, told, reason)
            return resolving.had_no_effect(connection, doubt, reason)
    except KeyboardInterrupt:
        note("Interrupted. Repeat the command: it finds how far it came, and nothing is done twice.")
        raise typer.Exit(INTERRUPTED) from None


def _announce(doubt: resolving.Doubt, outcome: Outcome, told: Event | None, *, as_json: bool) -> None:
    if as_json:
        said = {"letter": doubt.letter.id, "purpose": doubt.purpose, "outcome": outcome.value, "applied": False}
        typer.echo(json.dumps(said | {"event": told.contract.type if told else None}))
        return
    what, name = plain(doubt.purpose), doubt.consumer.name
    if outcome is Outcome.NO_EFFECT and doubt.withdrawn:
        typer.echo(f"It is recorded already that {what} had no effect. Would give the event to {name} once more.")
    elif outcome is Outcome.NO_EFFECT:
        typer.echo(f"Would record that {what} had no effect, and give the event to {name} once more: it happens then.")
    elif told:
        typer.echo(f"Would record that {what} took effect, by {told.contract.type} on {plain(told.stream)}.")
    else:
        typer.echo(f"Would record that {what} took effect, and that there is nothing to tell of it.")
    if doubt.consumer.can_ask:
        typer.echo(f"{name} can ask by itself how it ended, which is better: daybook dead retry {doubt.letter.id}")
    typer.echo("Nothing was changed. To do it, repeat the command with --apply.")


def _show_templates(doubt: resolving.Doubt, stage: str) -> None:
    templates = doubt.templates
    for lines in json.dumps(templates if len(templates) != 1 else templates[0], indent=2, ensure_ascii=False).split(
        "\n"
    ):
        typer.echo(plain(lines))
    note(f"{doubt.consumer.name} may have told one of these: {', '.join(doubt.consumer.emits) or 'none'}")
    note(
        f"Leave that in a file, filled in, then: daybook dead resolve {doubt.letter.id} --outcome took-effect "
        f"--event FILE --reason TEXT --stage {stage}; or, if nothing should be told, --no-event"
    )


def _tell(done: resolving.Resolved, stage: str, *, as_json: bool, before: bool = False) -> None:
    if as_json:
        said = {"letter": done.letter, "state": done.state, "told": list(done.told), "error": done.error}
        typer.echo(json.dumps(said | {"reason": done.reason, "applied": True, "before": before}))
        return
    if before:
        typer.echo(f"{done.letter} is done already.")
    elif done.state == COMMITTED:
        typer.echo(f"{done.letter} is resolved, and committed.")
    for event in done.told:
        typer.echo(f"What tells it: daybook trace {event} --stage {stage}")


def _text(file: typer.FileText) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as error:
        msg = f"{file.name} is not UTF-8 text"
        raise NotTellable(msg) from error
