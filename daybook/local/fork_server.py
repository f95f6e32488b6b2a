"""Forks the processes of Python functions, with the packages loaded that all functions import.

`daybook.local.workers` starts this file by its path. Standard input is a socket. One byte on it, with four file
descriptors, starts a process: its three standard streams, and a pipe to which it writes its id and which closes when it
ends. The first line of the new process's input is a JSON object with the script to run, its folder and its environment.

This file imports nothing of the package: a function brings the package in its bundle.
"""

import importlib
import json
import os
import runpy
import signal
import site
import socket
import sys
from pathlib import Path

# What requirements-lambda.in names, with the modules that these packages import at their first use.
_PACKAGES = (
    "aws_lambda_powertools.logging",
    "aws_lambda_powertools.metrics",
    "aws_lambda_powertools.tracing",
    "botocore.client",
    "botocore.handlers",
    "botocore.httpsession",
    "botocore.retries.adaptive",
    "botocore.retries.standard",
    "botocore.session",
    "pydantic.json_schema",
    "pydantic.main",
    "pydantic.types",
)


def forked(requests: socket.socket) -> list[int] | None:
    """Fork a process for each request. Returns the file descriptors in each new process, None when no more come."""
    while True:
        received, descriptors, *_ = socket.recv_fds(requests, 1, 4)
        if not received:
            return None
        if os.fork() == 0:
            return descriptors
        for descriptor in descriptors:
            os.close(descriptor)


def run(*streams: int) -> None:
    """Run the script that the input names, as a new Python process would."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    request = json.loads(sys.stdin.readline())
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = [request["script"]]
    sys.path.insert(0, str(Path(request["script"]).parent))
    sys.modules.pop("sitecustomize", None)  # the function's environment may make it do more
    site.execsitecustomize()
    runpy.run_path(request["script"], run_name="__main__")


if __name__ == "__main__":
    for package in _PACKAGES:
        importlib.import_module(package)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets the processes that have ended
    with socket.socket(fileno=os.dup(0)) as channel:
        found = forked(channel)
    if found:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        *standard, alive = found
        os.write(alive, f"{os.getpid()}\n".encode())
        run(*standard)
