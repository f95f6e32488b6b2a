"""Generated accounts are reproducible, and the results of a threshold are counted correctly."""

from datetime import timedelta
from itertools import pairwise

import pytest

from bench.fraud import Scored, at_recall, best_limit, by_rules, outcome
from bench.transactions import FRAUDS, Labelled, PartOf, accounts
from functions.fraud.rules import SUSPICIOUS
from tests.unit.bank.payments import a_payment, suspected_ids


def scored(score: float, euros: int, *, fraud: bool = False) -> Scored:
    part_of = PartOf("stolen", "case") if fraud else PartOf()
    return Scored(Labelled(a_payment(0, euros * 100), part_of.kind, part_of.case), score)


SCORED = [
    scored(90, 500, fraud=True),
    scored(80, 20),
    scored(70, 300, fraud=True),
    scored(60, 30),
    scored(50, 5, fraud=True),
    scored(40, 1000),
    scored(30, 12, fraud=True),  # the next one has the same score, so both are reviewed
    scored(30, 12),
]


def test_accounts_depend_on_the_seed_only() -> None:
    one, again, other = (list(accounts(seed=seed, customers=3)) for seed in (7, 7, 8))

    assert one == again
    assert one != other


def test_there_is_every_kind_of_fraud_and_some_transactions_arrive_late() -> None:
    made = [each for account in accounts(seed=1, customers=60) for each in account]

    assert {each.kind for each in made} == {"ordinary", *FRAUDS}
    assert all((each.kind == "ordinary") == (not each.case) for each in made)
    times = [each.transaction.posted_at for each in made if each.transaction.account_id == "acc-0"]
    assert any(later < sooner - timedelta(hours=1) for sooner, later in pairwise(times))
    assert len({each.transaction.authorisation_id for each in made}) == len(made)


def test_the_result_of_a_threshold() -> None:
    at = outcome(SCORED, 70)

    assert (at.true_positives, at.false_negatives, at.false_positives) == (2, 2, 1)
    assert [at.lost, at.precision, at.recall, at.saved] == pytest.approx([17, 2 / 3, 2 / 4, 800 / 817])
    assert at.cost(10) == pytest.approx(5 + 12 + 3 * 10)


@pytest.mark.parametrize("review", [0.5, 10, 200, 10_000])
def test_the_best_limit_is_as_cheap_as_any(review: float) -> None:
    every = [outcome(SCORED, least).cost(review) for least in (30, 40, 50, 60, 70, 80, 90, float("inf"))]

    assert outcome(SCORED, best_limit(SCORED, review)).cost(review) == pytest.approx(min(every))


@pytest.mark.parametrize("least", [90, 70, 50])
def test_a_limit_with_the_same_recall(least: float) -> None:
    assert at_recall(SCORED, outcome(SCORED, least).recall) == least


def test_the_benchmark_scores_as_the_function_does() -> None:
    (account,) = accounts(seed=1, customers=1)

    scored = by_rules(account)

    assert [each.labelled.transaction.authorisation_id for each in scored if each.score >= SUSPICIOUS] == suspected_ids(
        [each.transaction for each in account]
    )
