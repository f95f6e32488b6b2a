"""Child processes that end together with all processes they started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from daybook.local.interrupts import defer_interrupts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Child:
    """A running command in its own session. Its output goes to a log file.

    `end` kills the command and everything in its session. That also happens when this object is garbage collected and
    when Python exits, so that no process is left behind. The command's standard input is a pipe that closes when this
    process dies, even if it is killed.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path) -> None:
        self.log = log
        with defer_interrupts():
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
        """The exit code of the command; None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait until the command ends. Returns its exit code."""
        return self._process.wait()

    def end(self) -> None:
        """Kill the command and everything it has started. Safe to call twice."""
        with defer_interrupts():
            self._end()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    # SIGKILL at once: there is no state to save, and MiniStack leaves workers running after SIGTERM.
    # The kernel signals the whole group, so a child that is being forked does not escape.
    with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def function_in(folder: Path) -> str:
    """The name of the function whose process runs in this folder, its copy of a bundle; empty if there is none.

    A process that was forked has the environment of its origin in /proc, so its folder identifies it.
    """
    found = re.fullmatch(r"ministack-lambda-(.+)-\w{8}", folder.parent.name)
    return found[1] if found else ""
