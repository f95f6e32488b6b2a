"""Checks that the history is complete: each stream is an unbroken chain, and store, ledger and consumers agree.

A check is divided into parts (`plan.py`), which are checked in parallel processes (`checker.py`). What each has found
is kept in a file (`state_file.py`), so that a check that was interrupted goes on. Memory does not grow with the size of
the tables, but with that of a part.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from daybook.operate.audit.checker import Checker, Wanted
from daybook.operate.audit.findings import Difference, Findings, Summary
from daybook.operate.audit.plan import Part, Scope
from daybook.operate.audit.rows import Types
from daybook.operate.audit.state_file import StateFile
from daybook.operate.audit.statuses import ExpectedConsumers
from daybook.operate.connection import Connection
from daybook.operate.parallel import Running
from daybook.operate.processes import Run, workers
from daybook.operate.registered import KnownConsumers

_TOO_MANY = "too many emitted events are not in the store to list them; check a shorter period with --since and --until"
# A process must have this many parts, to be worth its start.
_LEAST_PARTS = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the check is: the summary so far, and how many parts are done of those of the current phase."""

    summary: Summary
    phase: str
    done: int
    of: int


def check(
    connection: Connection,
    state: StateFile,
    *,
    report: Callable[[Difference], None],
    progress: Callable[[Progress], None] = lambda _: None,
    processes: int = 1,
) -> Summary:
    """Check what is not yet checked, and `report` all differences, the earlier ones first.

    Events that are recorded during the check are no difference. Raises botocore's errors, WorkerEnded and
    StateNotWritten, after which it can be continued.
    """
    for difference in state.differences():
        report(difference)
    setup = _Setup(
        connection.stage, state.plan.scope, ExpectedConsumers(connection), KnownConsumers.of(connection).types
    )

    def run_phases(phases: Iterable[str], run: Run[Part, Findings]) -> None:
        for phase in phases:
            left, of = state.left(phase), sum(1 for _ in state.plan.parts(phase))
            progress(Progress(state.summary, phase, of - len(left), of))
            for done, (part, findings) in enumerate(run(left), of - len(left) + 1):
                state.save(part, findings)
                for difference in findings.differences:
                    report(difference)
                progress(Progress(state.summary, phase, done, of))

    parts = sum(1 for phase in state.plan.phases for _ in state.plan.parts(phase))
    processes = max(1, min(processes, parts // _LEAST_PARTS))
    own = connection if processes == 1 else None
    with workers(processes, partial(setup.work, own)) as run:
        run_phases(state.plan.phases, run)
    missing, twice, all_ = state.emitted.difference()
    if not all_:
        state.summary.differences["ledger"] += 1
        report(Difference(kind="ledger", text=_TOO_MANY))
    if missing or twice:
        searching = replace(setup, wanted=Wanted(missing, twice, state.missing()))
        phases = [phase for phase, keys in zip(state.plan.searches, (missing, twice), strict=True) if keys]
        with workers(processes, partial(searching.work, own)) as run:
            run_phases(phases, run)
    return state.summary


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a process needs to check parts."""

    stage: str
    scope: Scope
    expected_consumers: ExpectedConsumers
    types: Types
    wanted: Wanted = field(default_factory=Wanted)

    def work(self, connection: Connection | None) -> Callable[[Part, Running], Findings]:
        """The function that checks parts over this connection, or over one of its own: processes share none."""
        to = connection or Connection.to(self.stage)
        return Checker(to, self.scope, self.expected_consumers, self.types, self.wanted).check
