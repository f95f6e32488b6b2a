"""`daybook sanctions`: load and show lists of names, and decide whether a counterparty is a listed person."""

import json
from pathlib import Path
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Commands, Stage
from daybook.operate.cli.printing import answer, say, say_json
from daybook.operate.cli.stage import connected
from daybook.operate.terminal import daybook
from functions.compliance.csv_rows import BadList
from functions.compliance.deciding import Decisions, Verdict
from functions.compliance.sanctions_files import (
    DEFAULT_SCREEN_AGAIN_DAYS,
    active_lists,
    read_list,
)

EXAMPLES = """
**Examples**

- `daybook sanctions load SDN.CSV ALT.CSV`
- `daybook sanctions load SDN.CSV ALT.CSV --apply --stage prod`
- `daybook sanctions load SDN.CSV ALT.CSV --min-similarity 92 --apply`
- `daybook sanctions load CONS_PRIM.CSV CONS_ALT.CSV --list consolidated --apply`
- `daybook sanctions load eu.csv --apply`
"""
STATUS_EXAMPLES = """
**Examples**

- `daybook sanctions status --stage prod`
- `daybook sanctions status --json | jq -r .name`
"""
DECIDE_EXAMPLES = """
**Examples**

- `daybook sanctions decide CASE not_this_person --reason "Another date of birth" --by S-2041`
- `daybook sanctions decide CASE this_person --entry 9001 --reason "Passport checked" --by S-2041 --apply --stage prod`
"""

app = typer.Typer()
lists = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(lists, name="sanctions")


@lists.callback()
def sanctions() -> None:
    """Load lists of sanctioned names, and decide about matches. Compliance compares counterparties with each list."""


@lists.command(epilog=EXAMPLES)
def load(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="SDN.CSV and ALT.CSV, or the EU's file."),
    ],
    *,
    list_name: Annotated[
        str | None,
        typer.Option("--list", metavar="NAME", help="The list; default: `sdn` for OFAC's files, `eu` for the EU's."),
    ] = None,
    stage: Stage = "dev",
    min_similarity: Annotated[
        int | None,
        typer.Option(
            min=50, max=100, help="Similarity in percent from which names match; default: that of the active list."
        ),
    ] = None,
    screen_again_days: Annotated[
        int, typer.Option("--days", min=0, max=366, help="Screen counterparties of the last so many days again.")
    ] = DEFAULT_SCREEN_AGAIN_DAYS,
    force: Annotated[
        bool, typer.Option("--force", help="Load it even if it has far fewer names than the active list.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Load it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load a sanctions list from the files that its publisher offers.

    OFAC, of the US Treasury, publishes SDN.CSV and ALT.CSV, and the consolidated list with the same columns. The EU
    publishes one CSV file of version 1.1; the command recognises it by its header. Lists with different names are
    active side by side. A list replaces only the version with the same name.

    First the command checks the files. It changes nothing if a row is broken, a file has no names, a name belongs to
    an unknown entry, or there are far fewer names than in the active version. Then it writes the list under a new
    version and sends the event SanctionsListLoaded. A few seconds later the new version is active, and every
    transaction that is screened from then on is compared with it. Counterparties of the last days are compared with it
    once more; with the first version of a list, all of them.
    """
    with connected(stage) as connection:
        new = read_list(
            [(file.name, _text(file)) for file in files],
            name=list_name,
            active=active_lists(connection),
            min_similarity=min_similarity,
            screen_again_days=screen_again_days,
        )
        active = new.replaces
        if not force:
            new.check_size()
        event_id = new.write(connection) if apply else None
        event = new.event
        if as_json:
            replaces = active.list_version if active else None
            status = {"event_id": event_id, "applied": apply, "replaces": replaces}
            say_json(json.loads(event.to_json()) | status)
            return
        replaced = f"It replaces version {active.list_version} with {active.names} names." if active else ""
        text = (
            f"{event.names} names of {event.entries} entries of the list {new.name} as version {event.list_version}. "
            f"Names match from {event.min_similarity} percent on. {replaced or 'It is the first version of this list.'}"
        )
        if event_id is None:
            say(f"Would load {text}")
            say("Nothing was changed. To load it, repeat the command with --apply.")
            return
        say(f"Loaded {text}")
        say(f"To see when it is active: {daybook('trace', event_id, stage=stage)}")


@lists.command(epilog=STATUS_EXAMPLES)
def status(*, stage: Stage = "dev", as_json: AsJson = False) -> None:
    """Show all active sanctions lists: the version, the number of names, and from which similarity on names match.

    With `--json`, one object a line.
    """
    with connected(stage) as connection:
        active = active_lists(connection).values()
        for each in active:
            loaded = f"loaded at {each.loaded_at:%Y-%m-%d %H:%M} UTC, " if each.loaded_at else ""
            text = f"{each.name}: version {each.list_version}, {loaded}{each.names} names, from {each.min_similarity} %"
            answer(each.model_dump(mode="json", exclude={"others"}), text, as_json=as_json)
        if not active and not as_json:
            say("No sanctions list is active. To load one: daybook sanctions load")


@lists.command(epilog=DECIDE_EXAMPLES)
def decide(
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of the case.")],
    decision: Annotated[Verdict, typer.Argument(metavar="DECISION", help="`not_this_person` or `this_person`.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, in words. It is stored as personal data.")],
    by: Annotated[str, typer.Option(metavar="ID", help="The bank's own id of the person who decided.")],
    entry: Annotated[
        int | None, typer.Option(help="Only about this entry of the list; default: all of the case.")
    ] = None,
    stage: Stage = "dev",
    apply: Annotated[bool, typer.Option("--apply", help="Send it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide whether the counterparty of a case is a listed person.

    After `not_this_person`, transfers with this counterparty open no case because of this entry, for any customer if
    the account number of the counterparty is known, else for this customer. The decision is stored with its reason. A
    later decision replaces it. The case itself stays open: only people close cases.
    """
    with connected(stage) as connection:
        decisions = Decisions.of(connection, case, entry=entry, verdict=decision, reason=reason, decided_by=by)
        ids = decisions.send(connection) if apply else []
        entries = [each.entry for each in decisions.events]
        if as_json:
            say_json({"case": case, "decision": decision, "entries": entries, "event_ids": ids})
            return
        about = (
            f"that the counterparty of case {case} is {decision} of {', '.join(f'entry {each}' for each in entries)}."
        )
        if not apply:
            say(f"Would decide {about}")
            say("Nothing was changed. To decide, repeat the command with --apply.")
            return
        say(f"Decided {about}")
        say(f"To see when it applies: {daybook('trace', ids[-1], stage=stage)}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{file.name} is not UTF-8 text; nothing was changed"
        raise BadList(msg) from error
