"""`daybook dead`: listing dead letters, and deciding about them."""

import shlex
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
from daybook.operate.cli.reaching import connected
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
from daybook.operate.drawing import number_of, plain

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

# Of how many groups it is said what to type; the newest dead letter of each is named with --json.
_MOST_EXAMPLES = 5

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
    """List the events that could not be processed and wait for a decision, in groups: by consumer and by error.

    A dead letter is one event at one consumer, and is named by both: `EVENT@CONSUMER`. Messages are among them that
    admit has refused, that rules could not deliver, or that publish or fire-timers have set aside. Parts of a reason
    that differ from case to case are shown as `<n>`, `<id>`, `<text>` and the like. The largest group comes first. For
    the largest groups the command says what helps: retry, edit, resolve, or discard.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    with connected(stage) as connection:
        wanted = selection(consumer, error, event_type, stream, since)
        with progress("reading the index of dead letters"):
            found = Failures.of(index.dead_letters(connection, wanted))
        data = {"count": found.count, "groups": found.as_data(), "others": found.others}
        none = f"There are no dead letters{'' if wanted.everything else ' of that kind'}."
        answer(data, *(_drawn(found, connection) if found.count and not as_json else [none]), as_json=as_json)
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
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters one by one: when each died, its id, its event's type and place, and its error.

    Those of one consumer are sorted from the oldest to the newest; those of several are not sorted. With `--json`, one
    object a line.
    """
    with connected(stage) as connection:
        wanted = selection(consumer, error, event_type, stream, since)
        found = index.dead_letters(connection, wanted)
        dead_letter: index.DeadLetter | None = None
        for dead_letter in islice(found, limit):
            answer({"id": dead_letter.id, **asdict(dead_letter)}, _line(dead_letter), as_json=as_json)
        if dead_letter is None:
            note(f"There are no dead letters{'' if wanted.everything else ' of that kind'}")
        if next(found, None):
            note(f"There are more than these {limit}. Raise --limit, or see them in groups: daybook dead")
        note_that_the_index_lags(stage)


app.command(epilog=dead_show.EXAMPLES)(dead_show.show)
app.command(epilog=dead_retry.EXAMPLES)(dead_retry.retry)
app.command(epilog=dead_discard.EXAMPLES)(dead_discard.discard)
app.command(epilog=dead_resolve.EXAMPLES)(dead_resolve.resolve)
app.command(epilog=dead_edit.EXAMPLES)(dead_edit.edit)


def _refuse_options_before(context: typer.Context) -> None:
    """A `--stage` that stands before `discard`, and is ignored, would discard dead letters of another stage."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            fail(f"put options behind the command: daybook dead {context.invoked_subcommand} …; nothing was done")


def _drawn(found: Failures, connection: Connection) -> Iterator[RenderableType]:
    kinds = found.groups
    title = f"{number_of(found.count, 'dead letter')}, as of {clock.now()[:19]}Z"
    yield found.table(title, "count", "consumer", "error", "reason", "oldest", "newest")
    if found.others:
        yield f"{found.others} others are of kinds beyond these {len(kinds)}; narrow by --consumer or --error."
    yield "What you can do next:" if len(kinds) <= _MOST_EXAMPLES else "What you can do next, of the largest:"
    yield from (f"  {line}" for line in _next(kinds[:_MOST_EXAMPLES], connection))


def _next(kinds: Sequence[Group], connection: Connection) -> Iterator[str]:
    """What to type about these groups: those that one command takes together stand together."""
    unknown = any(group.error == OUTCOME_UNKNOWN for group in kinds)
    deployed = consumers(connection) if unknown else {}
    together: dict[tuple[str, str], list[Group]] = {}
    for group in kinds:
        together.setdefault((group.consumer, group.error), []).append(group)
    stage = f"--stage {connection.stage}"
    for (consumer, error), groups in together.items():
        helps = remedy(consumer, error, deployed.get(consumer))
        yield f"{error or 'all'} at {consumer}: {helps}"
        yield from (f"  daybook dead show {group.example} {stage}" for group in groups)
        only = f"--consumer {consumer}" + (f" --error {shlex.quote(error)}" if error else "")
        example, give_up = groups[0].example, f"  daybook dead discard {only} --reason … {stage}"
        match helps:
            case Remedy.RETRY:
                yield f"  daybook dead retry {only} --first 1 {stage}"
            case Remedy.MEND:
                yield f"  daybook dead edit {example} {stage}"
                yield give_up
            case Remedy.RESOLVE:
                yield f"  daybook dead resolve {example} --outcome … {stage}"
            case Remedy.GIVE_UP:
                yield give_up


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
