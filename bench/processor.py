"""How much processor time a warm function takes per event."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from bench import tables
from bench.messages import batches, published, recorded, sent
from bench.subjects import BUS, DOCUMENTED, OURS, PLAIN, PREFIXES, STAGE, environment
from bench.targets import Target
from daybook.local.cloud import Cloud
from daybook.local.interrupts import single_interrupt
from daybook.local.project import ROOT
from daybook.runtime.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from daybook.local.progress import Progress

_SUBJECTS = (OURS, DOCUMENTED, PLAIN)
_WARM_UP = 50  # events


class NotHandled(RuntimeError):
    """A measured function failed, so its figure means nothing. Its output is in the log."""


class _Warm:
    """A function's process that waits for batches."""

    def __init__(self, subject: str, detail: Callable[[], str], process: subprocess.Popen[str], log: Path) -> None:
        self._subject = subject
        self._detail = detail
        self._process = process
        self._log = log

    def handle(self, events: int, size: int) -> float:
        """Let it handle this many events in batches of `size`. Returns milliseconds of processor time per event."""
        requests, answers = self._process.stdin, self._process.stdout
        answer = ""
        with suppress(BrokenPipeError):
            if requests and answers:
                for batch in batches(events, size, self._detail):
                    requests.write(json.dumps(batch) + "\n")
                requests.write("\n")
                requests.flush()
                answer = answers.readline()
        result = json.loads(answer or '{"failed": "all"}')
        if result["failed"]:
            msg = f"{self._subject} failed on {result['failed']} of {events} events; its log: {self._log}"
            raise NotHandled(msg)
        return float(result["seconds"]) * 1000 / events


def measure(progress: Progress, *, events: int, rounds: int, sizes: tuple[int, ...]) -> list[Target]:
    """Let each function handle `events` events in each round, in turn, and compare the medians.

    `sizes` are the sizes of batches, each with its own figure.
    """
    targets = []
    with single_interrupt(), ExitStack() as stack:
        with progress.step("starting the cloud"):
            cloud = stack.enter_context(Cloud())
            _create_resources(cloud)
            warm = {subject: stack.enter_context(_process(cloud, subject)) for subject in _SUBJECTS}
            for subject in _SUBJECTS:
                warm[subject].handle(_WARM_UP, sizes[0])
        for size in sizes:
            taken: dict[str, list[float]] = {subject: [] for subject in _SUBJECTS}
            with progress.step(f"handling {rounds} times {events} events each, in batches of {size}"):
                for _ in range(rounds):
                    for subject in _SUBJECTS:
                        taken[subject].append(warm[subject].handle(events, size))
            each = {subject: median(taken[subject]) for subject in _SUBJECTS}
            for subject in _SUBJECTS:
                progress.say(f"  {subject:<10}  {each[subject]:5.2f} ms of processor time per event")
            progress.say(f"  ours to plain: {each[OURS] / each[PLAIN]:.2f}")
            what = f"processor time per event, in batches of {size}, ours to documented"
            targets.append(Target(what, each[OURS] / each[DOCUMENTED], maximum=0.5))
    return targets


def _create_resources(cloud: Cloud) -> None:
    """Create the tables and the bus of the three functions."""
    dynamodb = cloud.client("dynamodb")
    tables.create(dynamodb, PREFIXES[OURS], tables.OURS)
    tables.create_wrapping_key(cloud.client("kms"), Names(STAGE).proofs_key)
    tables.create(dynamodb, PREFIXES[DOCUMENTED], tables.DOCUMENTED)
    tables.create(dynamodb, PREFIXES[PLAIN], tables.PLAIN)
    tables.fill_stock(dynamodb, f"{PREFIXES[OURS]}stock", "id")
    tables.fill_stock(dynamodb, f"{PREFIXES[DOCUMENTED]}stock", "sku")
    cloud.client("events").create_event_bus(Name=BUS)


@contextmanager
def _process(cloud: Cloud, subject: str) -> Iterator[_Warm]:
    name = f"{subject}.log"
    with (cloud.logs / name).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.warm", subject],
            cwd=ROOT,
            env={**cloud.environment, **environment(subject)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # so that Ctrl-C interrupts this process only
        )
        try:
            yield _Warm(subject, _detail(cloud, subject), process, cloud.kept_logs / name)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    if pipe:
                        pipe.close()


def _detail(cloud: Cloud, subject: str) -> Callable[[], str]:
    """Makes the `detail` of the events that the function handles."""
    if subject == OURS:
        return partial(published, cloud.client("dynamodb"), f"{PREFIXES[OURS]}store")
    return sent if subject == DOCUMENTED else lambda: recorded().shared_detail
