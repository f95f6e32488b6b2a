"""`daybook dead`: list dead letters, and decide about them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from daybook.contracts import clock
from daybook.operate.cli.operation import progress
from daybook.operate.cli.options import AsJson, Commands, Stage
from daybook.operate.cli.printing import answer, fail, note, note_that_the_index_lags
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.dead_letters import discard_command as dead_discard
from daybook.operate.dead_letters import edit_command as dead_edit
from daybook.operate.dead_letters import index
from daybook.operate.dead_letters import resolve_command as dead_resolve
from daybook.operate.dead_letters import retry_command as dead_retry
from daybook.operate.dead_letters import show_command as dead_show
from daybook.operate.dead_letters.choice import (
    ConsumerOption,
    ErrorOption,
    SinceOption,
    StreamOption,
    TypeOption,
    selection,
)
from daybook.operate.dead_letters.groups import Failures, Group
from daybook.operate.dead_letters.remedies import Remedy, remedy
from daybook.operate.dead_letters.retry import OUTCOME_UNKNOWN
from daybook.operate.drawing import number_of
from daybook.operate.terminal import daybook, plain

EXAMPLES = """
**Examples**

- `daybook dead`
- `daybook dead --consumer confirm-order --since 2h --stage prod`
- `daybook dead --json | jq '.groups[] | select(.count > 100)'`
"""
OF_LIST = """
**Examples**

- `daybook dead list --consumer confirm-order --error KeyError`
- `daybook dead list --stream order/ --json | jq -r .id`
"""

# The number of groups for which next steps are printed. `--json` has an example of each group.
_MAX_EXAMPLES = 5

app = typer.Typer(cls=Commands, rich_markup_mode="markdown")


@app.callback(invoke_without_command=True, epilog=EXAMPLES)
def groups(
    context: typer.Context,
    *,
    stage: Stage = "dev",
    consumer: ConsumerOption = None,
    error: ErrorOption = None,
    event_type: TypeOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, grouped by consumer and error. A dead letter is an event that a consumer could not process.

    The id of a dead letter is `EVENT@CONSUMER`. The list includes messages that admit has rejected, that a rule could
    not deliver, and that publish or fire-timers could not process. In reasons, the parts that differ from event to
    event are shown as `<n>`, `<id>`, `<text>` and so on. The largest group comes first. For the largest groups, the
    command prints the next steps: retry, edit, resolve, or discard.
    """
    if context.invoked_subcommand is not None:
        _reject_options_before_subcommand(context)
        return
    with connected(stage) as connection:
        wanted = selection(consumer, error, event_type, stream, since)
        with progress("reading the index of dead letters"):
            found = Failures.of(index.dead_letters(connection, wanted, ignored=note))
        data = {"count": found.count, "groups": found.as_data(), "others": found.others}
        none = f"There are no dead letters{'' if wanted.everything else ' of this kind'}."
        answer(data, *(_table(found, connection) if found.count and not as_json else [none]), as_json=as_json)
        note_that_the_index_lags(stage)


@app.command("list", epilog=OF_LIST)
def list_(
    *,
    stage: Stage = "dev",
    consumer: ConsumerOption = None,
    error: ErrorOption = None,
    event_type: TypeOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of dead letters.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters one by one: the time of death, the id, the event's type and stream, and the error.

    With `--consumer`, the oldest comes first; otherwise the list is not sorted. With `--json`, prints one object per
    line.
    """
    with connected(stage) as connection:
        wanted = selection(consumer, error, event_type, stream, since)
        found = index.dead_letters(connection, wanted, ignored=note)
        dead_letter: index.DeadLetter | None = None
        for dead_letter in islice(found, limit):
            answer({"id": dead_letter.id, **asdict(dead_letter)}, _line(dead_letter), as_json=as_json)
        if dead_letter is None:
            note(f"There are no dead letters{'' if wanted.everything else ' of this kind'}")
        if next(found, None):
            groups_of = daybook("dead", stage=stage)
            note(f"Only the first {limit} are shown. Raise --limit, or list groups with: {groups_of}")
        note_that_the_index_lags(stage)


app.command(epilog=dead_show.EXAMPLES)(dead_show.show)
app.command(epilog=dead_retry.EXAMPLES)(dead_retry.retry)
app.command(epilog=dead_discard.EXAMPLES)(dead_discard.discard)
app.command(epilog=dead_resolve.EXAMPLES)(dead_resolve.resolve)
app.command(epilog=dead_edit.EXAMPLES)(dead_edit.edit)


def _reject_options_before_subcommand(context: typer.Context) -> None:
    """Without this, `--stage` before `discard` would be ignored, and dead letters of another stage be discarded."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            command = daybook("dead", str(context.invoked_subcommand))
            fail(f"put options after the command: {command} …; nothing was changed")


def _table(found: Failures, connection: Connection) -> Iterator[RenderableType]:
    kinds = found.groups
    title = f"{number_of(found.count, 'dead letter')}, as of {clock.now()[:19]}Z"
    yield found.table(title, "count", "consumer", "error", "reason", "oldest", "newest")
    if found.others:
        yield f"{found.others} more are in groups that are not listed; filter by --consumer or --error."
    yield "Next steps:" if len(kinds) <= _MAX_EXAMPLES else "Next steps for the largest groups:"
    yield from (f"  {line}" for line in _next(kinds[:_MAX_EXAMPLES], connection))


def _next(kinds: Sequence[Group], connection: Connection) -> Iterator[str]:
    """The next steps for these groups. Groups that one command can handle are joined."""
    unknown = any(group.error == OUTCOME_UNKNOWN for group in kinds)
    deployed = consumers(connection) if unknown else {}
    together: dict[tuple[str, str], list[Group]] = {}
    for group in kinds:
        together.setdefault((group.consumer, group.error), []).append(group)
    stage = connection.stage
    for (consumer, error), groups in together.items():
        advice = remedy(consumer, error, deployed.get(consumer))
        yield f"{error or 'all'} at {consumer}: {advice}"
        yield from (f"  {daybook('dead', 'show', group.example, stage=stage)}" for group in groups)
        example = groups[0].example
        discard = daybook("dead", "discard", consumer=consumer, error=error, reason="…", stage=stage)
        match advice:
            case Remedy.RETRY | Remedy.UNPROVEN_ROW:
                yield f"  {daybook('dead', 'retry', consumer=consumer, error=error, first='1', stage=stage)}"
            case Remedy.EDIT:
                yield f"  {daybook('dead', 'edit', example, stage=stage)}"
                yield f"  {discard}"
            case Remedy.RESOLVE:
                yield f"  {daybook('dead', 'resolve', example, outcome='…', stage=stage)}"
            case Remedy.DISCARD | Remedy.FORGED | Remedy.NOT_PROVEN:
                yield f"  {discard}"


def _line(dead_letter: index.DeadLetter) -> Text:
    place = f"{dead_letter.stream} #{dead_letter.sequence}" if dead_letter.stream else ""
    return Text.assemble(
        (f"{dead_letter.at[:23]}Z", "dim"),
        f"  {plain(dead_letter.id)}",
        (f"  {plain(dead_letter.type)}" if dead_letter.type else "", "bold cyan"),
        f"  {plain(place)}" if place else "",
        (f"  {plain(dead_letter.error)}", "bold red"),
        f"  {plain(dead_letter.reason)}",
    )
