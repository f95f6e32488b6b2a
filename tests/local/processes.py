"""Look at processes and ports from outside, for tests of what a run leaves behind."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daybook.local.cloud import free_port
from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# Long enough for a busy machine. Waiting ends as soon as the condition holds.
TIMEOUT = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2  # seconds


def until(
    condition: Callable[[], object],
    *,
    seconds: float = TIMEOUT,
    what: str,
    seen: Callable[[], object] | None = None,
) -> None:
    """Wait for the condition. At the deadline, fail with `what` did not happen, and with what was `seen` instead."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not condition():
        if time.monotonic() > deadline:
            instead = f"; instead: {seen()}" if seen else ""
            pytest.fail(f"not within {seconds:.0f} s: {what}{instead}")
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def process_tree(ancestor: int) -> set[int]:
    """The process and all its descendants."""
    found, rows = {ancestor}, _processes()
    while more := {pid for pid, parent, _ in rows if parent in found and pid not in found}:
        found |= more
    return found


def running(pids: set[int]) -> set[int]:
    """The processes that are still running. A zombie is not."""
    return {pid for pid, _, state in _processes() if pid in pids and not state.startswith("Z")}


def _processes() -> list[tuple[int, int, str]]:
    with subprocess.Popen(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as ps:
        assert ps.stdout
        rows = [row.split() for row in ps.stdout]
    return [(int(pid), int(parent), state) for pid, parent, state in rows if int(pid) != ps.pid]


def is_listening(port: int) -> bool:
    """Whether a program listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Run:
    """A real local run of a copy of the small system, with its own folder for temporary files."""

    def __init__(self, place: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.project, self.temporary, self._output = place / "project", place / "tmp", place / "output"
        self.run_file = self.project / ".daybook" / "local.json"
        self.temporary.mkdir(exist_ok=True)
        if not self.project.exists():
            shutil.copytree(Path(__file__).with_name("app"), self.project)

    @contextmanager
    def started(self) -> Iterator[Run]:
        """Start the run. At the end of the block, kill it if it is still running."""
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
        """The output so far."""
        return self._output.read_text()

    def prints(self, text: str) -> None:
        """Wait until the output contains the text."""
        until(lambda: text in self.output or self.process.poll() is not None, what=text)
        assert text in self.output

    def ends(self) -> int:
        """Wait until it ends. Returns its exit code."""
        return self.process.wait(timeout=TIMEOUT)

    def receives_signals(self, *signals: signal.Signals, repeatedly: bool = False) -> int:
        """Send the signals in turn, `repeatedly` until it has ended. Returns its exit code."""
        for number in itertools.cycle(signals) if repeatedly else signals:
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
        return self.ends()

    def process_tree(self) -> set[int]:
        """The run's process and all its descendants."""
        return process_tree(self.process.pid)

    def left_nothing_behind(self, pids: set[int]) -> bool:
        """Check that the processes, the port, the temporary folder and the run file are gone."""
        left = [running(pids), is_listening(self.port), list(self.temporary.glob("daybook-*")), self.run_file.exists()]
        assert not any(left), left
        return True


def unique(what: str) -> str:
    """A unique name."""
    return f"{what}-{uuid.uuid4().hex[:8]}"
