"""Child processes that end, with all that they have started, when they are told to."""

from __future__ import annotations

import os
import signal
import subprocess
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from daybook.local.interrupts import held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Child:
    """A running command in a session of its own, which writes what it says to a log file.

    `end` kills it and everything in its session. That also happens when the object is no longer used and when
    Python exits, so no path out of the program leaves one running. The command's standard input is a pipe that
    closes when this process dies, however it dies.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path) -> None:
        self.log = log
        with held():
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    cwd=directory,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self.pid = process.pid
            self._process = process
            self._end = weakref.finalize(self, _end_session, process)

    @property
    def exit_code(self) -> int | None:
        """What the command has returned; None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait until the command has ended, and say what it returned."""
        return self._process.wait()

    def end(self) -> None:
        """Kill the command and everything it has started. Safe to call twice."""
        with held():
            self._end()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    # SIGKILL, and at once: nothing in there is worth saving, and MiniStack, asked politely, leaves busy workers.
    # The kernel signals a group as a whole, so a child that is being forked meanwhile does not escape.
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
