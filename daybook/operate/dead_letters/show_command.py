"""`daybook dead show`: one dead letter in detail."""

import json
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, console
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters.details import Details
from daybook.operate.drawing import draw, plain
from daybook.operate.masking import shown
from daybook.operate.trace.trace import Trace

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
        bool, typer.Option("--reveal", help="Show the message, too. It may hold personal data: beware of onlookers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show why an event is a dead letter of a consumer: the event, each delivery attempt that failed, its trace so far,
    and where the log is.

    Of a recorded event you see the data, but personal fields show as •••. A message that was never recorded, because
    admit has refused it, is shown only by its size and its SHA-256, unless you add `--reveal`. The last lines name the
    commands that you may want next.

    Exit code 1: there is no such dead letter.
    """
    with connected(stage) as connection:
        dead_letter = Details.of(connection, name)
        if as_json:
            typer.echo(json.dumps(dead_letter.as_data(reveal=reveal), indent=2, ensure_ascii=False))
            return
        answer(None, *_drawn(dead_letter), *([dead_letter.body] if reveal else []), as_json=False)
        if dead_letter.event:
            typer.echo()
            draw(Trace.of(connection, dead_letter.dead_letter.event), console())
        commands = [f"  {f'{what}:':<18}{command}" for what, command in dead_letter.next.items()]
        log = ["", f"Log: {dead_letter.log_group}", f"  {dead_letter.logs}"]
        answer(None, *log, "What you can do:", *commands, as_json=False)


def _drawn(dead: Details) -> Iterator[Text]:
    yield Text(plain(dead.dead_letter.id), style="bold")
    yield from (Text(f"  {what:<12}{plain(text)}") for what, text in _facts(dead).items() if text)
    if dead.attempts:
        yield Text("  delivery attempts")
    for each in dead.attempts:
        yield Text.assemble(
            f"    {each['at'][:23]}Z  ", (plain(each["error"]), "bold red"), "  ", plain(each["reason"])
        )


def _facts(dead: Details) -> dict[str, str]:
    dead_letter, event = dead.dead_letter, dead.event
    facts = {
        "error": dead_letter.error,
        "reason": dead_letter.reason,
        "dead since": dead_letter.at,
        "consumer": f"{dead_letter.consumer}{_kind(dead)}",
        "type": dead_letter.type,
        "stream": f"{dead_letter.stream} #{dead_letter.sequence}" if dead_letter.stream else "",
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
        "correlation": m.correlation_id,
        "caused by": m.causation_id or "",
        "data": json.dumps(shown(event), ensure_ascii=False),
    }


def _kind(dead: Details) -> str:
    if dead.consumer is None:
        return ""
    return f" ({'ordered ' if dead.consumer.ordered else ''}{dead.consumer.kind})"
