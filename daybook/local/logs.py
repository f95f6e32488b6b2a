"""Keep the logs of failed runs."""

from __future__ import annotations

import os
import re
import shutil
from datetime import datetime
from typing import TYPE_CHECKING

from daybook.local.project import private
from daybook.operate.terminal import plain

if TYPE_CHECKING:
    from pathlib import Path

KEPT_RUNS = 5
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE = re.compile(r"^\s*(at |at$|Node\.js v|\^+$|~+$|Warning: )|feature flags are not configured")


def kept_folder(project: Path) -> Path:
    """The folder that will keep the logs of this run if it fails. It is chosen early, so that errors can name it."""
    started = datetime.now().astimezone()
    return private(project) / "logs" / f"{started:%Y-%m-%d-%H%M%S}-{os.getpid()}"


def keep(folder: Path, kept: Path) -> None:
    """Copy a failed run's logs to the folder that keeps them. Removes all but the newest `KEPT_RUNS` folders."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, kept, dirs_exist_ok=True)
    for old in sorted(kept.parent.iterdir())[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def last_lines(log: Path, exit_code: int, lines: int = 12) -> str:
    """The last meaningful lines of a log, safe for a terminal, without colours and without stack frames of tools."""
    text = _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))
    kept = [line.rstrip() for line in text.splitlines() if line.strip() and not _NOISE.search(line)]
    return (
        "\n".join(f"  {plain(line.expandtabs())}" for line in kept[-lines:])
        or f"  It exited with code {exit_code} and no output."
    )
