"""`daybook dead show`: show one dead letter in detail."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from daybook.contracts.card_search import is_removed
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, console, say, say_json
from daybook.operate.cli.stage import connected
from daybook.operate.dead_letters.details import Details
from daybook.operate.drawing import draw
from daybook.operate.masking import shown
from daybook.operate.terminal import json_text, plain
from daybook.operate.trace.trace import Trace

EXAMPLES = """
**Examples**

- `daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d`
- `daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d@confirm-order --stage prod`
- `daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d@admit --reveal`
- `eval "$(daybook dead show 954ee5d5-d2e0-81b7-909d-26244858827d --json | jq -r .logs)"`
"""


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="The dead letter: an event id, or EVENT@CONSUMER.")],
    *,
    stage: Stage = "dev",
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Also print what is hidden: it may be personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter in detail: the event, the error, the failed delivery attempts, the trace, and the log group.

    The data of a recorded event is read from the store and shown with personal fields hidden (•••); `--reveal` prints
    all of it. Of a message that was never recorded, because admit has rejected it, only the size and the SHA-256 are
    shown; `--reveal` prints the message. The last lines are the possible next steps.

    Exit code 1: there is no such dead letter.
    """
    with connected(stage) as connection:
        dead_letter = Details.of(connection, name)
        if as_json:
            say_json(dead_letter.as_data(reveal=reveal), indent=2)
            return
        answer(None, *_lines(dead_letter), *([dead_letter.revealed] if reveal else []), as_json=False)
        if dead_letter.event:
            say()
            draw(Trace.of(connection, dead_letter.dead_letter.event), console())
        commands = [f"  {f'{what}:':<20}{command}" for what, command in dead_letter.next.items()]
        log = ["", f"Log: {dead_letter.log_group}", f"  {dead_letter.logs}"]
        answer(None, *log, "Next steps:", *commands, as_json=False)


def _lines(dead: Details) -> Iterator[Text]:
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
    if is_removed(dead.body):
        facts["removed"] = "card numbers, so the message cannot be sent again as it was"
    if operation := dead.entry.details.get("retried"):
        facts["retried"] = f"by operation/{operation}"
    if event is None:
        facts["message"] = f"{dead.size} bytes, SHA-256 {dead.sha256}"
        return facts
    m = event.metadata
    return facts | {
        "version": str(m.version),
        "occurred": m.time,
        "recorded": m.recorded_at,
        "producer": m.producer,
        "correlation": m.correlation_id,
        "caused by": m.causation_id or "",
        "data": json_text(shown(event)),
    }


def _kind(dead: Details) -> str:
    if dead.consumer is None:
        return ""
    return f" ({'ordered ' if dead.consumer.ordered else ''}{dead.consumer.kind})"
