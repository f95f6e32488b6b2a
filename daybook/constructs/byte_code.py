"""Byte code for Lambda: a function's folders are read-only, so without it each cold start compiles all modules.

It is compiled only by an interpreter of the runtime's version, and validated by hash: the same sources give the same
files.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

RUNTIME = "3.13"


@cache
def interpreter() -> str | None:
    """A Python of the runtime's version on this machine, or None. It says once how to get one."""
    if sys.version_info[:2] == tuple(int(part) for part in RUNTIME.split(".")):
        return sys.executable
    found = subprocess.run(
        [uv(), "python", "find", "--no-python-downloads", "--no-project", RUNTIME],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        return found.stdout.strip()
    print(
        f"Python {RUNTIME} was not found: functions and layers have no byte code, and cold starts take longer. "
        f"To get it: uv python install {RUNTIME}",
        file=sys.stderr,
    )
    return None


def compile_folder(folder: Path, in_lambda: str) -> None:
    """Add byte code to a folder that Lambda will mount at the path `in_lambda`. Does nothing without an interpreter."""
    if python := interpreter():
        command = [python, "-I", "-m", "compileall", "-q", "-j", str(os.cpu_count() or 1)]
        command += ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", in_lambda, str(folder)]
        subprocess.run(command, check=True)


def uv() -> str:
    """The uv of this environment, or that on the path."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"
