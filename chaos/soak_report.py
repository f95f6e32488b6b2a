"""What the report says of a long run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.machine import description
from chaos.judging import grown
from chaos.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.judging import Verdict
    from chaos.samples import Sample
    from chaos.soak import Result

_NAMED = 3  # functions
_WHOLE = 1000  # from here on, no decimals


def page(result: Result, picture: str) -> str:
    """Markdown: what was sent, what has grown, and the picture, by its name beside the page."""
    return "\n\n".join(_paragraphs(result, picture))


def moment(sample: Sample) -> str:
    """How things are, in a line."""
    return (
        f"{sample.events:8,} events  {sample.messages:4,} messages in queues  p99 {number(sample.slow)} s  "
        f"{sample.workers} workers, {sample.memory:,.0f} MB  cloud {sample.cloud:,.0f} MB  "
        f"processor {sample.processor:.0f} %"
    )


def line(verdict: Verdict) -> str:
    """What became of a quantity."""
    unit = f" {verdict.quantity.unit}" if verdict.quantity.unit else ""
    before, after, limit = (number(value) for value in (verdict.before, verdict.after, verdict.limit))
    return f"{verdict.quantity.name}: {before}, then {after}{unit}, at most {limit}"


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= _WHOLE or value == int(value) else f"{value:.3g}"


def _paragraphs(result: Result, picture: str) -> Iterator[str]:
    first, last, each = result.samples[0], result.samples[-1], f"{result.rate:g}"
    yield "## Soak"
    yield (
        f"{last.minutes:.0f} minutes with {each} orders, {each} readings and {each} transactions a second, seed "
        f"{result.seed}, on {datetime.now(UTC):%Y-%m-%d}: {result.sent:,} events sent, {last.events:,} recorded. "
        f"Machine: {description()}."
    )
    growth = "Something has grown" if any(not verdict.held for verdict in result.verdicts) else "Nothing has grown"
    ended = "not everything has come to its end" if result.wrong else "everything has come to its end"
    yield f"**{growth} that should not, and {ended}.**"
    yield table(
        ("medians", "in the second fifth", "in the last fifth", "at most", "held"),
        [
            (
                f"{verdict.quantity.name}{f', {verdict.quantity.unit}' if verdict.quantity.unit else ''}",
                *(number(value) for value in (verdict.before, verdict.after, verdict.limit)),
                "yes" if verdict.held else "**no**",
            )
            for verdict in result.verdicts
        ],
    )
    yield f"![Memory, queues, ages and latencies over the minutes]({picture})"
    if several := grown(result.samples)[:_NAMED]:
        named = ", ".join(f"`{name}` from {before:.1f} to {after:.1f} MB" for name, before, after in several)
        yield f"Workers are the processes that functions run in. Those of these functions have grown most: {named}."
    yield (
        "The local cloud keeps all that was ever recorded in its memory, so its own memory grows with that, here from "
        f"{first.cloud:,.0f} to {last.cloud:,.0f} MB. It is no part of what is deployed, and is not judged."
    )
    if result.wrong:
        yield "\n".join(f"- {sentence}" for sentence in result.wrong)
    else:
        yield (
            "When the traffic had stopped, all queues ran empty, each event had come to its end at each of its "
            "consumers, and nothing was dead but what was sent to be refused."
        )
