"""`daybook send`: put events on the ingress bus."""

from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage, text_of
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.send import send as sending
from daybook.operate.send.entries import Entry, NotSendable, problem, read_entries

EXAMPLES = """
**Examples**

- `daybook send samples/shop/2-fulfilled.json --stage local`
- `jq '.[0]' orders.json | daybook send - --stage dev`
- `daybook send order.json --json | jq -r .event_id`
"""


def send(
    file: Annotated[
        typer.FileText,
        typer.Argument(encoding="utf-8", metavar="FILE", help="JSON of the events, or `-` for standard input."),
    ],
    *,
    stage: Stage = "dev",
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Send also events that break their contract here: admit decides.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put events on the stage's ingress bus, as a producer would.

    FILE holds one entry of EventBridge's PutEvents, `{"Source": "shop.checkout", "DetailType": "OrderPlaced",
    "Detail": {"data": {…}}}`, a list of them, or such a list under `entries` or `Entries`. `Detail` may be an object or
    JSON text; `Time` is optional; the bus is always the stage's.

    First all events are checked against their contracts: if one breaks its contract, nothing is sent. An event with an
    `id` of its own in `Detail.metadata` can be sent again: it is a duplicate then, and not processed twice.

    For each event the command prints EventBridge's id and the id that it will have in Daybook. With `--json`, one
    object a line.
    """
    with connected(stage) as connection:
        entries = _checked(file, unchecked=unchecked)
        missed = []
        for outcome in sending.send(connection, entries):
            if not outcome.taken:
                missed.append(str(outcome.entry.number))
            _report(outcome, stage, as_json=as_json)
        if missed:
            numbers = ", ".join(missed)
            fail(
                f"{len(missed)} of {len(entries)} events were not taken: number {numbers}; send those again",
                exit_code=1,
            )


def _checked(file: typer.FileText, *, unchecked: bool) -> list[Entry]:
    entries = read_entries(text_of(file))
    problems = [] if unchecked else [(entry, wrong) for entry in entries if (wrong := problem(entry))]
    if problems:
        for entry, wrong in problems:
            note(f"event {entry.number}: {wrong}")
        msg = f"{len(problems)} of {len(entries)} events would be refused; nothing was sent (--unchecked sends anyway)"
        raise NotSendable(msg)
    return entries


def _report(outcome: sending.Outcome, stage: str, *, as_json: bool) -> None:
    entry = outcome.entry
    if not outcome.taken and not as_json:
        note(f"event {entry.number} ({entry.type}) was not taken: {outcome.error}")
        return
    data = {"number": entry.number, "type": entry.type, "source": entry.source, "taken": outcome.taken}
    answer(
        {**data, "envelope_id": outcome.envelope_id, "event_id": outcome.event_id, "error": outcome.error},
        f"{entry.type} from {entry.source}",
        f"  EventBridge's id  {outcome.envelope_id}",
        f"  event id          {outcome.event_id}",
        f"  follow it: daybook trace {outcome.event_id} --stage {stage}",
        as_json=as_json,
    )
