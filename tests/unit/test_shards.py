"""A row that many transactions meet in is split into as many shards as its formula says, and that is enough."""

import heapq
import random
from collections.abc import Iterator, Sequence

import pytest

from daybook.store.shards import Shards, enough
from daybook.store.transaction import _FIRST_DELAY, _LONGEST_DELAY
from functions.analytics import tallies

TRANSACTIONS = 60_000
MOST_TRIES = 10
ASSUMED = [
    (tallies.BANKS_RATE, tallies.UNDER_WAY, tallies.MOST_CONFLICTS),
    (tallies.MERCHANTS_RATE, tallies.UNDER_WAY, tallies.MOST_CONFLICTS),
]
OTHERS = [(40, 0.1, 0.15), (300, 0.05, 0.2)]


def share_that_meets_another(rows: Sequence[str], *, rate: float, seconds: float) -> float:
    """Transactions come at random, at this rate, one for each of the rows in their order. A row takes one at a time,
    for so many seconds; who meets another there comes again after a pause, as a unit of work does, but not for ever.
    The answer is the share of those that did not get through at once.
    """
    chance = random.Random(90017)  # noqa: S311 - the same each time
    waiting = [(when, 0, row) for when, row in zip(_arrivals(rate, chance), rows, strict=False)]
    taken_until: dict[str, float] = {}
    met = 0
    while waiting:
        now, tries, row = heapq.heappop(waiting)
        if now >= taken_until.get(row, 0):
            taken_until[row] = now + seconds
            continue
        met += tries == 0
        if tries == MOST_TRIES:
            continue
        pause = chance.uniform(0, min(_FIRST_DELAY * 2**tries, _LONGEST_DELAY))
        heapq.heappush(waiting, (now + pause, tries + 1, row))
    return met / len(rows)


def _arrivals(rate: float, chance: random.Random) -> Iterator[float]:
    now = 0.0
    while True:
        now += chance.expovariate(rate)
        yield now


def one_row(shards: int) -> list[str]:
    """The shards that so many transactions write to, all of them on one row."""
    return [Shards(shards).one("row", f"A-{number}") for number in range(TRANSACTIONS)]


# Guards: the shard is found by what comes, and is not always the same.
@pytest.mark.parametrize(("rate", "seconds", "conflicts"), [*ASSUMED, *OTHERS])
def test_with_enough_shards_no_more_transactions_meet_than_wished(rate: int, seconds: float, conflicts: float) -> None:
    shards = enough(rate=rate, seconds=seconds, conflicts=conflicts)

    assert share_that_meets_another(one_row(shards), rate=rate, seconds=seconds) <= conflicts


@pytest.mark.parametrize(("rate", "seconds", "conflicts"), [*ASSUMED, *OTHERS])
def test_with_a_quarter_of_the_shards_more_of_them_meet(rate: int, seconds: float, conflicts: float) -> None:
    quarter = enough(rate=rate, seconds=seconds, conflicts=conflicts) // 4

    assert share_that_meets_another(one_row(quarter), rate=rate, seconds=seconds) > 2 * conflicts


def test_one_that_comes_again_counts_too_without_which_there_would_be_too_few() -> None:
    # Without repetitions, that is with λ·w / -ln(1 - p) alone, it would be 95 for one in ten.
    assert enough(rate=500, seconds=0.02, conflicts=0.1) == 106
    assert share_that_meets_another(one_row(95), rate=500, seconds=0.02) > 0.1


@pytest.mark.parametrize("pattern", ["A-{:05d}", "{}", "2026-03-01.{:07d}", "auth{:x}", "T{:012d}-X"])
@pytest.mark.parametrize("number", [tallies.MINUTE.number, tallies.MERCHANT_DAY.number])
def test_ids_that_are_much_alike_are_spread_evenly(pattern: str, number: int) -> None:
    found = [Shards(number).one("row", pattern.format(each)) for each in range(TRANSACTIONS)]

    assert set(found) == set(Shards(number).all("row"))
    fair = TRANSACTIONS / number
    assert max(map(found.count, set(found))) < 1.25 * fair


def test_a_key_stays_in_its_shard_though_another_process_asks() -> None:
    # Python's own hash() of a text differs from process to process; these are written down for ever.
    assert Shards(106).one("2026-03-01T12:00", "A-90017") == "2026-03-01T12:00#58"
    assert Shards(1).all("row") == ["row#0"]
