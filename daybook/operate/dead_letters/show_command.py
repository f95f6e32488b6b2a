"""`daybook dead show`: one dead letter, with all that is known of it."""

import json
from typing import Annotated

import typer
from rich.text import Text

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters.details import DeadLetter
from daybook.operate.drawing import draw, plain
from daybook.operate.masking import shown
from daybook.operate.trace.trace import Journey

EXAMPLES = """
**Examples**

- `daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d`
- `daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d@confirm-order --stage prod`
- `daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d@admit --reveal`
- `eval "$(daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d --json | jq -r .logs)"`
"""


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="The event's id, or EVENT@CONSUMER.")],
    *,
    stage: Stage = "dev",
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the message, too. It may be about a person: mind who looks on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """See why an event is dead at a consumer: what it is, each try that failed, its journey so far, where the log is.

    Of a recorded event you see the data, but what is about a person shows as •••. What was never recorded, as admit
    refused it, is shown by its size and its SHA-256 alone, unless you say `--reveal`. The last lines name the commands
    that you may want next.

    Exit code 1: it is no dead letter.
    """
    with connected(stage) as connection:
        letter = DeadLetter.of(connection, name)
        if as_json:
            typer.echo(json.dumps(letter.as_data(reveal=reveal), indent=2, ensure_ascii=False))
            return
        _show(letter)
        if reveal:
            typer.echo(plain(letter.body))
        if letter.event:
            typer.echo()
            draw(Journey.of(connection, letter.letter.event), console())
        typer.echo()
        typer.echo(f"Log: {letter.log_group}")
        typer.echo(f"  {letter.logs}")
        typer.echo("What you can do:")
        for what, command in letter.next.items():
            typer.echo(f"  {f'{what}:':<18}{plain(command)}")


def _show(dead: DeadLetter) -> None:
    letter = dead.letter
    terminal = console()
    terminal.print(Text(plain(letter.id), style="bold"), soft_wrap=True)
    for what, text in _facts(dead).items():
        if text:
            terminal.print(Text(f"  {what:<12}{plain(text)}"), soft_wrap=True)
    if dead.tries:
        terminal.print(Text("  tries"))
    for each in dead.tries:
        terminal.print(
            Text.assemble(f"    {each.at[:23]}Z  ", (plain(each.error), "bold red"), f"  {plain(each.reason)}"),
            soft_wrap=True,
        )


def _facts(dead: DeadLetter) -> dict[str, str]:
    letter, event = dead.letter, dead.event
    facts = {
        "error": letter.error,
        "reason": letter.reason,
        "dead since": letter.at,
        "consumer": f"{letter.consumer}{_kind(dead)}",
        "type": letter.type,
        "stream": f"{letter.stream} #{letter.sequence}" if letter.stream else "",
    }
    if operation := dead.entry.details.get("retried"):
        facts["retried"] = f"by operation/{operation}"
    if event is None:
        facts["message"] = f"{dead.size} bytes, SHA-256 {dead.sha256}"
        return facts
    m = event.metadata
    return facts | {
        "version": str(m.version),
        "happened": m.time,
        "recorded": m.recorded_at,
        "from": m.producer,
        "story": m.correlation_id,
        "caused by": m.causation_id or "",
        "data": json.dumps(shown(event), ensure_ascii=False),
    }


def _kind(dead: DeadLetter) -> str:
    if dead.consumer is None:
        return ""
    return f" ({'ordered ' if dead.consumer.ordered else ''}{dead.consumer.kind})"
