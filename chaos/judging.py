"""Whether something has grown in a long run that should not: the last fifth of it beside the second.

The first fifth is left out, since processes are started in it and fill their caches. Of each fifth the median counts,
so that a moment in which the machine had other things to do decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.samples import Sample

_FIFTHS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Something that must not grow: at most to `times` what it was, and `more`, which is in its own unit."""

    name: str
    unit: str
    of: Callable[[Sample], float | None]
    times: float
    more: float = 0.0
    why: str  # this limit

    def limit(self, before: float) -> float:
        """What it may be if it was `before`."""
        return before * self.times + self.more


_PYTHON = "an interpreter's heap settles slowly, and by some pages more after a rare event"
_STARTED = "a function starts a process when several batches come at once, which chance decides"
_SHARED = "others use the machine too, and twice the time is what half the machine gives"
_BURST = "timers come in bursts, once a minute"
_CLOCK = f"the cloud tells ages in whole seconds, and {_BURST}"

QUANTITIES = (
    Quantity(
        name="memory of one worker, median", unit="MB", of=lambda s: s.ordinary, times=1.05, more=1.0, why=_PYTHON
    ),
    Quantity(name="memory of the largest worker", unit="MB", of=lambda s: s.largest, times=1.1, more=2.0, why=_PYTHON),
    Quantity(name="memory of all workers", unit="MB", of=lambda s: s.memory, times=1.1, more=120.0, why=_STARTED),
    Quantity(name="workers", unit="processes", of=lambda s: s.workers, times=1.1, more=2.0, why=_STARTED),
    Quantity(
        name="open files and connections of a worker",
        unit="",
        of=lambda s: s.files / s.workers if s.workers else None,
        times=1.1,
        more=1.0,
        why="a connection that was cut is opened anew before the old one is forgotten",
    ),
    Quantity(name="messages in queues", unit="", of=lambda s: s.messages, times=2.0, more=20.0, why=_BURST),
    Quantity(
        name="age of the oldest message", unit="s", of=lambda s: s.oldest_message, times=2.0, more=2.0, why=_CLOCK
    ),
    Quantity(
        name="age of the oldest delivery not finished",
        unit="s",
        of=lambda s: s.oldest_open,
        times=2.0,
        more=2.0,
        why=_CLOCK,
    ),
    Quantity(name="a delivery, median", unit="s", of=lambda s: s.median, times=2.0, why=_SHARED),
    Quantity(name="a delivery, 99th percentile", unit="s", of=lambda s: s.slow, times=2.0, why=_SHARED),
    Quantity(name="the whole story of an order", unit="s", of=lambda s: s.story, times=2.0, why=_SHARED),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How large a quantity was in the second and in the last fifth; None if nobody saw."""

    quantity: Quantity
    before: float | None
    after: float | None

    @property
    def limit(self) -> float | None:
        """What it may be in the last fifth."""
        return None if self.before is None else self.quantity.limit(self.before)

    @property
    def held(self) -> bool:
        """Whether it has not grown beyond the limit. What nobody saw has not held."""
        return self.limit is not None and self.after is not None and self.after <= self.limit


def judged(samples: Sequence[Sample]) -> list[Verdict]:
    """Compare the last fifth of the run with the second, for all that must not grow."""
    before, after = fifths(samples)
    return [Verdict(quantity, _middle(quantity, before), _middle(quantity, after)) for quantity in QUANTITIES]


def fifths(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The second fifth and the last, by the clock: looks that got no answer may be missing."""
    fifth = samples[-1].minutes / _FIFTHS if samples else 0.0
    second = [sample for sample in samples if fifth <= sample.minutes < 2 * fifth]
    return second, [sample for sample in samples if sample.minutes >= (_FIFTHS - 1) * fifth]


def _middle(quantity: Quantity, samples: Sequence[Sample]) -> float | None:
    seen = [value for sample in samples if (value := quantity.of(sample)) is not None]
    return median(seen) if seen else None


def grown(samples: Sequence[Sample]) -> list[tuple[str, float, float]]:
    """Functions, with the memory of their workers in the second and in the last fifth, the one that grew most first."""
    before, after = fifths(samples)
    found = []
    for name in {name for sample in after for name in sample.functions}:
        early = [sample.functions[name] for sample in before if name in sample.functions]
        late = [sample.functions[name] for sample in after if name in sample.functions]
        if early:
            found.append((name, median(early), median(late)))
    return sorted(found, key=lambda each: each[1] - each[2])
