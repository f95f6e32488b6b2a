"""How long it takes to screen a name against a sanctions list, by the length of the list. All names are generated."""

from __future__ import annotations

import random
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING

from bench.targets import Target
from functions.compliance.names import NameIndex
from functions.compliance.sanctions_list import Listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daybook.local.progress import Progress

_SIZES = (1_000, 5_000, 10_000, 20_000)
_LEAST = 88  # percent
_SEED = 20_260_301  # the same names each time
_SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ra",
    "ven",
    "dor",
    "sha",
    "tek",
    "bal",
    "uri",
    "zan",
    "pol",
    "gre",
    "hin",
    "ost",
    "mar",
    "yel",
    "cho",
    "fa",
    "wen",
    "dri",
    "sul",
    "bek",
    "nor",
    "ita",
    "gam",
]
# As in real lists, a few words occur in many names.
_FREQUENT = ("mohamar", "trading", "alvendor", "company", "kalomi", "general")


def measure(progress: Progress, *, names: int) -> list[Target]:
    """Screen names against lists of growing length. Half of them are listed, with a spelling mistake; the others are
    not.
    """
    slowest = 0.0
    for size in _SIZES:
        rng = random.Random(_SEED)  # noqa: S311 - guards no secret
        listed = [Listed(number, _name(rng)) for number in range(1, size + 1)]
        with progress.step(f"building the index of {size} names"):
            before = time.perf_counter()
            index = NameIndex(listed)
            made = (time.perf_counter() - before) * 1000
        asked = [_slip(rng, rng.choice(listed).name) if n % 2 else _name(rng) for n in range(names)]
        times, found = _times(index, asked)
        worst = quantiles(times, n=100)[98]
        progress.say(
            f"  {size:>6} names: {median(times):5.2f} ms per name (median), {worst:5.2f} ms at the 99th percentile; "
            f"{found} of {names} found; building the index took {made:.0f} ms"
        )
        slowest = max(slowest, worst)
    return [Target(f"99th percentile of screening against {max(_SIZES)} names", slowest, maximum=50, unit="ms")]


def _times(index: NameIndex, names: Sequence[str]) -> tuple[list[float], int]:
    """The milliseconds of each name, and the number of names that match the list."""
    times, found = [], 0
    for name in names:
        before = time.perf_counter()
        matches = index.like(name, least=_LEAST)
        times.append((time.perf_counter() - before) * 1000)
        found += bool(matches)
    return times, found


def _name(rng: random.Random) -> str:
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(rng.randint(2, 4))]
    if not rng.randrange(4):
        words[0] = rng.choice(_FREQUENT)
    return " ".join(words)


def _slip(rng: random.Random, name: str) -> str:
    """The name with one wrong letter and its words in another order."""
    place = rng.randrange(len(name))
    words = f"{name[:place]}x{name[place + 1 :]}".split()
    rng.shuffle(words)
    return " ".join(words)
