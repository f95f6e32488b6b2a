"""`daybook dead edit`: edit an event that admit has rejected."""

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
from daybook.operate.cli.stage import connected
from daybook.operate.dead_letters import edit as editing
from daybook.operate.errors import OperatorError
from daybook.operate.operation import check_reason
from daybook.operate.terminal import daybook, plain

EXAMPLES = """
**Examples**

- `daybook dead edit ID > corrected.json`
- `daybook dead edit ID --with corrected.json`
- `daybook dead edit ID --with corrected.json --reason "the checkout sent 0 pieces" --apply`
- `daybook dead edit ID --editor --reason "the checkout sent 0 pieces" --apply`
"""


def edit(
    dead_letter: Annotated[str, typer.Argument(metavar="ID", help="The dead letter: an event id, or EVENT@admit.")],
    *,
    with_: Annotated[
        typer.FileText | None,
        typer.Option(
            "--with", encoding="utf-8", metavar="FILE", help="File with the corrected event; `-` for standard input."
        ),
    ] = None,
    editor: Annotated[bool, typer.Option("--editor", help="Edit it in your editor ($VISUAL or $EDITOR).")] = False,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Edit an event that admit has rejected, and send the corrected event to admit.

    Without `--with` and `--editor`, the command prints the rejected event as JSON: source, detail-type, time and
    detail. Correct it in a file, and pass the file with `--with`. The output includes personal data.

    The corrected event is checked against its contract before it is sent. With `--apply`, it is sent to admit. Its id
    is derived from the dead letter's id, or from a field if its contract says so; its cause is the rejected event. When
    it is admitted, the dead letter is discarded, in one transaction with the record of the operation. If it is rejected
    again, the dead letter is not changed. After an interruption, repeat the command with the same file: the event is
    not admitted twice.

    Only events that admit has rejected can be edited. An event in the store is never edited.

    Exit code 1: there is no such dead letter, or the corrected event was not admitted.
    """
    with connected(stage) as connection:
        if apply and (done := editing.finish(connection, dead_letter)):
            _report(done, stage, as_json=as_json)
            return
        rejected = editing.find(connection, dead_letter)
        if with_ is None and not editor:
            _show(rejected, stage)
            return
        with _corrected_text(rejected, with_, stage, apply=apply) as text:
            try:
                corrected = rejected.corrected(connection, text)
            except editing.InvalidCorrection as error:
                raise editing.InvalidCorrection(
                    f"admit would reject the corrected event: {error}. Nothing was sent"
                ) from error
            if not apply:
                data = {
                    "dead_letter": rejected.dead_letter.id,
                    "event": corrected.event,
                    "type": corrected.type,
                    "source": corrected.source,
                }
                preview(
                    data,
                    f"Would send {corrected.type} from {corrected.source} to admit, as event {corrected.event}. "
                    f"When it is admitted, {rejected.dead_letter.id} ({rejected.dead_letter.error}) is discarded.",
                    as_json=as_json,
                )
                return
            check_reason(reason)
            interrupted = (
                f"Interrupted. The corrected event may have been sent to admit, as {corrected.event}. To discard the "
                "dead letter, repeat the command with the same event. It is not admitted twice."
            )
            with progress("waiting for admit", lambda: interrupted):
                done = editing.edit(connection, rejected, corrected, reason)
            _report(done, stage, as_json=as_json)


def _show(rejected: editing.RejectedEvent, stage: str) -> None:
    """Print the text to edit. Control characters are not sent to a terminal."""
    lines = rejected.form.split("\n")
    typer.echo("\n".join(map(plain, lines)) if sys.stdout.isatty() else rejected.form)
    dead_letter = rejected.dead_letter
    note(f"Rejected: {dead_letter.error}: {dead_letter.reason}")
    then = daybook("dead", "edit", dead_letter.event, **{"with": "FILE", "reason": "TEXT", "stage": stage})
    note(f"Correct it in a file, then: {then}")


def _report(done: editing.Edited, stage: str, *, as_json: bool) -> None:
    was = "was edited before" if done.before else "is edited"
    report(
        {"dead_letter": done.dead_letter, "event": done.event, "before": done.before},
        f"{done.dead_letter} {was}: {done.event} is admitted in its place.",
        f"See its trace: {daybook('trace', done.event, stage=stage)}",
        as_json=as_json,
    )


@contextmanager
def _corrected_text(
    rejected: editing.RejectedEvent, file: typer.FileText | None, stage: str, *, apply: bool
) -> Iterator[str]:
    """The corrected event, from the file or from an editor. The text of the editor is kept until it is used."""
    if file:
        yield text_of(file)
        return
    handle, name = tempfile.mkstemp(prefix="daybook-", suffix=".json")  # only this user can read it
    kept = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as new:
        new.write(rejected.form)
    used = False
    try:
        _open_editor(name)
        yield kept.read_text(encoding="utf-8")
        used = apply
    finally:
        if used:
            kept.unlink()
        else:
            again = daybook("dead", "edit", rejected.dead_letter.event, **{"with": name, "stage": stage})
            note(f"Your text is in {name}: {again}")


def _open_editor(file: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise OperatorError("no editor is set: set VISUAL or EDITOR, or edit the event in a file (--with FILE)")
    if subprocess.run([*shlex.split(editor), file], check=False).returncode:
        raise OperatorError(f"the editor ({editor}) failed; nothing was sent")
