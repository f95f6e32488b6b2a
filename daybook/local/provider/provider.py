"""The stand-in's process: on the loopback only, leaving nothing behind."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybook.local import logs
from daybook.local.errors import StepFailed
from daybook.local.interrupts import held
from daybook.local.processes import Child
from daybook.local.project import ROOT
from daybook.local.provider.stand_in import StandIn

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

READY_WITHIN = 20.0  # seconds; it takes a tenth of one
_STEP = "starting the payment provider's stand-in"
_PROGRAM = Path(__file__).parent / "server" / "program.py"


class Provider(StandIn):
    """A payment provider of its own, with empty books, from `with` until the end of the block.

    It listens on one port of the loopback, and keeps its books in the memory of its process. Leaving the block ends it
    and removes its folder; if an exception other than an interrupt leaves it, the log is moved to `kept_logs` first.

    `port`: a free one unless given; `StepFailed` if it is not free. `project`: whose `.daybook/logs` takes the log of a
    failed run.
    """

    def __init__(self, *, port: int | None = None, project: Path = ROOT) -> None:
        super().__init__("")
        self.port = port or 0
        self.project = project
        self._child: Child | None = None
        self._forget_folder: weakref.finalize[Any, Any] | None = None

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
    def log(self) -> Path:
        """Every request with the status of its answer, and what went wrong."""
        return self.folder / "logs" / "provider.log"

    def stop(self, *, failed: bool = False) -> None:
        """End the process and remove its folder; keep the log if the run failed. Safe to call twice."""
        with held():
            if self._child:
                self._child.end()
            if self._forget_folder and self._forget_folder.alive:
                if failed:
                    logs.keep(self.log.parent, self.kept_logs)
                self._forget_folder()

    def _launch(self) -> None:
        self.kept_logs = logs.place(self.project)
        with held():
            self.folder = Path(tempfile.mkdtemp(prefix="daybook-provider-")).resolve()
            self._forget_folder = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.log.parent.mkdir()
        with held():
            self._child = Child(
                # -I: neither the user's settings for Python nor the folder that the program is in have a say.
                [sys.executable, "-I", str(_PROGRAM), str(self.folder), str(self.port)],
                environment=os.environ,
                directory=self.folder,
                log=self.log,
            )

    def _wait_until_ready(self) -> None:
        says_where = self.folder / "port"
        deadline = time.monotonic() + READY_WITHIN
        while not says_where.exists():
            if self._child and self._child.exit_code is not None:
                why = logs.why(self.log, self._child.exit_code)
                raise StepFailed(_STEP, why, self.kept_logs / self.log.name)
            if time.monotonic() > deadline:
                why = f"It was not ready after {READY_WITHIN:.0f} seconds."
                raise StepFailed(_STEP, why, self.kept_logs / self.log.name)
            time.sleep(0.005)
        self.port = int(says_where.read_text())
        self.endpoint = f"http://127.0.0.1:{self.port}"
