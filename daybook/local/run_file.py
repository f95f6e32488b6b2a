"""The file `.daybook/local.json`, in which `daybook --stage local` finds the run of this checkout."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from daybook.local.environment import REGION
from daybook.local.errors import AlreadyRunning
from daybook.local.project import private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daybook.local.cloud import Cloud


@contextmanager
def exclusive_run(project: Path) -> Iterator[Path]:
    """Lock this checkout for one run for the length of the block. Raises `AlreadyRunning` if there is another.

    Yields the file for `write_run_file`, which is removed at the end. A file that a killed run has left does no harm:
    only the lock counts, and the lock ends with the process.
    """
    folder = private(project)
    file = folder / "local.json"
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_where(file)) from None
        try:
            file.unlink(missing_ok=True)
            yield file
        finally:
            file.unlink(missing_ok=True)
    finally:
        os.close(lock)


def write_run_file(cloud: Cloud, file: Path) -> None:
    """Write `endpoint`, `region` and the `pid` of this process, atomically."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"endpoint": cloud.endpoint, "region": REGION, "pid": os.getpid()}), encoding="utf-8")
    draft.replace(file)


def _where(file: Path) -> str:
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return " (it is still starting)"
    return f" at {run['endpoint']} (process {run['pid']})"
