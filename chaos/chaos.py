"""Run the deployed system under all faults at once, then check its final state from the outside.

The seed determines the events, the faults and their order, but not how the calls of many processes interleave. So two
runs with one seed do the same work, but are not identical.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaos import controls, faults
from chaos.chaos_report import page
from chaos.chaos_run import IDLE_TIMEOUT, PHASES, SHORT_PHASES, VIEWS, ChaosRun
from chaos.checker.invariants import INVARIANTS
from chaos.deliveries import Deliveries
from chaos.report import write
from chaos.system import system_under_test
from chaos.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.checker.snapshot import Snapshot
    from chaos.checker.violation import Violation
    from chaos.system import SystemUnderTest
    from daybook.local.progress import Progress

_SHOWN = 10  # at most, of violations of one invariant


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    seed: int
    scale: int
    seconds: float
    snapshot: Snapshot
    violations: Mapping[str, Sequence[Violation]]
    """By the name of each invariant."""
    problems: Sequence[str]
    injected: Mapping[str, int]
    not_killed: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether there are no violations and no other problems."""
        return not self.problems and not any(self.violations.values())


def execute(progress: Progress, *, seed: int, scale: int, short: bool = False) -> Result:
    """Send this many orders, readings and transactions under faults, and check the final state.

    A `short` run takes some minutes: it has fewer phases and shorter waits.
    """
    phases = SHORT_PHASES if short else PHASES
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="daybook-chaos-")))
        system = stack.enter_context(system_under_test(progress, folder))
        traffic = Traffic(seed, scale)
        with progress.step("sending initial events without faults, to record which functions make which calls"):
            system.producer.send(traffic.initial_events())
            first = min(scale // 10, 20)
            system.producer.send(list(traffic.batch(0, first)))
            system.wait_until_idle(seconds=IDLE_TIMEOUT)
        with Deliveries(system.cloud, seed=seed) as deliveries:
            run = ChaosRun(system, traffic, deliveries, faults.Killing(seed))
            if short:
                run.phase_timeout, run.suspensions = 20.0, (3.0,)
            for number, phase in enumerate(phases):
                begin, end = (first + (scale - first) * place // len(phases) for place in (number, number + 1))
                with progress.step((phase.__doc__ or "").strip().splitlines()[0].rstrip(".")):
                    run.send_other_events(number + 1)
                    phase(run, list(traffic.batch(begin, end)))
        with progress.step("waiting until the system is idle, and resolving dead letters"):
            run.send_other_events(len(phases) + 1)
            run.resolve_dead_letters()
        with progress.step("checking the invariants"):
            snapshot, violations = _check(system)
            if any(violations.values()):
                # A timer may have fired while the tables were read one by one. A real violation is still there.
                system.wait_until_idle(seconds=IDLE_TIMEOUT)
                snapshot, violations = _check(system)
        with progress.step("running the operator's own checks"):
            for view in VIEWS:
                run.command("verify", view)
            run.command("audit", "check", "--settled", "0s")
        return Result(
            seed,
            scale,
            time.monotonic() - began,
            snapshot,
            violations,
            run.problems,
            run.injected_counts(),
            list(run.killing.not_killed(system.faults)),
        )


def _check(system: SystemUnderTest) -> tuple[Snapshot, dict[str, list[Violation]]]:
    snapshot = system.snapshot()
    return snapshot, {invariant.name: list(invariant.violations(snapshot)) for invariant in INVARIANTS}


def run(progress: Progress, *, seed: int, scale: int) -> bool:
    """Run with all faults, then run the negative controls; write the report. Returns whether all passed."""
    result = execute(progress, seed=seed, scale=scale)
    for line in summary(result):
        progress.say(line)
    progress.say()
    verdicts = controls.run_all(progress, seed=seed)
    for verdict in verdicts:
        progress.say(f"  {verdict}")
    write("chaos", page(result, verdicts))
    return result.passed and all(verdict.as_expected for verdict in verdicts)


def summary(result: Result) -> Iterator[str]:
    """The result as lines of text."""
    for fault, times in result.injected.items():
        yield f"  {times:6,}  {fault}"
    yield ""
    for name, violations in result.violations.items():
        yield f"  {f'{len(violations)} VIOLATIONS' if violations else 'held'}: {name}"
        yield from (f"    {violation.message}" for violation in violations[:_SHOWN])
    yield from (f"  {problem}" for problem in result.problems)
