"""`daybook sanctions`: the list that counterparties' names are held against."""

import json
from pathlib import Path
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Commands, Stage
from daybook.operate.cli.reaching import connected
from functions.compliance.sanctions_files import LEAST_LIKENESS, BadList, list_in_force, loading

EXAMPLES = """
**Examples**

- `daybook sanctions load SDN.CSV ALT.CSV`
- `daybook sanctions load SDN.CSV ALT.CSV --apply --stage prod`
- `daybook sanctions load SDN.CSV ALT.CSV --least-likeness 92 --apply`
"""

app = typer.Typer()
lists = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(lists, name="sanctions")


@lists.callback()
def sanctions() -> None:
    """Load the list of sanctioned names that counterparties of transfers are held against."""


@lists.command(epilog=EXAMPLES)
def load(
    sdn: Annotated[Path, typer.Argument(metavar="SDN.CSV", exists=True, dir_okay=False, help="Who is listed.")],
    alt: Annotated[
        Path, typer.Argument(metavar="ALT.CSV", exists=True, dir_okay=False, help="Under which other names.")
    ],
    *,
    stage: Stage = "dev",
    least_likeness: Annotated[
        int | None,
        typer.Option(
            min=50, max=100, help="From how many percent on a name is like a listed one; as now, unless given."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Load it though it has far fewer names than the list in force.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load a sanctions list from the files SDN.CSV and ALT.CSV as the US Treasury publishes them.

    First both files are looked at. A row that is broken, a file without names, a name of an entry that is not there,
    or far fewer names than are in force: nothing is changed, and the list in force stays in force. Then the list is
    written in whole under a version of its own, and only then told of, by the event SanctionsListLoaded. Every
    transaction that is looked at after that event was handled, as a rule seconds later, is held against the new list.
    """
    with connected(stage) as connection:
        in_force = list_in_force(connection)
        likeness = least_likeness or (in_force.least_likeness if in_force else LEAST_LIKENESS)
        made = loading(_text(sdn), _text(alt), least_likeness=likeness)
        if not force:
            made.refuse_if_far_fewer(in_force)
        event_id = made.write(connection) if apply else None
        event = made.event
        if as_json:
            told = json.loads(event.to_json()) | {"event_id": event_id, "applied": apply}
            typer.echo(json.dumps(told | {"in_force": in_force.list_version if in_force else None}))
            return
        what = f"{event.names} names of {event.entries} entries, as version {event.list_version}"
        instead = (
            f"in place of {in_force.names} names, version {in_force.list_version}" if in_force else "the first list"
        )
        how = f"names are alike from {event.least_likeness} percent on"
        if event_id is None:
            typer.echo(f"Would load {what}, {instead}; {how}.")
            typer.echo("Nothing was changed. To load it, repeat the command with --apply.")
            return
        typer.echo(f"Loaded {what}, {instead}; {how}.")
        typer.echo(f"It is in force once it is adopted: daybook trace {event_id} --stage {stage}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{file.name} is not UTF-8 text; nothing was changed"
        raise BadList(msg) from error
