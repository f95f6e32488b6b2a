"""`daybook dead edit`: mend what admit has refused."""

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

from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage, text_of
from daybook.operate.cli.printing import note
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters import edit as editing
from daybook.operate.dead_letters.index import NoSuchDeadLetter
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
    dead_letter: Annotated[
        str, typer.Argument(metavar="ID", help="The dead letter: EVENT, its event's id, or EVENT@admit.")
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
    time and detail; a message that is no such event is printed as it came. All of it is printed, including personal
    data.

    First the mended event is checked against its contract; if it breaks it, nothing is sent. With `--apply` it is sent
    to admit, under an id made from the dead letter's, or, if its contract names it by a field, under that; the refused
    event is its cause. Once it is admitted, and not before, the dead letter is discarded, in one transaction with the
    record of the operation. If it is refused again, it stays a dead letter. After an interruption repeat the command
    with the same file: nothing is admitted twice.

    Only events from outside can be mended. An event that is stored, and dead at a consumer, is never edited.

    Exit code 1: there is no such dead letter, or the mended event was not admitted.
    """
    with connected(stage) as connection:
        try:
            refused = editing.find(connection, dead_letter)
        except NoSuchDeadLetter:
            done = editing.finish(connection, dead_letter) if apply else None
            if done is None:
                raise
            _report(done, stage, as_json=as_json)
            return
        if with_ is None and not editor:
            _show(refused, stage)
            return
        with _mended_text(refused, with_, apply=apply) as text:
            try:
                mended = refused.mended(connection, text)
            except editing.NotMended as error:
                msg = f"the mended event would be refused: {error}. Nothing was sent"
                raise editing.NotMended(msg) from error
            if not apply:
                data = {
                    "dead_letter": refused.dead_letter.id,
                    "event": mended.event,
                    "type": mended.type,
                    "source": mended.source,
                }
                preview(
                    data,
                    f"Would give {mended.type} from {mended.source} to admit, as event {mended.event}, and, once it is "
                    f"admitted, discard the dead letter {refused.dead_letter.id} ({refused.dead_letter.error}).",
                    as_json=as_json,
                )
                return
            because(reason)
            interrupted = (
                f"Interrupted. The mended event may be on its way to admit, as {mended.event}; the dead letter is "
                "discarded only once you repeat the command with the same event. Nothing is admitted twice."
            )
            with progress("waiting for admit", lambda: interrupted):
                done = editing.edit(connection, refused, mended, reason)
            _report(done, stage, as_json=as_json)


def _show(refused: editing.Refused, stage: str) -> None:
    """Print what is to be mended; to a terminal, without characters that it would take for commands."""
    lines = refused.form.split("\n")
    typer.echo("\n".join(map(plain, lines)) if sys.stdout.isatty() else refused.form)
    dead_letter = refused.dead_letter
    note(f"Refused: {dead_letter.error}: {dead_letter.reason}")
    note(f"Mend it in a file, then: daybook dead edit {dead_letter.event} --with FILE --reason TEXT --stage {stage}")


def _report(done: editing.Edited, stage: str, *, as_json: bool) -> None:
    was = "was edited before" if done.before else "is edited"
    report(
        {"dead_letter": done.dead_letter, "event": done.event, "before": done.before},
        f"{done.dead_letter} {was}: in its place, {done.event} is admitted.",
        f"Follow it: daybook trace {done.event} --stage {stage}",
        as_json=as_json,
    )


@contextmanager
def _mended_text(refused: editing.Refused, file: typer.FileText | None, *, apply: bool) -> Iterator[str]:
    """The mended event as the operator gives it: in the file, or by an editor, whose text is kept until it is used."""
    if file:
        yield text_of(file)
        return
    handle, name = tempfile.mkstemp(prefix="daybook-", suffix=".json")  # which only this user can read
    kept = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as new:
        new.write(refused.form)
    used = False
    try:
        _open_editor(name)
        yield kept.read_text(encoding="utf-8")
        used = apply
    finally:
        if used:
            kept.unlink()
        else:
            note(f"What you wrote is in {name}: daybook dead edit {refused.dead_letter.event} --with {name}")


def _open_editor(file: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise OperatorError("no editor is set: set VISUAL or EDITOR, or mend the event in a file (--with FILE)")
    if subprocess.run([*shlex.split(editor), file], check=False).returncode:
        msg = f"the editor ({editor}) has failed; nothing was sent"
        raise OperatorError(msg)
