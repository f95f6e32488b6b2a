"""What Ctrl-C does to a command that changes something: it ends with a sentence on what is done and how to go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from daybook.operate.cli.printing import note

INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended


@contextmanager
def interruptible(sentence: Callable[[], str]) -> Iterator[None]:
    """In the block, Ctrl-C ends the command with this sentence."""
    try:
        yield
    except KeyboardInterrupt:
        note(sentence())
        raise typer.Exit(INTERRUPTED) from None
