"""Which names of payees match a sanctions list, and how long a comparison takes. All names are generated."""

from __future__ import annotations

import time
from statistics import median, quantiles
from typing import TYPE_CHECKING

from bench.listed_names import ENTRIES, MAX_COMMON, WRITTEN, Generator
from bench.targets import Target
from functions.compliance.names import NameIndex
from functions.compliance.sanctions_files import DEFAULT_MIN_SIMILARITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daybook.local.progress import Progress
    from events.compliance import Match
    from functions.compliance.sanctions_list import Listed

_SIZES = (400, 2_000, 4_000, ENTRIES)
_PERCENT = 100


def measure(progress: Progress, *, names: int) -> list[Target]:
    """Compare names with lists of growing length. `names` of each kind: as senders write listed ones, and common ones
    of people who are not on the list.
    """
    for size in _SIZES:
        generator = Generator()
        listed = generator.listed(size)
        with progress.step(f"building the index of {len(listed)} names"):
            before = time.perf_counter()
            index = NameIndex(listed)
            built = (time.perf_counter() - before) * 1000
        people = [generator.with_mistakes(each.name, 1) for each in generator.people(listed, min(names, size // 4))]
        times = [_compare(index, name)[1] for name in [*people, *generator.common(len(people))]]
        worst = quantiles(times, n=100)[98]
        progress.say(
            f"  {len(listed):>6} names: {median(times):5.2f} ms per name (median), {worst:5.2f} ms at the 99th "
            f"percentile; building the index took {built:.0f} ms"
        )
    return [
        Target(f"99th percentile of screening against {len(listed)} names", worst, maximum=50, unit="ms"),
        *_found(generator, listed, index, names),
    ]


def _found(generator: Generator, listed: Sequence[Listed], index: NameIndex, names: int) -> list[Target]:
    targets = []
    for what, (write, minimum) in WRITTEN.items():
        people = generator.people(listed, names)
        found = sum(
            any(match.entry == each.entry for match in _compare(index, write(generator, each.name))[0])
            for each in people
        )
        share = found / len(people) * _PERCENT
        targets.append(Target(f"found with {what}", share, minimum=minimum * _PERCENT, unit="%"))
    common = generator.common(5 * names)
    matched = sum(bool(_compare(index, name)[0]) for name in common) / len(common) * _PERCENT
    targets.append(Target("common names that match", matched, maximum=MAX_COMMON * _PERCENT, unit="%"))
    return targets


def _compare(index: NameIndex, name: str) -> tuple[tuple[Match, ...], float]:
    """The matches of a name, and the milliseconds that it took."""
    before = time.perf_counter()
    matches = index.matches(name, min_similarity=DEFAULT_MIN_SIMILARITY)
    return matches, (time.perf_counter() - before) * 1000
