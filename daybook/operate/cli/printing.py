"""How commands speak: the answer to standard output, all else to standard error."""

import sys
from datetime import UTC, datetime
from typing import Never

import typer
from rich.console import Console

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.connection import LOCAL
from daybook.operate.drawing import plain

# Where lines are not for a terminal, they are not broken to its width.
_WIDE = 1_000


def console() -> Console:
    """Where trees and coloured lines are printed."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def note(text: str) -> None:
    """Say to standard error what is not the answer itself."""
    typer.echo(plain(text), err=True)


def fail(sentence: str, *, exit_code: int = 2) -> Never:
    """End the command with one sentence on what is wrong."""
    typer.echo(f"Error: {plain(sentence)}", err=True)
    raise typer.Exit(exit_code)


def note_that_the_index_lags(stage: str) -> None:
    """Note that events of the last moments may be missing, where that can be."""
    if stage != LOCAL:  # where indexes do not lag
        note("Events of the last moments may be missing: the index lags")


def is_fresh(recorded_at: str) -> bool:
    """Whether what was recorded then may be missing in an index."""
    return datetime.now(UTC) - clock.moment(recorded_at) < moments.INDEX_LAG


def number_of_events(number: int) -> str:
    """`1 event`, `2 events`."""
    return "1 event" if number == 1 else f"{number} events"
