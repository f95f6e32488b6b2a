"""Write the faults to a plan file, which the functions' processes read."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daybook.local.faults import recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from daybook.local.faults.fault import Fault
    from daybook.local.faults.recording import Call

_WORKER = Path(__file__).with_name("worker")


class Faults:
    """Injects faults into the functions of a run that was started with its `environment`.

    `folder` holds the plan, the counts and the recorded calls; keep it until the run has ended. With `guards`,
    `Fault.without_guard` can remove guards from the functions' own code, which is then patched when it is imported.
    """

    def __init__(self, folder: Path, *, guards: bool = False) -> None:
        self._guards = guards
        self._folder = folder.resolve()
        self._plan = self._folder / "plan.json"
        self._active: list[Fault] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables for the functions' processes: `up(progress, extra=faults.environment)`."""
        variables = {"PYTHONPATH": str(_WORKER), "DAYBOOK_FAULTS_PLAN": str(self._plan)}
        return variables | {"DAYBOOK_FAULTS_GUARDS": "1"} if self._guards else variables

    @contextmanager
    def inject(self, *faults: Fault) -> Iterator[None]:
        """Inject the faults into every call that begins in the block. Blocks may be nested."""
        before = list(self._active)
        self._write([*before, *faults])
        try:
            yield
        finally:
            self._write(before)

    def injected_count(self, fault: Fault) -> int:
        """How often the fault was injected so far, in all processes together."""
        try:
            counts = (self._folder / f"{fault.id}.count").read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return 0
        return int(counts[1]) if counts else 0  # the file may have been created a moment ago

    def calls(self) -> list[Call]:
        """Every call to AWS that the run's functions made so far."""
        return recording.calls(self._folder / "calls.jsonl")

    def traces(self) -> list[str]:
        """The X-Ray trace header of each attempt of the run's functions to call AWS."""
        return recording.traces(self._folder / "traces.jsonl")

    def _write(self, faults: list[Fault]) -> None:
        self._active = faults
        draft = self._plan.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps([fault.rule() for fault in faults]), encoding="utf-8")
        draft.replace(self._plan)
