"""A program in a child process, with a folder of its own, for the length of a `with` block."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from daybook.local import logs
from daybook.local.errors import StepFailed
from daybook.local.interrupts import defer_interrupts
from daybook.local.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self


class Program(ABC):
    """Starts a program and waits until it is ready. The end of the block ends it and removes its folder.

    If an exception other than an interrupt ends the block, the logs are first copied to `kept_logs`, in `.daybook/logs`
    of the project.
    """

    step: ClassVar[str]
    """What errors call the start of this program."""
    folder_prefix: ClassVar[str]
    log_name: ClassVar[str]
    ready_within: ClassVar[float]
    """Seconds."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self._child: Child | None = None
        self._remove_folder: weakref.finalize[Any, Any] | None = None

    def __enter__(self) -> Self:
        try:
            self._launch()
            self._wait_until_ready()
        except BaseException as error:
            self.stop(failed=isinstance(error, Exception))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(failed=isinstance(error, Exception))

    @property
    def logs(self) -> Path:
        """The folder of all logs of this run."""
        return self.folder / "logs"

    @property
    def log(self) -> Path:
        """The program's output."""
        return self.logs / self.log_name

    @property
    def pid(self) -> int | None:
        """The process id of the program; None unless it is running."""
        return self._child.pid if self._child and self._child.exit_code is None else None

    def stop(self, *, failed: bool = False) -> None:
        """End the program and remove its folder; keep the logs if the run failed. Safe to call twice."""
        with defer_interrupts():
            if self._child:
                self._child.end()
            if self._remove_folder and self._remove_folder.alive:
                if failed:
                    logs.keep(self.logs, self.kept_logs)
                self._remove_folder()

    @abstractmethod
    def _launch(self) -> None:
        """Create the folder, then start the program."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the program takes requests."""

    def _create_folder(self) -> None:
        self.kept_logs = logs.kept_folder(self.project)
        with defer_interrupts():
            self.folder = Path(tempfile.mkdtemp(prefix=self.folder_prefix)).resolve()
            self._remove_folder = weakref.finalize(self, _remove, self.folder)
        self.logs.mkdir()

    def _start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        with defer_interrupts():
            self._child = Child(command, environment=environment, directory=self.folder, log=self.log)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_within
        while not self._is_ready():
            if self._child and self._child.exit_code is not None:
                raise self._failed(self.step, logs.last_lines(self.log, self._child.exit_code))
            if time.monotonic() > deadline:
                raise self._failed(self.step, f"It was not ready after {self.ready_within:.0f} seconds.")
            time.sleep(0.01)

    def _failed(self, step: str, why: str) -> StepFailed:
        return StepFailed(step, why, self.kept_logs / self.log_name)


def _remove(folder: Path) -> None:
    # A killed worker may have written a file meanwhile; the next attempt removes it.
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
