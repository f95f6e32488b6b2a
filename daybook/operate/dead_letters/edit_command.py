"""`daybook dead edit`: mend what admit has refused."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from daybook.operate.cli.interruption import INTERRUPTED
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import note
from daybook.operate.cli.reaching import connected
from daybook.operate.connection import Connection
from daybook.operate.dead_letters import edit as editing
from daybook.operate.dead_letters.index import NoSuchLetter
from daybook.operate.drawing import plain
from daybook.operate.errors import OperatorError
from daybook.operate.operation import because

EXAMPLES = """
**Examples**

- `daybook dead edit ID > mended.json`
- `daybook dead edit ID --with mended.json`
- `daybook dead edit ID --with mended.json --reason "the checkout sent 0 pieces" --apply`
- `daybook dead edit ID --editor --reason "the checkout sent 0 pieces" --apply`
"""


def edit(
    letter: Annotated[
        str, typer.Argument(metavar="ID", help="The letter: its event's id, or that with `@admit` behind it.")
    ],
    *,
    with_: Annotated[
        typer.FileText | None,
        typer.Option("--with", encoding="utf-8", metavar="FILE", help="The mended event; `-` for standard input."),
    ] = None,
    editor: Annotated[
        bool, typer.Option("--editor", help="Mend it in your editor ($VISUAL or $EDITOR) instead of in a file.")
    ] = False,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Mend an event that admit has refused, and have it admitted in the place of the refused one.

    Without `--with` and `--editor` the refused event is printed as JSON, to be mended in a file: source, detail-type,
    time and detail; what is no such event is printed as it came. All of it is printed, also what is about people.

    The mended event is held against its contract first; if it does not keep it, nothing is sent. With `--apply` it is
    given to admit, under an id made of the letter's, or, if its contract names it by a field, under that; it names the
    refused one as its cause. Once it is admitted, and not before, the letter is discarded, in one transaction with the
    record of what you did. If it is refused again, the letter stays. An edit that was interrupted is repeated with the
    same file: nothing is admitted twice.

    Only events from outside can be mended. One that is stored, and dead at a consumer, is never edited.

    Exit code 1: no such letter, or the mended event was not admitted.
    """
    with connected(stage) as connection:
        try:
            refused = editing.find(connection, letter)
        except NoSuchLetter:
            done = editing.finish(connection, letter) if apply else None
            if done is None:
                raise
            _tell(done, stage, as_json=as_json)
            return
        if with_ is None and not editor:
            _show(refused, stage)
            return
        with _mended_text(refused, with_, apply=apply) as text:
            _go_on(connection, refused, text, reason, stage, apply=apply, as_json=as_json)


def _go_on(
    connection: Connection,
    refused: editing.Refused,
    text: str,
    reason: str,
    stage: str,
    *,
    apply: bool,
    as_json: bool,
) -> None:
    """With what the operator has made of the event."""
    try:
        mended = refused.mended(connection, text)
    except editing.NotMended as error:
        msg = f"the mended event would be refused: {error}. Nothing was sent"
        raise editing.NotMended(msg) from error
    if not apply:
        _announce(refused, mended, as_json=as_json)
    else:
        _tell(_apply(connection, refused, mended, because(reason)), stage, as_json=as_json)


def _apply(connection: Connection, refused: editing.Refused, mended: editing.Mended, reason: str) -> editing.Edited:
    try:
        with Console(stderr=True).status("waiting for admit …"):
            return editing.edit(connection, refused, mended, reason)
    except KeyboardInterrupt:
        note(
            f"Interrupted. The mended event may be on its way to admit, as {mended.event}; the letter is set "
            "aside only once you repeat the command with the same event. Nothing is admitted twice."
        )
        raise typer.Exit(INTERRUPTED) from None


def _show(refused: editing.Refused, stage: str) -> None:
    """Print what is to be mended; to a terminal, without what that would take for commands."""
    lines = refused.form.split("\n")
    typer.echo("\n".join(map(plain, lines)) if sys.stdout.isatty() else refused.form)
    letter = refused.letter
    note(f"Refused: {letter.error}: {letter.reason}")
    note(f"Mend it in a file, then: daybook dead edit {letter.event} --with FILE --reason TEXT --stage {stage}")


def _announce(refused: editing.Refused, mended: editing.Mended, *, as_json: bool) -> None:
    if as_json:
        told = {"letter": refused.letter.id, "event": mended.event, "type": mended.type, "source": mended.source}
        typer.echo(json.dumps(told | {"applied": False}))
        return
    typer.echo(
        f"Would give {mended.type} from {plain(mended.source)} to admit, as event {mended.event}, and, once it is "
        f"admitted, discard the letter {refused.letter.id} ({plain(refused.letter.error)})."
    )
    typer.echo("Nothing was changed. To do it, repeat the command with --apply.")


def _tell(done: editing.Edited, stage: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"letter": done.letter, "event": done.event, "applied": True, "before": done.before}))
        return
    told = "was edited before" if done.before else "is edited"
    typer.echo(f"{done.letter} {told}: in its place, {done.event} is admitted.")
    typer.echo(f"Follow it: daybook trace {done.event} --stage {stage}")


@contextmanager
def _mended_text(refused: editing.Refused, file: typer.FileText | None, *, apply: bool) -> Iterator[str]:
    """The mended event as the operator gives it: in the file, or by an editor, whose text is kept until it is used."""
    if file:
        try:
            yield file.read()
        except UnicodeDecodeError as error:
            msg = f"{file.name} is not UTF-8 text"
            raise editing.NotMended(msg) from error
        return
    handle, name = tempfile.mkstemp(prefix="daybook-", suffix=".json")  # which only this user can read
    with os.fdopen(handle, "w", encoding="utf-8") as kept:
        kept.write(refused.form)
    used = False
    try:
        _open_editor(name)
        yield Path(name).read_text(encoding="utf-8")
        used = apply
    finally:
        if used:
            Path(name).unlink()
        else:
            note(f"What you wrote is in {name}: daybook dead edit {refused.letter.event} --with {name}")


def _open_editor(file: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        msg = "no editor is set: set VISUAL or EDITOR, or mend the event in a file (--with FILE)"
        raise OperatorError(msg)
    if subprocess.run([*shlex.split(editor), file], check=False).returncode:
        msg = f"the editor ({editor}) has failed; nothing was sent"
        raise OperatorError(msg)
