"""Whether a quantity grew during a long run: compare the last fifth of the run with the second.

The first fifth does not count, because processes start and fill their caches. The median of each fifth counts, so that
a moment of high load on the machine has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.sampling import Sample

_FIFTHS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A quantity that must not grow beyond `factor` times its earlier value plus `extra`, in its own unit."""

    name: str
    unit: str
    of: Callable[[Sample], float | None]
    factor: float
    extra: float = 0.0
    reason: str  # for this limit

    def limit(self, before: float) -> float:
        """The limit, if it was `before`."""
        return before * self.factor + self.extra


_PYTHON = "an interpreter's heap settles slowly, and takes some more pages after a rare event"
_STARTED = "a function starts another process when several batches arrive at once, which is random"
_SHARED = "other programs use the machine too; with half the machine, everything takes twice as long"
_BURST = "timers fire in bursts, once a minute"
_CLOCK = f"the cloud reports ages in whole seconds, and {_BURST}"

QUANTITIES = (
    Quantity(
        name="memory of one worker, median", unit="MB", of=lambda s: s.ordinary, factor=1.05, extra=1.0, reason=_PYTHON
    ),
    Quantity(
        name="memory of the largest worker", unit="MB", of=lambda s: s.largest, factor=1.1, extra=2.0, reason=_PYTHON
    ),
    Quantity(name="memory of all workers", unit="MB", of=lambda s: s.memory, factor=1.1, extra=120.0, reason=_STARTED),
    Quantity(name="workers", unit="processes", of=lambda s: s.workers, factor=1.1, extra=2.0, reason=_STARTED),
    Quantity(
        name="open files and connections of a worker",
        unit="",
        of=lambda s: s.files / s.workers if s.workers else None,
        factor=1.1,
        extra=1.0,
        reason="after a broken connection, the new one is opened before the old one is closed",
    ),
    Quantity(name="messages in queues", unit="", of=lambda s: s.messages, factor=2.0, extra=20.0, reason=_BURST),
    Quantity(
        name="age of the oldest message", unit="s", of=lambda s: s.oldest_message, factor=2.0, extra=2.0, reason=_CLOCK
    ),
    Quantity(
        name="age of the oldest open delivery",
        unit="s",
        of=lambda s: s.oldest_open,
        factor=2.0,
        extra=2.0,
        reason=_CLOCK,
    ),
    Quantity(name="delivery latency, median", unit="s", of=lambda s: s.median, factor=2.0, reason=_SHARED),
    Quantity(name="delivery latency, 99th percentile", unit="s", of=lambda s: s.slow, factor=2.0, reason=_SHARED),
    Quantity(name="time to process an order", unit="s", of=lambda s: s.order_latency, factor=2.0, reason=_SHARED),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A quantity in the second and in the last fifth; None if it was not measured."""

    quantity: Quantity
    before: float | None
    after: float | None

    @property
    def limit(self) -> float | None:
        """The limit for the last fifth."""
        return None if self.before is None else self.quantity.limit(self.before)

    @property
    def passed(self) -> bool:
        """Whether it stayed within the limit. A quantity that was not measured did not pass."""
        return self.limit is not None and self.after is not None and self.after <= self.limit


def compare(samples: Sequence[Sample]) -> list[Comparison]:
    """Compare the last fifth of the run with the second, for all quantities."""
    before, after = fifths(samples)
    return [Comparison(quantity, _median_of(quantity, before), _median_of(quantity, after)) for quantity in QUANTITIES]


def fifths(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The second and the last fifth by time, since samples may be missing."""
    fifth = samples[-1].minutes / _FIFTHS if samples else 0.0
    second = [sample for sample in samples if fifth <= sample.minutes < 2 * fifth]
    return second, [sample for sample in samples if sample.minutes >= (_FIFTHS - 1) * fifth]


def _median_of(quantity: Quantity, samples: Sequence[Sample]) -> float | None:
    seen = [value for sample in samples if (value := quantity.of(sample)) is not None]
    return median(seen) if seen else None


def most_grown(samples: Sequence[Sample]) -> list[tuple[str, float, float]]:
    """Functions with their workers' memory in the second and in the last fifth. The one that grew most comes first."""
    before, after = fifths(samples)
    found = []
    for name in {name for sample in after for name in sample.functions}:
        early = [sample.functions[name] for sample in before if name in sample.functions]
        late = [sample.functions[name] for sample in after if name in sample.functions]
        if early:
            found.append((name, median(early), median(late)))
    return sorted(found, key=lambda each: each[1] - each[2])
