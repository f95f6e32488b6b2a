"""How commands speak: the answer to standard output, all else to standard error."""

import json
import sys
from typing import Never

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from daybook.operate.connection import LOCAL
from daybook.operate.drawing import plain

# Where lines are not for a terminal, they are not broken to its width.
_WIDE = 1_000


def console() -> Console:
    """Where trees and coloured lines are printed."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def answer(data: object, *lines: RenderableType, as_json: bool) -> None:
    """Print the answer: `data` as one line of JSON for programs, or `lines`, texts and tables, for people."""
    if as_json:
        typer.echo(json.dumps(data, ensure_ascii=False))
        return
    for line in lines:
        if isinstance(line, str):
            typer.echo(plain(line))
        else:
            console().print(line, soft_wrap=isinstance(line, Text))


def note(text: str) -> None:
    """Print to standard error what is not the answer itself."""
    typer.echo(plain(text), err=True)


def fail(sentence: str, *, exit_code: int = 2) -> Never:
    """End the command with one sentence that says what is wrong."""
    note(f"Error: {sentence}")
    raise typer.Exit(exit_code)


def note_that_the_index_lags(stage: str) -> None:
    """Note that events of the last moments may be missing, where that can be."""
    if stage != LOCAL:  # where indexes do not lag
        note("Events of the last moments may be missing: the index lags")
