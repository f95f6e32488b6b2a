"""Made-up accounts are the same for the same seed, and what a threshold costs is counted rightly."""

from datetime import timedelta
from itertools import pairwise

import pytest

from bench.fraud import Judged, at_recall, best_limit, by_rules, outcome
from bench.transactions import FRAUDS, Labelled, PartOf, accounts
from functions.fraud.rules import SUSPICIOUS
from tests.unit.spending import a_payment, suspects


def marked(mark: float, euros: int, *, fraud: bool = False) -> Judged:
    part_of = PartOf("stolen", "case") if fraud else PartOf()
    return Judged(Labelled(a_payment(0, euros * 100), part_of.kind, part_of.case), mark)


JUDGED = [
    marked(90, 500, fraud=True),
    marked(80, 20),
    marked(70, 300, fraud=True),
    marked(60, 30),
    marked(50, 5, fraud=True),
    marked(40, 1000),
    marked(30, 12, fraud=True),  # whoever looks at it looks at its equal, too
    marked(30, 12),
]


def test_the_same_seed_makes_the_same_accounts_and_another_makes_others() -> None:
    one, again, other = (list(accounts(seed=seed, customers=3)) for seed in (7, 7, 8))

    assert one == again
    assert one != other


def test_every_kind_of_fraud_is_among_them_and_some_transactions_come_late() -> None:
    made = [each for account in accounts(seed=1, customers=60) for each in account]

    assert {each.kind for each in made} == {"ordinary", *FRAUDS}
    assert all((each.kind == "ordinary") == (not each.case) for each in made)
    times = [each.transaction.posted_at for each in made if each.transaction.account_id == "acc-0"]
    assert any(later < sooner - timedelta(hours=1) for sooner, later in pairwise(times))
    assert len({each.transaction.authorisation_id for each in made}) == len(made)


def test_what_a_threshold_finds_misses_and_costs() -> None:
    at = outcome(JUDGED, 70)

    assert (at.found, at.missed, at.for_nothing) == (2, 2, 1)
    assert [at.lost, at.precision, at.recall, at.saved] == pytest.approx([17, 2 / 3, 2 / 4, 800 / 817])
    assert at.cost(10) == pytest.approx(5 + 12 + 3 * 10)


@pytest.mark.parametrize("review", [0.5, 10, 200, 10_000])
def test_the_best_limit_is_as_cheap_as_any(review: float) -> None:
    every = [outcome(JUDGED, least).cost(review) for least in (30, 40, 50, 60, 70, 80, 90, float("inf"))]

    assert outcome(JUDGED, best_limit(JUDGED, review)).cost(review) == pytest.approx(min(every))


@pytest.mark.parametrize("least", [90, 70, 50])
def test_a_limit_that_finds_as_many(least: float) -> None:
    assert at_recall(JUDGED, outcome(JUDGED, least).recall) == least


def test_the_bench_judges_as_the_function_does() -> None:
    (account,) = accounts(seed=1, customers=1)

    judged = by_rules(account)

    assert [each.labelled.transaction.authorisation_id for each in judged if each.mark >= SUSPICIOUS] == suspects(
        [each.transaction for each in account]
    )
