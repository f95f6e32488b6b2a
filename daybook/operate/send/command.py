"""`daybook send`: send events to the ingress bus."""

from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage, text_of
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.stage import connected
from daybook.operate.send import send as sending
from daybook.operate.send.entries import Entry, InvalidEntries, problem, read_entries
from daybook.operate.terminal import daybook

EXAMPLES = """
**Examples**

- `daybook send samples/shop/2-fulfilled.json --stage local`
- `jq '.[0]' orders.json | daybook send - --stage dev`
- `daybook send order.json --json | jq -r .event_id`
"""


def send(
    file: Annotated[
        typer.FileText,
        typer.Argument(encoding="utf-8", metavar="FILE", help="JSON file with events; `-` for standard input."),
    ],
    *,
    stage: Stage = "dev",
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Do not check the events against their contracts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send events to the stage's ingress bus, as a producer would.

    FILE contains one entry of EventBridge's PutEvents, `{"Source": "shop.checkout", "DetailType": "OrderPlaced",
    "Detail": {"data": {…}}}`, a list of them, or such a list under `entries` or `Entries`. `Detail` can be an object or
    JSON text. `Time` is optional. The bus is always the stage's ingress bus.

    All events are checked against their contracts first: if one is invalid, nothing is sent. An event with an `id` in
    `Detail.metadata` can be sent again: the second one is a duplicate, and is not processed twice.

    For each event, the command prints EventBridge's id and the event id in Daybook. With `--json`, prints one object
    per line.
    """
    with connected(stage) as connection:
        entries = _checked(file, unchecked=unchecked)
        missed = []
        for outcome in sending.send(connection, entries):
            if not outcome.accepted:
                missed.append(str(outcome.entry.number))
            _report(outcome, stage, as_json=as_json)
        if missed:
            numbers = ", ".join(missed)
            fail(
                f"{len(missed)} of {len(entries)} events were rejected: number {numbers}; send these again",
                exit_code=1,
            )


def _checked(file: typer.FileText, *, unchecked: bool) -> list[Entry]:
    entries = read_entries(text_of(file))
    problems = [] if unchecked else [(entry, wrong) for entry in entries if (wrong := problem(entry))]
    if problems:
        for entry, wrong in problems:
            note(f"event {entry.number}: {wrong}")
        raise InvalidEntries(
            f"{len(problems)} of {len(entries)} events are invalid; nothing was sent (--unchecked sends them "
            f"without a check)"
        )
    return entries


def _report(outcome: sending.Outcome, stage: str, *, as_json: bool) -> None:
    entry = outcome.entry
    if not outcome.accepted and not as_json:
        note(f"event {entry.number} ({entry.type}) was rejected: {outcome.error}")
        return
    data = {"number": entry.number, "type": entry.type, "source": entry.source, "accepted": outcome.accepted}
    answer(
        {**data, "envelope_id": outcome.envelope_id, "event_id": outcome.event_id, "error": outcome.error},
        f"{entry.type} from {entry.source}",
        f"  EventBridge's id  {outcome.envelope_id}",
        f"  event id          {outcome.event_id}",
        f"  see its trace: {daybook('trace', str(outcome.event_id), stage=stage)}",
        as_json=as_json,
    )
