"""The tests' end of the seam: what shall go wrong is written to a file that the functions' processes look at."""

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
    """Brings faults about in the functions of a run that was started with its `environment`, while that is up.

    `folder` holds the plan, the counts and the recording of calls; it must outlive the run. With `guards`,
    `Fault.without` can remove guards in the functions' own code, which is changed for that as it is loaded.
    """

    def __init__(self, folder: Path, *, guards: bool = False) -> None:
        self._guards = guards
        self._folder = folder.resolve()
        self._plan = self._folder / "plan.json"
        self._brought: list[Fault] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """What the functions' processes need: `up(progress, extra=faults.environment)`."""
        told = {"PYTHONPATH": str(_WORKER), "DAYBOOK_FAULTS_PLAN": str(self._plan)}
        return told | {"DAYBOOK_FAULTS_GUARDS": "1"} if self._guards else told

    @contextmanager
    def bring(self, *faults: Fault) -> Iterator[None]:
        """Let the faults strike every call that begins in the block. Blocks may be nested."""
        before = list(self._brought)
        self._write([*before, *faults])
        try:
            yield
        finally:
            self._write(before)

    def brought(self, fault: Fault) -> int:
        """How often the fault has struck so far, in all processes together."""
        try:
            counts = (self._folder / f"{fault.id}.count").read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return 0
        return int(counts[1]) if counts else 0  # a file that was just made holds nothing yet

    def calls(self) -> list[Call]:
        """Every call to AWS that the run's functions have made so far."""
        return recording.calls(self._folder / "calls.jsonl")

    def traces(self) -> list[str]:
        """What the run's functions have told AWS of the trace they belong to, at each attempt to call it."""
        return recording.traces(self._folder / "traces.jsonl")

    def _write(self, faults: list[Fault]) -> None:
        self._brought = faults
        draft = self._plan.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps([fault.rule() for fault in faults]), encoding="utf-8")
        draft.replace(self._plan)
