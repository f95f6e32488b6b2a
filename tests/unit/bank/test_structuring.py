"""Structuring: several amounts of cash just below the threshold, from 9,000 to 10,000 dollars, within seven days."""

import pytest
from pydantic import ValidationError

from tests.unit import faults
from tests.unit.bank.compliance import DOLLARS, LIMIT, Compliance, a_threshold, cash, on
from tests.unit.world import World

BELOW = 9_500 * DOLLARS


@pytest.fixture
def compliance(world: World) -> Compliance:
    return Compliance(world)


def test_two_amounts_just_below_the_threshold_within_seven_days_open_a_case(compliance: Compliance) -> None:
    deposits = [cash(BELOW, day=2), cash(BELOW, day=8)]
    compliance.posts(deposits[0])
    assert compliance.cases == []
    compliance.posts(deposits[1])

    (case,) = compliance.cases
    assert (case.rule, case.total) == ("structuring", 2 * BELOW)
    assert case.transactions == [each.authorisation_id for each in deposits]
    assert case.opened.case_id == "structuring:cus-19b2:credit:USD:2026-03-02"
    assert case.opened.legal_source.startswith("31 CFR 1010.314")


def test_two_amounts_that_are_not_within_seven_days_open_no_case(compliance: Compliance) -> None:
    compliance.posts(cash(BELOW, day=2), cash(BELOW, day=9))

    assert compliance.cases == []


@pytest.mark.parametrize(
    ("amount", "cases"), [(9_000 * DOLLARS - 1, 0), (9_000 * DOLLARS, 1), (LIMIT, 1)], ids=["less", "margin", "limit"]
)
def test_just_below_is_from_the_margin_to_the_threshold_inclusive(
    compliance: Compliance, amount: int, cases: int
) -> None:
    compliance.posts(cash(BELOW, day=2), cash(amount, day=3))

    assert compliance.rules == ["structuring"] * cases


def test_cash_above_the_threshold_is_reported_but_is_not_structuring(compliance: Compliance) -> None:
    compliance.posts(cash(LIMIT + 1, day=2), cash(BELOW, day=3))

    assert compliance.rules == ["cash_over_threshold"]


# Guards: the sum must exceed the threshold, even with a wide margin.
def test_amounts_that_do_not_exceed_the_threshold_together_open_no_case(compliance: Compliance) -> None:
    compliance.sets(a_threshold(amount=LIMIT, margin=LIMIT - 1))

    compliance.posts(cash(LIMIT // 2, day=2), cash(LIMIT // 2, day=3))
    assert compliance.cases == []
    compliance.posts(cash(1, day=4))

    (case,) = compliance.cases
    assert (case.rule, case.total) == ("structuring", LIMIT + 1)


# Guards: there is one case, even if the structuring continues for a long time.
def test_structuring_that_continues_changes_the_same_case(compliance: Compliance) -> None:
    compliance.posts(*(cash(BELOW, day=day) for day in (2, 5, 9, 14)))

    (case,) = compliance.cases
    assert (case.total, len(case.transactions)) == (4 * BELOW, 4)


def test_structuring_that_starts_again_later_opens_another_case(compliance: Compliance) -> None:
    compliance.posts(*(cash(BELOW, day=day) for day in (2, 3, 20, 21)))

    assert [case.opened.business_day for case in compliance.cases] == [on(2).date(), on(20).date()]


def test_two_amounts_on_one_day_open_a_case_for_each_rule(compliance: Compliance) -> None:
    compliance.posts(cash(BELOW), cash(BELOW))

    assert compliance.rules == ["cash_of_one_day", "structuring"]


def test_a_late_transaction_counts_together_with_later_ones(compliance: Compliance) -> None:
    compliance.posts(cash(BELOW, day=8), cash(BELOW, day=2, customer_id="cus-2"))
    assert compliance.cases == []
    compliance.posts(cash(BELOW, day=6))

    (case,) = compliance.cases
    assert (case.opened.business_day, case.total) == (on(6).date(), 2 * BELOW)


def test_a_reversed_transaction_does_not_count_in_any_order_of_arrival(compliance: Compliance) -> None:
    reversed_, early = cash(BELOW, day=2), cash(BELOW, day=3)
    compliance.posts(reversed_)
    compliance.reverses(reversed_, early)
    compliance.posts(cash(BELOW, day=4), early)
    assert compliance.cases == []

    last = cash(BELOW, day=5)
    compliance.posts(last)
    compliance.reverses(last)
    (case,) = compliance.cases
    assert (case.total, len(case.transactions)) == (BELOW, 1)


# Guards: all transactions just below the threshold are in one row with a version.
def test_two_transactions_of_two_days_at_the_same_time_open_a_case(compliance: Compliance) -> None:
    faults.meanwhile("TransactWriteItems", lambda: compliance.posts(cash(BELOW, day=3)))

    compliance.posts(cash(BELOW, day=2))

    (case,) = compliance.cases
    assert (case.rule, case.total) == ("structuring", 2 * BELOW)


def test_each_transaction_is_compared_with_the_threshold_of_its_day(compliance: Compliance) -> None:
    compliance.sets(a_threshold(valid_from="2026-03-05", sum_over_days=LIMIT * 2))

    compliance.posts(cash(4_500 * DOLLARS, day=4), cash(4_500 * DOLLARS, day=5))
    assert compliance.cases == []
    compliance.posts(cash(4_500 * DOLLARS, day=6))

    assert [case.total for case in compliance.cases] == [9_000 * DOLLARS]


def test_the_row_has_a_limited_number_of_transactions(compliance: Compliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.compliance.structuring._MAX_TRANSACTIONS", 3)
    compliance.posts(*(cash(BELOW, day=day) for day in range(1, 7)))

    (row,) = compliance.world.items("recent-cash")
    assert sorted(each["day"] for each in row["transactions"].values()) == ["2026-03-04", "2026-03-05", "2026-03-06"]


# --- sums over days ---------------------------------------------------------------------------------------------------


def test_five_amounts_below_the_margin_on_five_days_open_a_case(compliance: Compliance) -> None:
    compliance.posts(*(cash(8_900 * DOLLARS, day=day) for day in range(2, 7)))

    (case,) = compliance.cases
    assert (case.rule, case.total, len(case.transactions)) == ("structuring", 5 * 8_900 * DOLLARS, 5)


@pytest.mark.parametrize(("last", "cases"), [(6_000 * DOLLARS, 0), (6_000 * DOLLARS + 1, 1)])
def test_the_sum_over_days_must_exceed_twice_the_threshold(compliance: Compliance, last: int, cases: int) -> None:
    compliance.posts(cash(7_000 * DOLLARS, day=2), cash(7_000 * DOLLARS, day=5), cash(last, day=8))

    assert compliance.rules == ["structuring"] * cases


def test_the_limit_for_a_sum_over_days_is_a_setting(compliance: Compliance) -> None:
    compliance.sets(a_threshold(amount=LIMIT, sum_over_days=LIMIT))

    compliance.posts(cash(5_000 * DOLLARS, day=2), cash(5_000 * DOLLARS, day=3))
    assert compliance.cases == []
    compliance.posts(cash(1, day=4))
    assert compliance.rules == ["structuring"]


def test_the_margin_is_a_setting(compliance: Compliance) -> None:
    compliance.sets(a_threshold(amount=LIMIT, margin=2_000 * DOLLARS))

    compliance.posts(cash(8_000 * DOLLARS, day=2), cash(8_000 * DOLLARS, day=3))

    assert compliance.rules == ["structuring"]


# Guards: the sum of a day is compared with the threshold, too.
def test_days_whose_sums_are_just_below_the_threshold_open_a_case(compliance: Compliance) -> None:
    compliance.posts(*(cash(4_700 * DOLLARS, day=day) for day in (2, 2, 4, 4)))

    (case,) = compliance.cases
    assert (case.rule, case.total) == ("structuring", 18_800 * DOLLARS)


def test_cash_of_one_day_is_no_sum_over_days(compliance: Compliance) -> None:
    compliance.posts(*(cash(7_000 * DOLLARS) for _ in range(4)))

    assert compliance.rules == ["cash_of_one_day"]


def test_sums_over_days_are_complete_in_any_order_of_arrival(compliance: Compliance) -> None:
    compliance.posts(*(cash(8_900 * DOLLARS, day=day) for day in (6, 2, 5, 3, 4)))

    (case,) = compliance.cases
    assert case.total == 5 * 8_900 * DOLLARS


def test_old_transactions_without_a_case_are_removed(compliance: Compliance) -> None:
    compliance.posts(*(cash(1, day=day) for day in (2, 16, 17)))

    (row,) = compliance.world.items("recent-cash")
    assert sorted(each["day"] for each in row["transactions"].values()) == ["2026-03-16", "2026-03-17"]


def test_a_limit_for_a_sum_below_the_threshold_is_rejected() -> None:
    with pytest.raises(ValidationError, match=r"sum_over_days \(1\) must be at least amount \(1000000\)"):
        a_threshold(amount=LIMIT, sum_over_days=1)
