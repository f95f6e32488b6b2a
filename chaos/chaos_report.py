"""The report of a chaos run."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.machine import description
from chaos import faults
from chaos.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.chaos import Result
    from chaos.controls import Verdict

_SHOWN = 10  # at most, of similar lines


def page(result: Result, verdicts: Sequence[Verdict]) -> str:
    """Markdown: what was sent, which faults were injected, what was checked and found."""
    return "\n\n".join([*_header(result), *_faults(result), *_invariants(result), *_controls(verdicts)])


def _header(result: Result) -> Iterator[str]:
    statuses = result.snapshot.statuses
    states = Counter(row["state"] for row in statuses.values())
    dead = Counter((row["error"], consumer) for (_, consumer), row in statuses.items() if row["state"] == "dead")
    left = ", ".join(f"{times} {error} at {consumer}" for (error, consumer), times in sorted(dead.items()))
    events = sum(1 for _ in result.snapshot.events())
    each = f"{result.scale:,}"
    yield "## Chaos"
    yield (
        f"{each} orders, {each} readings and {each} transactions, seed {result.seed}, in {result.seconds / 60:.0f} "
        f"minutes, on {datetime.now(UTC):%Y-%m-%d}. Machine: {description()}."
    )
    yield (
        f"**{'All guarantees held' if result.passed else 'Not all guarantees held'}.** {events:,} events were "
        f"recorded. Their statuses at consumers: {states['committed']:,} committed, {states['discarded']:,} discarded "
        f"by an operator, {states['dead']:,} dead{f': {left}' if left else ''}."
    )


def _faults(result: Result) -> Iterator[str]:
    yield "Injected faults:"
    yield table(("fault", "times"), [(fault, f"{times:,}") for fault, times in result.injected.items()])
    examples = "; ".join(result.not_killed[:_SHOWN]) + (" …" if len(result.not_killed) > _SHOWN else "")
    yield (
        f"Processes were to be killed at {2 * result.injected[faults.KINDS]} points: before and after each kind of "
        f"call. {len(result.not_killed)} points were not reached, because the call was too rare"
        f"{f': {examples}' if examples else ''}."
    )


def _invariants(result: Result) -> Iterator[str]:
    yield "Invariants, checked from the outside by a checker that shares no code with the system:"
    yield table(("invariant", "violations"), [(name, f"{len(found):,}") for name, found in result.violations.items()])
    messages = [violation.message for found in result.violations.values() for violation in found[:_SHOWN]]
    if messages or result.problems:
        yield "\n".join(f"- {message}" for message in (*messages, *result.problems))
    else:
        yield "`daybook verify` of every view and `daybook audit check` found no problems either."


def _controls(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "### Negative controls"
    yield (
        "Each control removes one guard from the deployed functions. Then the invariant that the guard protects must "
        "be violated. With all guards, the same scenarios must violate no invariant."
    )
    yield table(
        ("removed guard", "must be violated", "found", "as expected"),
        [(v.name, v.expected, v.found, "yes" if v.as_expected else "**no**") for v in verdicts],
    )
