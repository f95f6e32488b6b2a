"""What is left of a run that failed: its logs, where a message can name them."""

from __future__ import annotations

import os
import re
import shutil
from datetime import datetime
from typing import TYPE_CHECKING

from daybook.local.project import private

if TYPE_CHECKING:
    from pathlib import Path

KEPT_RUNS = 5
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE = re.compile(r"^\s*(at |at$|Node\.js v|\^+$|~+$|Warning: )|feature flags are not configured")


def place(project: Path) -> Path:
    """Where the logs of this run go if it fails: named beforehand, so that an error can say it."""
    started = datetime.now().astimezone()
    return private(project) / "logs" / f"{started:%Y-%m-%d-%H%M%S}-{os.getpid()}"


def keep(folder: Path, kept: Path) -> None:
    """Move a failed run's logs to where they are kept, and forget the oldest beyond `KEPT_RUNS`."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, kept, dirs_exist_ok=True)
    for old in sorted(kept.parent.iterdir())[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def why(log: Path, exit_code: int, lines: int = 12) -> str:
    """Return the last lines of a log that say something, without colours and stack frames of tools."""
    text = _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))
    said = [line.rstrip() for line in text.splitlines() if line.strip() and not _NOISE.search(line)]
    return "\n".join(f"  {line}" for line in said[-lines:]) or f"  It ended with {exit_code} and said nothing."
