"""How long a function's process takes from its start until it can write to DynamoDB."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.subjects import DOCUMENTED, OURS, PLAIN, environment
from bench.targets import Target
from daybook.local.environment import isolated
from daybook.local.project import ROOT

if TYPE_CHECKING:
    from daybook.local.progress import Progress

_SUBJECTS = (OURS, DOCUMENTED, PLAIN)


def measure(progress: Progress, *, processes: int) -> list[Target]:
    """Start each function in this many new processes, in turn, and compare the medians."""
    times: dict[str, list[tuple[float, float]]] = {subject: [] for subject in _SUBJECTS}
    with tempfile.TemporaryDirectory(prefix="daybook-") as folder, progress.step(f"starting {processes} times each"):
        for subject in _SUBJECTS:
            _start(subject, Path(folder))  # writes the byte code
        for _ in range(processes):
            for subject in _SUBJECTS:
                times[subject].append(_start(subject, Path(folder)))
    ready = {subject: median(each for each, _ in times[subject]) for subject in _SUBJECTS}
    for subject in _SUBJECTS:
        imported = median(each for _, each in times[subject])
        progress.say(f"  {subject:<10}  ready after {ready[subject]:6.1f} ms, imported after {imported:6.1f} ms")
    progress.say(f"  ours to plain: {ready[OURS] / ready[PLAIN]:.2f}")
    return [Target("import and first client, ours to documented", ready[OURS] / ready[DOCUMENTED], maximum=0.75)]


def _start(subject: str, folder: Path) -> tuple[float, float]:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.cold_start", subject],
        cwd=ROOT,
        env={**isolated(folder, "http://127.0.0.1:9"), **environment(subject)},
        capture_output=True,
        text=True,
        check=True,
    )
    ready, imported = map(float, ran.stdout.split())
    return ready, imported
