"""How long it takes to hold one name against a sanctions list, by the length of the list. All names are made up."""

from __future__ import annotations

import random
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING

from bench.aims import Aim
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
# As in real lists, a few words stand in many names.
_FREQUENT = ("mohamar", "trading", "alvendor", "company", "kalomi", "general")


def measure(progress: Progress, *, names: int) -> list[Aim]:
    """Hold so many names against lists of growing length: one half listed, with a slip of the pen; the other not."""
    slowest = 0.0
    for size in _SIZES:
        chance = random.Random(_SEED)  # noqa: S311 - guards no secret
        listed = [Listed(number, _name(chance)) for number in range(1, size + 1)]
        with progress.step(f"making the index of {size} names"):
            before = time.perf_counter()
            index = NameIndex(listed)
            made = (time.perf_counter() - before) * 1000
        asked = [_slip(chance, chance.choice(listed).name) if n % 2 else _name(chance) for n in range(names)]
        times, found = _times(index, asked)
        worst = quantiles(times, n=100)[98]
        progress.say(
            f"  {size:>6} names: {median(times):5.2f} ms a name in the middle, {worst:5.2f} ms at the 99th percentile; "
            f"{found} of {names} found; the index took {made:.0f} ms"
        )
        slowest = max(slowest, worst)
    return [Aim(f"99 of 100 names screened against {max(_SIZES)} within", slowest, at_most=50, unit="ms")]


def _times(index: NameIndex, names: Sequence[str]) -> tuple[list[float], int]:
    """The milliseconds that each name took, and how many are like one of the list."""
    times, found = [], 0
    for name in names:
        before = time.perf_counter()
        matches = index.like(name, least=_LEAST)
        times.append((time.perf_counter() - before) * 1000)
        found += bool(matches)
    return times, found


def _name(chance: random.Random) -> str:
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(chance.randint(2, 4))]
    if not chance.randrange(4):
        words[0] = chance.choice(_FREQUENT)
    return " ".join(words)


def _slip(chance: random.Random, name: str) -> str:
    """The name with one letter wrong, and its words in another order."""
    place = chance.randrange(len(name))
    words = f"{name[:place]}x{name[place + 1 :]}".split()
    chance.shuffle(words)
    return " ".join(words)
