"""Where the run of this checkout can be found: `.daybook/local.json`, read by `daybook --stage local`."""

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
def only_run(project: Path) -> Iterator[Path]:
    """Be the only run of this checkout for the length of the block; `AlreadyRunning` if there is another.

    Yields the file to `announce` the cloud in, which is removed at the end. A file that a dead run has left is no
    hindrance: what counts is the lock, and that ends with the process.
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


def announce(cloud: Cloud, file: Path) -> None:
    """Write where the cloud is: `endpoint`, `region` and the `pid` of this process. Readers never see half a file."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"endpoint": cloud.endpoint, "region": REGION, "pid": os.getpid()}), encoding="utf-8")
    draft.replace(file)


def _where(file: Path) -> str:
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return " (it is still starting)"
    return f" at {run['endpoint']} (process {run['pid']})"
