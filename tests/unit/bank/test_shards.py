"""A row that many transactions write to is split into as many shards as the formula of `shards_needed` says."""

import heapq
import random
from collections.abc import Iterator, Sequence

import pytest

from daybook.store.shards import Shards, shards_needed
from daybook.store.transaction import _FIRST_DELAY, _MAX_DELAY
from functions.analytics import totals

TRANSACTIONS = 60_000
MOST_TRIES = 10
ASSUMED = [
    (totals.TRANSACTIONS_PER_SECOND, totals.TRANSACTION_SECONDS, totals.MAX_CONFLICT_SHARE),
    (totals.MERCHANT_TRANSACTIONS_PER_SECOND, totals.TRANSACTION_SECONDS, totals.MAX_CONFLICT_SHARE),
]
OTHERS = [(40, 0.1, 0.15), (300, 0.05, 0.2)]


def share_with_a_conflict(rows: Sequence[str], *, rate: float, seconds: float) -> float:
    """Simulate transactions that arrive at random, at this rate, one for each of the rows in order. A row is locked for
    this number of seconds. A transaction that finds it locked retries after a pause, a limited number of times.
    Returns the share of transactions that did not succeed at once.
    """
    chance = random.Random(90017)  # noqa: S311 - the same numbers in each run
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
        pause = chance.uniform(0, min(_FIRST_DELAY * 2**tries, _MAX_DELAY))
        heapq.heappush(waiting, (now + pause, tries + 1, row))
    return met / len(rows)


def _arrivals(rate: float, chance: random.Random) -> Iterator[float]:
    now = 0.0
    while True:
        now += chance.expovariate(rate)
        yield now


def one_row(shards: int) -> list[str]:
    """The shards of this number of transactions that all write to one row."""
    return [Shards(shards).shard_id("row", f"A-{number}") for number in range(TRANSACTIONS)]


# Guards: the shard depends on the event and is not constant.
@pytest.mark.parametrize(("rate", "seconds", "conflicts"), [*ASSUMED, *OTHERS])
def test_with_enough_shards_no_more_transactions_conflict_than_required(
    rate: int, seconds: float, conflicts: float
) -> None:
    shards = shards_needed(rate=rate, seconds=seconds, conflicts=conflicts)

    assert share_with_a_conflict(one_row(shards), rate=rate, seconds=seconds) <= conflicts


@pytest.mark.parametrize(("rate", "seconds", "conflicts"), [*ASSUMED, *OTHERS])
def test_with_a_quarter_of_the_shards_more_transactions_conflict(rate: int, seconds: float, conflicts: float) -> None:
    quarter = shards_needed(rate=rate, seconds=seconds, conflicts=conflicts) // 4

    assert share_with_a_conflict(one_row(quarter), rate=rate, seconds=seconds) > 2 * conflicts


def test_the_formula_counts_retries_too() -> None:
    # Without retries, with λ·w / -ln(1 - p) alone, it would be 95 shards for one conflict in ten.
    assert shards_needed(rate=500, seconds=0.02, conflicts=0.1) == 106
    assert share_with_a_conflict(one_row(95), rate=500, seconds=0.02) > 0.1


@pytest.mark.parametrize("pattern", ["A-{:05d}", "{}", "2026-03-01.{:07d}", "auth{:x}", "T{:012d}-X"])
@pytest.mark.parametrize("number", [totals.MINUTE_SHARDS.number, totals.MERCHANT_DAY_SHARDS.number])
def test_similar_ids_are_spread_evenly(pattern: str, number: int) -> None:
    found = [Shards(number).shard_id("row", pattern.format(each)) for each in range(TRANSACTIONS)]

    assert set(found) == set(Shards(number).all_ids("row"))
    fair = TRANSACTIONS / number
    assert max(map(found.count, set(found))) < 1.25 * fair


def test_a_key_has_the_same_shard_in_every_process() -> None:
    # Python's own hash() of a text differs between processes; these values must never change.
    assert Shards(106).shard_id("2026-03-01T12:00", "A-90017") == "2026-03-01T12:00#58"
    assert Shards(1).all_ids("row") == ["row#0"]
