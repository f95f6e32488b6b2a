"""Whether anything has grown that should not: the second fifth of a long run held against its last."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proof.samples import Sample

_FIFTHS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """What must not grow: at the end it may be `times` what it was, and `more` besides, which is noise in its unit."""

    name: str
    unit: str
    of: Callable[[Sample], float | None]
    times: float
    more: float


# The first fifth is left out: processes start in it, and load what they need. Memory that leaks grows with every event,
# by far more than a tenth in the time between; latencies and queues are those of a machine that is shared, so only what
# doubles is called growth.
FIGURES = (
    Figure("memory of a function's process, median", "MB", lambda sample: sample.ordinary, 1.1, 2),
    Figure("memory of the largest process", "MB", lambda sample: sample.largest, 1.1, 4),
    Figure("processes of functions", "", lambda sample: sample.workers, 1.1, 4),
    Figure("open files and connections of all of them", "", lambda sample: sample.files, 1.1, 40),
    Figure("messages in queues", "", lambda sample: sample.messages, 2, 20),
    Figure("age of the oldest message", "s", lambda sample: sample.oldest_message, 2, 5),
    Figure("deliveries under way", "", lambda sample: sample.open, 2, 20),
    Figure("latency of a delivery, median", "s", lambda sample: sample.median, 2, 0.1),
    Figure("latency of a delivery, 99 of 100", "s", lambda sample: sample.slow, 2, 1),
    Figure("an order's whole story", "s", lambda sample: sample.story, 2, 1),
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A figure in the second fifth of the run and in its last, as medians, and the most that it may be there."""

    figure: Figure
    early: float
    late: float
    limit: float

    @property
    def held(self) -> bool:
        """Whether it has not grown."""
        return self.late <= self.limit


class TooShort(ValueError):
    """There are too few samples to say whether anything grows. Let it run for longer."""


def judged(samples: Sequence[Sample], figures: Sequence[Figure] = FIGURES) -> list[Judgement]:
    """Judge each figure. Raises TooShort."""
    if len(samples) < _FIFTHS * 2:
        msg = f"{len(samples)} samples are too few to say whether anything grows; let it run for longer"
        raise TooShort(msg)
    fifth = len(samples) // _FIFTHS
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    judgements = []
    for figure in figures:
        before, after = (
            median([value for sample in part if (value := figure.of(sample)) is not None] or [0.0])
            for part in (early, late)
        )
        judgements.append(Judgement(figure, before, after, before * figure.times + figure.more))
    return judgements
