"""The system at work, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.system import up

if TYPE_CHECKING:
    from local.progress import Progress


def demo(progress: Progress) -> int:
    """Bring the system up, show it at work, and return the exit code."""
    with up(progress) as cloud:
        progress.say(f"Daybook is up at {cloud.endpoint}")
    return 0
