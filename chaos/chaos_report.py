"""What the report says of a day of chaos."""

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

_SHOWN = 10  # of what is the same, so many are shown


def page(result: Result, verdicts: Sequence[Verdict]) -> str:
    """Markdown: what was sent, what was brought about, what was looked at and found."""
    return "\n\n".join([*_begin(result), *_brought(result), *_looked_at(result), *_controls(verdicts)])


def _begin(result: Result) -> Iterator[str]:
    accounts = result.world.accounts
    states = Counter(row["state"] for row in accounts.values())
    dead = Counter((row["error"], consumer) for (_, consumer), row in accounts.items() if row["state"] == "dead")
    left = ", ".join(f"{times} {error} at {consumer}" for (error, consumer), times in sorted(dead.items()))
    events = sum(1 for _ in result.world.events())
    each = f"{result.scale:,}"
    yield "## Chaos"
    yield (
        f"{each} orders, {each} readings and {each} transactions, seed {result.seed}, in {result.seconds / 60:.0f} "
        f"minutes, on {datetime.now(UTC):%Y-%m-%d}. Machine: {description()}."
    )
    yield (
        f"**{'All held' if result.held else 'Not all held'}.** {events:,} events were recorded. Of their accounts "
        f"{states['committed']:,} are committed, {states['discarded']:,} discarded by a decision, {states['dead']:,} "
        f"dead{f': {left}' if left else ''}."
    )


def _brought(result: Result) -> Iterator[str]:
    yield "What was brought about:"
    yield table(("fault", "times"), [(what, f"{times:,}") for what, times in result.brought.items()])
    spared = "; ".join(result.spared[:_SHOWN]) + (" …" if len(result.spared) > _SHOWN else "")
    yield (
        f"Of {2 * result.brought[faults.KINDS]} moments, before and after each kind of call, {len(result.spared)} were "
        f"met by no death, since the call was made too seldom{f': {spared}' if spared else ''}."
    )


def _looked_at(result: Result) -> Iterator[str]:
    yield "What was looked at, from the outside, by a checker that shares no code with the system:"
    yield table(("invariant", "breaches"), [(name, f"{len(found):,}") for name, found in result.breaches.items()])
    several = [breach.what for found in result.breaches.values() for breach in found[:_SHOWN]]
    if several or result.complaints:
        yield "\n".join(f"- {what}" for what in (*several, *result.complaints))
    else:
        yield "`daybook verify` of every view and `daybook audit check` find nothing either."


def _controls(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "### Without its guard"
    yield (
        "A small day for each guard, which is taken away from the deployed functions. It must break the promise that "
        "the guard keeps; a small day with all guards, on which each of them is needed, must break none."
    )
    yield table(
        ("without", "must break", "was found", "as it should be"),
        [(v.name, v.expected, v.found, "yes" if v.as_it_should_be else "**no**") for v in verdicts],
    )
