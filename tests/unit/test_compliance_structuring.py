"""Cash that is kept just below the threshold, several times within days: 9,000 to 10,000 dollars, within a week."""

import pytest

from tests.unit import faults
from tests.unit.branch import DOLLARS, LIMIT, Branch, a_threshold, cash, on
from tests.unit.world import World

BELOW = 9_500 * DOLLARS


@pytest.fixture
def branch(world: World) -> Branch:
    return Branch(world)


def test_several_just_below_the_threshold_within_the_window_are_a_case(branch: Branch) -> None:
    told = [cash(BELOW, day=2), cash(BELOW, day=8)]
    branch.posts(told[0])
    assert branch.cases == []
    branch.posts(told[1])

    (case,) = branch.cases
    assert (case.rule, case.total) == ("structuring", 2 * BELOW)
    assert case.rests_on == [each.authorisation_id for each in told]
    assert case.opened.case_id == "structuring:cus-19b2:credit:USD:2026-03-02"
    assert case.opened.legal_source.startswith("31 CFR 1010.314")


def test_those_that_lie_further_apart_than_the_window_are_none(branch: Branch) -> None:
    branch.posts(cash(BELOW, day=2), cash(BELOW, day=9))

    assert branch.cases == []


@pytest.mark.parametrize(
    ("amount", "cases"), [(9_000 * DOLLARS - 1, 0), (9_000 * DOLLARS, 1), (LIMIT, 1)], ids=["less", "margin", "limit"]
)
def test_just_below_is_from_the_margin_up_to_the_threshold_itself(branch: Branch, amount: int, cases: int) -> None:
    branch.posts(cash(BELOW, day=2), cash(amount, day=3))

    assert branch.rules == ["structuring"] * cases


def test_what_is_above_the_threshold_is_reported_and_no_structuring(branch: Branch) -> None:
    branch.posts(cash(LIMIT + 1, day=2), cash(BELOW, day=3))

    assert branch.rules == ["cash_over_threshold"]


# Guards: a sum that passes the threshold, where the margin is wide.
def test_several_that_do_not_pass_the_threshold_together_are_none(branch: Branch) -> None:
    branch.sets(a_threshold(amount=LIMIT, margin=LIMIT - 1))

    branch.posts(cash(LIMIT // 2, day=2), cash(LIMIT // 2, day=3))
    assert branch.cases == []
    branch.posts(cash(1, day=4))

    (case,) = branch.cases
    assert (case.rule, case.total) == ("structuring", LIMIT + 1)


# Guards: one case for one matter, however long it goes on.
def test_who_goes_on_extends_the_case(branch: Branch) -> None:
    branch.posts(*(cash(BELOW, day=day) for day in (2, 5, 9, 14)))

    (case,) = branch.cases
    assert (case.total, len(case.rests_on)) == (4 * BELOW, 4)


def test_who_begins_again_later_has_another_case(branch: Branch) -> None:
    branch.posts(*(cash(BELOW, day=day) for day in (2, 3, 20, 21)))

    assert [case.opened.business_day for case in branch.cases] == [on(2).date(), on(20).date()]


def test_two_on_one_day_are_reported_and_looked_into(branch: Branch) -> None:
    branch.posts(cash(BELOW), cash(BELOW))

    assert branch.rules == ["cash_of_one_day", "structuring"]


def test_one_that_is_told_of_late_completes_what_came_after_it(branch: Branch) -> None:
    branch.posts(cash(BELOW, day=8), cash(BELOW, day=2, customer_id="cus-2"))
    assert branch.cases == []
    branch.posts(cash(BELOW, day=6))

    (case,) = branch.cases
    assert (case.opened.business_day, case.total) == (on(6).date(), 2 * BELOW)


def test_a_reversal_takes_its_part_back_before_and_after(branch: Branch) -> None:
    taken, early = cash(BELOW, day=2), cash(BELOW, day=3)
    branch.posts(taken)
    branch.reverses(taken, early)
    branch.posts(cash(BELOW, day=4), early)
    assert branch.cases == []

    last = cash(BELOW, day=5)
    branch.posts(last)
    branch.reverses(last)
    (case,) = branch.cases
    assert (case.total, len(case.rests_on)) == (BELOW, 1)


# Guards: all that is just below stands in one row, which is saved as it was read.
def test_two_at_once_on_two_days_are_looked_at_together(branch: Branch) -> None:
    faults.meanwhile("TransactWriteItems", lambda: branch.posts(cash(BELOW, day=3)))

    branch.posts(cash(BELOW, day=2))

    (case,) = branch.cases
    assert (case.rule, case.total) == ("structuring", 2 * BELOW)


def test_a_threshold_that_changes_is_the_days_own(branch: Branch) -> None:
    branch.sets(a_threshold(holds_from="2026-03-05"))

    branch.posts(cash(4_500 * DOLLARS, day=4), cash(4_500 * DOLLARS, day=5))
    assert branch.cases == []
    branch.posts(cash(4_500 * DOLLARS, day=6))

    assert [case.total for case in branch.cases] == [9_000 * DOLLARS]


def test_the_row_of_what_is_just_below_has_a_bound(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.compliance.cash._MOST_NEAR", 3)
    branch.posts(*(cash(BELOW, day=10 * number) for number in range(6)))

    (row,) = branch.world.items("near-threshold")
    assert sorted(near["day"] for near in row["near"].values()) == ["2026-03-30", "2026-04-09", "2026-04-19"]
