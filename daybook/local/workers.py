"""Starts the processes of Python functions as forks of one that has loaded the packages that all functions import.

MiniStack starts a new Python for each process of a function, which takes more than half a second of processor time,
most of it for imports of packages. The forked process has imported nothing of the function: a function's own code is
loaded from its bundle in each process, as in Lambda.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ministack.core import lambda_runtime  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SERVER = Path(__file__).with_name("fork_server.py")


def install() -> None:
    """Fork the functions' processes from now on."""
    requests, channel = socket.socketpair()
    with channel:
        # -P: the modules in the script's folder must not hide the functions' modules.
        subprocess.Popen([sys.executable, "-P", str(_SERVER)], stdin=channel.fileno())
    lock = threading.Lock()

    def popen(command: Sequence[str], *, cwd: str, env: Mapping[str, str], **settings: Any) -> Any:
        program, script = command
        if program != sys.executable:
            return subprocess.Popen([program, script], cwd=cwd, env=env, **settings)
        with lock:
            forked = _Forked(requests)
        forked.stdin.write(json.dumps({"script": script, "folder": cwd, "environment": dict(env)}) + "\n")
        return forked

    lambda_runtime.subprocess = _With(subprocess, Popen=popen)


class _With:
    """A module with some other attributes."""

    def __init__(self, module: Any, **attributes: Any) -> None:
        self._module = module
        self.__dict__ |= attributes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Forked:
    """The part of `subprocess.Popen` that MiniStack uses, for a forked process."""

    def __init__(self, requests: socket.socket) -> None:
        (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
        self._alive, alive = os.pipe()
        passed = [stdin, stdout, stderr, alive]
        socket.send_fds(requests, [b"\0"], passed)
        for descriptor in passed:
            os.close(descriptor)
        self.stdin = os.fdopen(to_stdin, "w", encoding="utf-8", buffering=1)
        self.stdout = os.fdopen(from_stdout, encoding="utf-8")
        self.stderr = os.fdopen(from_stderr, encoding="utf-8")
        self.pid = int(os.read(self._alive, 32))
        self._ended = select.poll()
        self._ended.register(self._alive)

    def poll(self) -> int | None:
        """0 when the process has ended, whatever its exit code."""
        return 0 if self._ended.poll(0) else None

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired("a function's process", timeout or 0)
        return 0

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def __del__(self) -> None:
        os.close(self._alive)
