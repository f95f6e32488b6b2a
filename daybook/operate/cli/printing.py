"""Output of commands: the answer to standard output, everything else to standard error."""

import sys
from typing import Any, Never

import typer
from rich.console import RenderableType
from rich.text import Text

from daybook.operate.connection import LOCAL
from daybook.operate.terminal import Terminal, json_text, plain

# The width when the output is not a terminal: lines are not wrapped.
_WIDE = 1_000


def console(*, stderr: bool = False) -> Terminal:
    """The console for trees, tables and coloured lines."""
    stream = sys.stderr if stderr else sys.stdout
    return Terminal(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDE)


def answer(data: object, *lines: RenderableType, as_json: bool) -> None:
    """Print the answer: `data` as one line of JSON, or `lines` of text and tables."""
    if as_json:
        say_json(data)
        return
    for line in lines:
        if isinstance(line, str):
            say(line)
        else:
            console().print(line, soft_wrap=isinstance(line, Text))


def say(line: str = "") -> None:
    """Print a line to standard output."""
    typer.echo(plain(line))


def say_json(data: Any, *, indent: int | None = None) -> None:
    """Print the data as JSON to standard output."""
    typer.echo(json_text(data, indent=indent))


def note(text: str) -> None:
    """Print a note to standard error."""
    typer.echo(plain(text), err=True)


def fail(sentence: str, *, exit_code: int = 2) -> Never:
    """End the command with an error message."""
    note(f"Error: {sentence}")
    raise typer.Exit(exit_code)


def note_that_the_index_lags(stage: str) -> None:
    """Note that the newest events may be missing, except on a local run."""
    if stage != LOCAL:  # its indexes do not lag
        note("The newest events may be missing: the index lags")
