"""Measure the memory of the functions' processes once a second. Works on Linux only."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daybook.local.processes import function_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from daybook.local.cloud import Cloud

_PROC = Path("/proc")
_INTERVAL = 1.0  # seconds
_SESSION = 3  # index of the session, counted after the process's name, in /proc/<pid>/stat (proc(5))
CLOUD = "the cloud itself"


class Memory:
    """Measures memory during the block. Sizes are bytes of resident memory of one process."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._highest: dict[str, int] = defaultdict(int)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def highest(self) -> dict[str, int]:
        """The highest size of any process of each function so far, by the function's name in AWS; and of the cloud."""
        return dict(self._highest)

    def now(self) -> dict[str, int]:
        """The size of the largest process of each function now."""
        found: dict[str, int] = defaultdict(int)
        for name, size in self._sizes():
            found[name] = max(found[name], size)
        return dict(found)

    def _watch(self) -> None:
        while not self._over.wait(_INTERVAL):
            for name, size in self._sizes():
                self._highest[name] = max(self._highest[name], size)

    def _sizes(self) -> Iterator[tuple[str, int]]:
        for process in _PROC.glob("[0-9]*"):
            # The process may end at any time.
            with suppress(OSError, IndexError, ValueError):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[_SESSION]) == self._cloud.pid:
                    pages = int((process / "statm").read_text().split()[1])
                    yield self._name(process), pages * os.sysconf("SC_PAGE_SIZE")

    @staticmethod
    def _name(process: Path) -> str:
        return function_in((process / "cwd").readlink()) or CLOUD
