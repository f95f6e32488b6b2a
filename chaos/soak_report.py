"""The report of a soak run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.machine import description
from chaos.growth import most_grown
from chaos.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.growth import Comparison
    from chaos.sampling import Sample
    from chaos.soak import Result

_NAMED = 3  # functions whose growth is shown
_WHOLE = 1000  # no decimals from here on


def page(result: Result, picture: str) -> str:
    """Markdown: what was sent, what has grown, and the picture by its file name."""
    return "\n\n".join(_paragraphs(result, picture))


def moment(sample: Sample) -> str:
    """A sample as one line."""
    return (
        f"{sample.events:8,} events  {sample.messages:4,} messages in queues  p99 {number(sample.slow)} s  "
        f"{sample.workers} workers, {sample.memory:,.0f} MB  cloud {sample.cloud:,.0f} MB  "
        f"processor {sample.processor:.0f} %"
    )


def line(comparison: Comparison) -> str:
    """A comparison as one line."""
    unit = f" {comparison.quantity.unit}" if comparison.quantity.unit else ""
    before, after, limit = (number(value) for value in (comparison.before, comparison.after, comparison.limit))
    return f"{comparison.quantity.name}: {before}, then {after}{unit}, at most {limit}"


def number(value: float | None) -> str:
    """A number with three significant digits."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= _WHOLE or value == int(value) else f"{value:.3g}"


def _paragraphs(result: Result, picture: str) -> Iterator[str]:
    first, last, each = result.samples[0], result.samples[-1], f"{result.rate:g}"
    yield "## Soak"
    yield (
        f"{last.minutes:.0f} minutes with {each} orders, {each} readings and {each} transactions per second, seed "
        f"{result.seed}, on {datetime.now(UTC):%Y-%m-%d}: {result.sent:,} events sent, {last.events:,} recorded. "
        f"Machine: {description()}."
    )
    growth = "Some quantities grew" if any(not each.passed for each in result.comparisons) else "No quantity grew"
    processed = "not all events were processed as expected" if result.problems else "all events were processed"
    yield f"**{growth}, and {processed}.**"
    yield table(
        ("medians", "second fifth", "last fifth", "limit", "passed"),
        [
            (
                f"{comparison.quantity.name}{f', {comparison.quantity.unit}' if comparison.quantity.unit else ''}",
                *(number(value) for value in (comparison.before, comparison.after, comparison.limit)),
                "yes" if comparison.passed else "**no**",
            )
            for comparison in result.comparisons
        ],
    )
    yield f"![Memory, queues, ages and latencies over the minutes]({picture})"
    if several := most_grown(result.samples)[:_NAMED]:
        named = ", ".join(f"`{name}` from {before:.1f} to {after:.1f} MB" for name, before, after in several)
        yield f"Workers are the processes that run functions. The workers of these functions grew most: {named}."
    yield (
        "The local cloud keeps all records in memory, so its own memory grows, here from "
        f"{first.cloud:,.0f} to {last.cloud:,.0f} MB. It is not deployed, and has no limit here."
    )
    if result.problems:
        yield "\n".join(f"- {sentence}" for sentence in result.problems)
    else:
        yield (
            "After the traffic had ended, all queues were empty, all consumers had processed each of their events, and "
            "the only dead letters were events that were sent to be rejected."
        )
