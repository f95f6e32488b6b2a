"""Show what the program is doing: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from daybook.operate.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


_WIDE = 160  # characters


class Progress:
    """Shows each step while it runs, and then how long it took."""

    def __init__(self, console: Console | None = None) -> None:
        # Without a terminal, tables and trees get a fixed width.
        width = None if sys.stdout.isatty() else _WIDE
        self.console = console or Terminal(highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show `what` from here to the end of the block."""
        started = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{what} …"):
                yield
            self.say(f"{what} … {time.monotonic() - started:.1f} s")
        else:
            print(f"{what} … ", end="", flush=True, file=self.console.file)
            done = ""
            try:
                yield
                done = f"{time.monotonic() - started:.1f} s"
            finally:
                print(done, flush=True, file=self.console.file)

    def say(self, text: str = "") -> None:
        """Print the text as it is."""
        self.console.print(text)
