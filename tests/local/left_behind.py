"""Looking at processes and ports from outside, for tests about what is left behind."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# Long enough for a machine with much else to do. A wait that succeeds is no longer for it.
LONG_ENOUGH = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2  # seconds


def until(
    condition: Callable[[], object],
    *,
    seconds: float = LONG_ENOUGH,
    what: str,
    seen: Callable[[], object] | None = None,
) -> None:
    """Wait for the condition; fail at the deadline, saying `what` did not happen, and what was `seen` instead."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not condition():
        if time.monotonic() > deadline:
            instead = f"; instead: {seen()}" if seen else ""
            pytest.fail(f"not within {seconds:.0f} s: {what}{instead}")
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def family(ancestor: int) -> set[int]:
    """Every process that the ancestor has started, directly or not, itself included."""
    found, rows = {ancestor}, _processes()
    while more := {pid for pid, parent, _ in rows if parent in found and pid not in found}:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    """Those of them that still run. (A zombie does not: it waits for somebody to read its exit code.)"""
    return {pid for pid, _, state in _processes() if pid in pids and not state.startswith("Z")}


def _processes() -> list[tuple[int, int, str]]:
    with subprocess.Popen(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as ps:
        assert ps.stdout
        rows = [row.split() for row in ps.stdout]
    return [(int(pid), int(parent), state) for pid, parent, state in rows if int(pid) != ps.pid]


def a_free_port() -> int:
    """A port of the loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Run:
    """A real local run, of a copy of the small system, whose temporary files are in a folder of its own."""

    def __init__(self, place: Path, port: int | None = None) -> None:
        self.port = port or a_free_port()
        self.project, self.temporary, self._output = place / "project", place / "tmp", place / "output"
        self.whereabouts = self.project / ".daybook" / "local.json"
        self.temporary.mkdir(exist_ok=True)
        if not self.project.exists():
            shutil.copytree(Path(__file__).with_name("app"), self.project)

    @contextmanager
    def started(self) -> Iterator[Run]:
        """Start it; kill it at the end of the block, if it still runs."""
        command = [
            sys.executable,
            "-m",
            "daybook.local",
            "run",
            "--port",
            str(self.port),
            "--project",
            str(self.project),
        ]
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        with self._output.open("w") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield self
        finally:
            self.process.kill()
            self.process.wait()

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._output.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said that."""
        until(lambda: text in self.output or self.process.poll() is not None, what=text)
        assert text in self.output

    def ends(self) -> int:
        """Wait until it has ended; its exit code."""
        return self.process.wait(timeout=LONG_ENOUGH)

    def is_asked_to_end(self, *signals: signal.Signals, insistently: bool = False) -> int:
        """Send it the signals in turn, again and again until it has ended if `insistently`; its exit code."""
        for number in itertools.cycle(signals) if insistently else signals:
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
        return self.ends()

    def family(self) -> set[int]:
        """It and every process that it has started."""
        return family(self.process.pid)

    def has_left_nothing(self, pids: set[int]) -> bool:
        """Whether the processes, the port, the temporary folder and the note of its whereabouts are gone."""
        left = [alive(pids), answers(self.port), list(self.temporary.glob("daybook-*")), self.whereabouts.exists()]
        assert not any(left), left
        return True
