"""The profile of an account: its limits, and what each payment changes, in any order of arrival."""

from datetime import timedelta
from math import exp, log
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.recorder.daybook_usage.sizes import item_bytes
from daybook.contracts.values import MAX_AMOUNT, MINOR_UNIT_DIGITS
from events.accounts import Place, TransactionPosted
from functions.fraud.earth import MICRO
from functions.fraud.profile import (
    MAX_AMOUNTS,
    MAX_COUNTRIES,
    MAX_HABITS,
    MAX_MERCHANTS,
    MAX_MOVEMENTS,
    MAX_PARTNERS,
    MAX_RECENT,
    MIN_AMOUNTS,
    RECENT,
    Habit,
    Profile,
    micronats,
)
from functions.fraud.rules import EXTREME, judge
from tests.unit.bank.payments import (
    ACCOUNT,
    DAY,
    GRAZ,
    ONLINE,
    SAO_PAULO,
    VIENNA,
    a_credit,
    a_month,
    a_payment,
    a_transfer,
    at,
    profile_after,
    some_cash,
)

CURRENCIES = sorted(MINOR_UNIT_DIGITS)
COUNTRIES = [f"{first}{second}" for first in "ABCDE" for second in "NOPQRSTUVW"]
MAX_ROW = 4_096  # bytes: one read request unit


def size(profile: Profile) -> int:
    return item_bytes(profile.to_item(1_000_000))


def habit_of(*amounts: int) -> Habit:
    habit = Habit(last=at(0))
    for number, amount in enumerate(amounts):
        habit = habit.after(amount, at(number))
    return habit


def varied_payment(number: int) -> TransactionPosted:
    """A payment or a credit that needs much space in the row: every currency, many countries, many merchants."""
    currency = CURRENCIES[number % len(CURRENCIES)]
    where = Place(country=COUNTRIES[number % len(COUNTRIES)], latitude=-89.999999, longitude=-179.999999)
    made = {"currency": currency, "posted_at": at(number + 0.123456)}
    if number % 7 == 0:
        return some_cash(0, MAX_AMOUNT - number, place=where, **made)
    if number % 11 == 0:
        return a_transfer(0, MAX_AMOUNT - number, payee=f"Payee {number}", **made)
    if number % 13 == 0:
        return a_credit(0, MAX_AMOUNT - number, f"Sender {number}", **made)
    return a_payment(0, MAX_AMOUNT - number, place=where, merchant=f"{number:064}", **made)


# Guards: all limits of a profile.
def test_the_row_is_as_large_after_ten_thousand_payments_as_after_a_hundred() -> None:
    profile, sizes = Profile.blank("a" * 64), []
    for number in range(10_000):
        profile = profile_after(varied_payment(number), before=profile)
        sizes.append(size(profile))

    assert max(sizes) <= MAX_ROW
    assert max(sizes[9_900:]) <= max(sizes[100:200]) + 20  # more digits in habits
    assert (len(profile.habits), len(profile.countries)) == (MAX_HABITS, MAX_COUNTRIES)
    assert (len(profile.recent), len(profile.movements)) == (MAX_RECENT, MAX_MOVEMENTS)
    assert (len(profile.merchants), len(profile.partners)) == (MAX_MERCHANTS, MAX_PARTNERS)


def test_a_usual_account_needs_less_than_a_kilobyte() -> None:
    """One write request unit."""
    profile = profile_after(*a_month(), *[a_transfer(-DAY * each) for each in range(12)], some_cash(0), a_payment(60))

    assert size(profile) < 1_024


# Guards: the number of remembered merchants and payees.
def test_the_merchant_and_the_payee_that_were_used_least_recently_are_removed() -> None:
    shops = [a_payment(number, merchant=f"m-{number}") for number in range(MAX_MERCHANTS)]
    bills = [a_transfer(-9 * DAY, payee=f"Payee {number}") for number in range(MAX_PARTNERS)]
    full = profile_after(*shops, *bills)

    after = profile_after(shops[0], bills[0], a_payment(99, merchant="m-new"), a_credit(99, 1), before=full)

    assert (len(after.merchants), len(after.partners)) == (MAX_MERCHANTS, MAX_PARTNERS)
    assert [after.knows_merchant(each) for each in shops[:3]] == [True, False, True]
    assert [after.knows_payee(each) for each in bills[:3]] == [True, False, True]


def test_the_profile_contains_the_newest_money_of_the_last_three_days() -> None:
    before = [a_credit(-DAY * each, each + 1) for each in reversed(range(5))]

    assert [each.amount for each in profile_after(*before).movements] == [4, 3, 2, 1]
    assert len(profile_after(*(a_credit(each, 1) for each in range(50))).movements) == MAX_MOVEMENTS


def test_the_least_recently_used_habit_is_removed() -> None:
    old = profile_after(*(a_payment(number, currency=CURRENCIES[number]) for number in range(MAX_HABITS)))

    used_again = old.after(a_payment(100, currency=CURRENCIES[0]), suspected=False)
    after = used_again.after(a_payment(101, currency="ZAR"), suspected=False)

    assert f"card:{CURRENCIES[0]}" in after.habits
    assert "card:ZAR" in after.habits
    assert f"card:{CURRENCIES[1]}" not in after.habits


# Guards: which country is removed does not depend on the order.
def test_among_countries_of_the_same_time_always_the_same_one_is_removed() -> None:
    payments = [
        a_payment(0, place=Place(country=country, latitude=0, longitude=0))
        for country in COUNTRIES[: MAX_COUNTRIES + 3]
    ]

    assert profile_after(*payments).countries.keys() == set(COUNTRIES[3 : MAX_COUNTRIES + 3])
    assert profile_after(*reversed(payments)).countries.keys() == set(COUNTRIES[3 : MAX_COUNTRIES + 3])


def test_a_new_habit_has_the_mean_and_the_variance_of_all_logarithms() -> None:
    amounts = [4250, 1290, 780, 15_000, 60, 9_999, 4_250, 3]
    habit = habit_of(*amounts)

    nats = [log(amount) for amount in amounts]
    assert habit.mean / MICRO == pytest.approx(fmean(nats), abs=1e-5)
    assert habit.variance / MICRO == pytest.approx(pvariance(nats), abs=1e-4)
    assert habit.usual == pytest.approx(exp(fmean(nats)), rel=1e-3)


# Guards: MAX_AMOUNTS, which reduces the weight of older amounts.
def test_a_lasting_change_is_learned_within_some_payments_even_after_many_years() -> None:
    for years in (1, 20):
        habit = habit_of(*[4250] * 365 * years)
        unusual = 0
        while habit.above(85_000) >= EXTREME:
            habit = habit.after(85_000, at(0))
            unusual += 1
        assert 1 <= unusual <= MIN_AMOUNTS
        assert habit_of(*[4250] * 365 * years, *[85_000] * 4 * MAX_AMOUNTS).usual > 80_000


# Guards: how fast `largest` grows and shrinks.
def test_the_largest_amount_grows_by_at_most_a_quarter_and_shrinks_by_a_sixty_fourth() -> None:
    habit = habit_of(*[6_400] * 30)

    assert habit.largest == 6_400
    assert habit.after(10**9, at(0)).largest == 8_001
    assert habit.after(7_000, at(0)).largest == 7_000
    assert habit.after(100, at(0)).largest == 6_300
    assert habit_of(*[6_400] * 30, *[100] * 500).largest <= 163


# Guards: MAX_STEP, the largest change by one amount.
def test_one_fraud_changes_a_habit_only_little() -> None:
    before = habit_of(*[4250] * 100)
    after = before.after(MAX_AMOUNT, at(100))

    assert before.usual == 4250
    assert after.usual < 4250 * 1.05
    assert after.above(85_000) >= EXTREME


@pytest.mark.parametrize("amount", [1, 2, MAX_AMOUNT])
def test_the_smallest_and_the_largest_amount_can_be_a_habit(amount: int) -> None:
    habit = habit_of(*[amount] * 50)

    assert habit.usual == pytest.approx(amount, rel=1e-5)
    assert habit.above(amount) == 0
    assert micronats(1) == 0


@pytest.mark.parametrize("late", [0.001, 2 * DAY])
def test_a_late_payment_replaces_nothing_newer(late: float) -> None:
    before = profile_after(a_payment(-3 * DAY), a_payment(0))

    after = before.after(a_payment(-late, 999, place=GRAZ), suspected=False)

    assert after.last == before.last
    assert after.countries == before.countries
    assert after.recent[-1] == before.recent[-1]
    assert [each.at for each in after.recent] == sorted(each.at for each in after.recent)
    assert after.habits["card:EUR"].seen == 3
    assert after.habits["card:EUR"].last == at(0)


def test_the_profile_contains_the_payments_of_the_last_hour_and_no_older_ones() -> None:
    hour = RECENT.total_seconds()

    assert [each.at for each in profile_after(a_payment(0), a_payment(hour)).recent] == [at(0), at(hour)]
    assert [each.at for each in profile_after(a_payment(0), a_payment(hour + 0.001)).recent] == [at(hour + 0.001)]
    assert [each.at for each in profile_after(a_payment(0), a_payment(-2 * DAY)).recent] == [at(0)]


def test_of_two_payments_at_the_same_time_the_first_sets_the_position() -> None:
    profile = profile_after(a_payment(0), a_payment(0, place=GRAZ))

    assert profile.last
    assert profile.last.latitude == 48_208_200


# Guards: a suspected payment makes nothing known.
def test_a_suspected_payment_changes_neither_position_nor_countries_nor_merchants() -> None:
    before = profile_after(*a_month())

    after = before.after(a_payment(0, place=SAO_PAULO), suspected=True)

    assert (after.last, after.countries, after.merchants) == (before.last, before.countries, before.merchants)
    assert after.recent != before.recent


def test_a_payment_without_coordinates_does_not_change_the_position() -> None:
    before = profile_after(a_payment(0))

    for payment in (a_transfer(60), a_payment(60, place=ONLINE)):
        assert before.after(payment, suspected=False).last == before.last


def test_a_profile_can_be_written_and_read() -> None:
    profile = profile_after(*(varied_payment(number) for number in range(200)))

    assert Profile.from_item(profile.to_item(1)) == profile


payments = st.builds(
    lambda make, seconds, amount, currency, **place: make(seconds, amount, currency=currency, **place),
    st.sampled_from([a_payment, some_cash]),
    st.floats(-7 * DAY, 7 * DAY) | st.sampled_from([0.0, DAY]),
    st.integers(1, MAX_AMOUNT) | st.sampled_from([1, 100, 4250]),
    st.sampled_from(["EUR", "JPY", "KWD"]),
    place=st.sampled_from([VIENNA, GRAZ, SAO_PAULO, ONLINE, Place(country="FJ", latitude=-18, longitude=180)]),
)


@given(st.lists(payments, max_size=40))
def test_any_payments_in_any_order_can_be_judged_and_added(several: list[TransactionPosted]) -> None:
    profile = again = Profile.blank(ACCOUNT)
    for payment in several:
        reasons = judge(profile, payment)
        assert judge(again, payment) == reasons
        profile = profile.after(payment, suspected=bool(reasons))
        # As in the deployed function: each event reads the row that the one before wrote.
        again = Profile.from_item(again.after(payment, suspected=bool(reasons)).to_item(1))
        assert again == profile
        assert size(profile) <= MAX_ROW
        assert all(figure.value >= 0 for reason in reasons for figure in reason.figures)
    newest = [payment.posted_at for payment in several]
    assert not newest or profile.recent[-1].at == max(newest)
    assert all(max(newest) - each.at <= timedelta(hours=1) for each in profile.recent)
