"""What is remembered of an account: always as little, the newest of it the newest, whatever comes when."""

from datetime import timedelta
from math import exp, log
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.recorder.daybook_usage.sizes import item_bytes
from daybook.contracts.values import LARGEST_AMOUNT, MINOR_UNIT_DIGITS
from events.accounts import Place, TransactionPosted
from functions.fraud.earth import MICRO
from functions.fraud.profile import (
    ENOUGH,
    MEMORY,
    MOST_COUNTRIES,
    MOST_HABITS,
    MOST_RECENT,
    RECENT,
    Habit,
    Profile,
    micronats,
)
from functions.fraud.rules import FAR_BEYOND, judge
from tests.unit.spending import (
    ACCOUNT,
    DAY,
    GRAZ,
    ON_THE_NET,
    SAO_PAULO,
    VIENNA,
    a_month,
    a_payment,
    a_transfer,
    at,
    lived,
    some_cash,
)

CURRENCIES = sorted(MINOR_UNIT_DIGITS)
COUNTRIES = [f"{first}{second}" for first in "ABCDE" for second in "NOPQRSTUVW"]
LARGEST_ROW = 4_096  # bytes: what one read request unit reads


def size(profile: Profile) -> int:
    return item_bytes(profile.to_item(1_000_000))


def habit_of(*amounts: int) -> Habit:
    habit = Habit(last=at(0))
    for number, amount in enumerate(amounts):
        habit = habit.after(amount, at(number))
    return habit


def anything(number: int) -> TransactionPosted:
    """Payments of all sorts, as large in the row as a payment can be: each currency, many countries, long names."""
    currency = CURRENCIES[number % len(CURRENCIES)]
    where = Place(country=COUNTRIES[number % len(COUNTRIES)], latitude=-89.999999, longitude=-179.999999)
    made = {"currency": currency, "posted_at": at(number + 0.123456)}
    if number % 7 == 0:
        return some_cash(0, LARGEST_AMOUNT - number, place=where, **made)
    if number % 11 == 0:
        return a_transfer(0, LARGEST_AMOUNT - number, **made)
    return a_payment(0, LARGEST_AMOUNT - number, place=where, merchant=f"{number:064}", **made)


# Guards: all that is bounded, each by its bound.
def test_after_ten_thousand_payments_the_row_is_as_large_as_after_a_hundred() -> None:
    profile, sizes = Profile.blank("a" * 64), []
    for number in range(10_000):
        profile = profile.after(anything(number), suspected=False)
        sizes.append(size(profile))

    assert max(sizes) <= LARGEST_ROW
    assert max(sizes[9_900:]) <= max(sizes[100:200]) + 20  # digits of habits that were seen more often
    assert (len(profile.habits), len(profile.countries)) == (MOST_HABITS, MOST_COUNTRIES)
    assert len(profile.recent) == MOST_RECENT


def test_an_ordinary_account_takes_less_than_a_kilobyte() -> None:
    """What one write request unit writes."""
    profile = lived(*a_month(), *[a_transfer(-DAY * each) for each in range(12)], some_cash(0), a_payment(60))

    assert size(profile) < 1_024


def test_what_was_not_used_for_longest_makes_room() -> None:
    old = lived(*(a_payment(number, currency=CURRENCIES[number]) for number in range(MOST_HABITS)))

    used_again = old.after(a_payment(100, currency=CURRENCIES[0]), suspected=False)
    after = used_again.after(a_payment(101, currency="ZAR"), suspected=False)

    assert f"card:{CURRENCIES[0]}" in after.habits
    assert "card:ZAR" in after.habits
    assert f"card:{CURRENCIES[1]}" not in after.habits


# Guards: of equals it is always the same that goes.
def test_of_countries_that_were_seen_at_one_moment_it_is_always_the_same_that_makes_room() -> None:
    payments = [
        a_payment(0, place=Place(country=country, latitude=0, longitude=0))
        for country in COUNTRIES[: MOST_COUNTRIES + 3]
    ]

    assert lived(*payments).countries.keys() == set(COUNTRIES[3 : MOST_COUNTRIES + 3])
    assert lived(*reversed(payments)).countries.keys() == set(COUNTRIES[3 : MOST_COUNTRIES + 3])


def test_at_first_a_habit_is_the_mean_and_the_variance_of_all_logarithms() -> None:
    amounts = [4250, 1290, 780, 15_000, 60, 9_999, 4_250, 3]
    habit = habit_of(*amounts)

    nats = [log(amount) for amount in amounts]
    assert habit.mean / MICRO == pytest.approx(fmean(nats), abs=1e-5)
    assert habit.variance / MICRO == pytest.approx(pvariance(nats), abs=1e-4)
    assert habit.usual == pytest.approx(exp(fmean(nats)), rel=1e-3)


# Guards: the bound of the memory, by which older amounts fade.
def test_a_new_way_of_life_is_learned_within_some_payments_however_long_the_old_one_was() -> None:
    for years in (1, 20):
        habit = habit_of(*[4250] * 365 * years)
        strange = 0
        while habit.above(85_000) >= FAR_BEYOND:
            habit = habit.after(85_000, at(0))
            strange += 1
        assert 1 <= strange <= ENOUGH
        assert habit_of(*[4250] * 365 * years, *[85_000] * 4 * MEMORY).usual > 80_000


# Guards: what one amount can teach of the largest there is, and that it fades.
def test_the_largest_amount_is_learned_by_a_quarter_of_itself_and_forgotten_by_a_sixty_fourth() -> None:
    habit = habit_of(*[6_400] * 30)

    assert habit.largest == 6_400
    assert habit.after(10**9, at(0)).largest == 8_001
    assert habit.after(7_000, at(0)).largest == 7_000
    assert habit.after(100, at(0)).largest == 6_300
    assert habit_of(*[6_400] * 30, *[100] * 500).largest <= 163


# Guards: what one amount can teach.
def test_one_fraud_teaches_little() -> None:
    honest = habit_of(*[4250] * 100)
    robbed = honest.after(LARGEST_AMOUNT, at(100))

    assert honest.usual == 4250
    assert robbed.usual < 4250 * 1.05
    assert robbed.above(85_000) >= FAR_BEYOND


@pytest.mark.parametrize("amount", [1, 2, LARGEST_AMOUNT])
def test_the_least_and_the_largest_amount_are_a_habit_like_any_other(amount: int) -> None:
    habit = habit_of(*[amount] * 50)

    assert habit.usual == pytest.approx(amount, rel=1e-5)
    assert habit.above(amount) == 0
    assert micronats(1) == 0


@pytest.mark.parametrize("late", [0.001, 2 * DAY])
def test_a_payment_that_comes_late_takes_the_place_of_nothing_newer(late: float) -> None:
    before = lived(a_payment(-3 * DAY), a_payment(0))

    after = before.after(a_payment(-late, 999, place=GRAZ), suspected=False)

    assert after.last == before.last
    assert after.countries == before.countries
    assert after.recent[-1] == before.recent[-1]
    assert [each.at for each in after.recent] == sorted(each.at for each in after.recent)
    assert after.habits["card:EUR"].seen == 3
    assert after.habits["card:EUR"].last == at(0)


def test_payments_of_the_last_hour_are_remembered_and_no_older_ones() -> None:
    hour = RECENT.total_seconds()

    assert [each.at for each in lived(a_payment(0), a_payment(hour)).recent] == [at(0), at(hour)]
    assert [each.at for each in lived(a_payment(0), a_payment(hour + 0.001)).recent] == [at(hour + 0.001)]
    assert [each.at for each in lived(a_payment(0), a_payment(-2 * DAY)).recent] == [at(0)]


def test_of_two_payments_of_one_moment_the_first_says_where_the_customer_is() -> None:
    profile = lived(a_payment(0), a_payment(0, place=GRAZ))

    assert profile.last
    assert profile.last.latitude == 48_208_200


# Guards: what is suspected makes nothing known.
def test_what_is_suspected_says_nothing_of_where_the_customer_is() -> None:
    before = lived(*a_month())

    after = before.after(a_payment(0, place=SAO_PAULO), suspected=True)

    assert (after.last, after.countries) == (before.last, before.countries)
    assert after.recent != before.recent


def test_what_tells_of_no_point_leaves_the_last_one() -> None:
    before = lived(a_payment(0))

    for payment in (a_transfer(60), a_payment(60, place=ON_THE_NET)):
        assert before.after(payment, suspected=False).last == before.last


def test_a_row_is_read_back_as_it_was_written() -> None:
    profile = lived(*(anything(number) for number in range(200)))

    assert Profile.from_item(profile.to_item(1)) == profile


payments = st.builds(
    lambda make, seconds, amount, currency, **place: make(seconds, amount, currency=currency, **place),
    st.sampled_from([a_payment, some_cash]),
    st.floats(-7 * DAY, 7 * DAY) | st.sampled_from([0.0, DAY]),
    st.integers(1, LARGEST_AMOUNT) | st.sampled_from([1, 100, 4250]),
    st.sampled_from(["EUR", "JPY", "KWD"]),
    place=st.sampled_from([VIENNA, GRAZ, SAO_PAULO, ON_THE_NET, Place(country="FJ", latitude=-18, longitude=180)]),
)


@given(st.lists(payments, max_size=40))
def test_whatever_comes_in_whatever_order_is_judged_and_remembered(several: list[TransactionPosted]) -> None:
    profile = again = Profile.blank(ACCOUNT)
    for payment in several:
        reasons = judge(profile, payment)
        assert judge(again, payment) == reasons
        profile = profile.after(payment, suspected=bool(reasons))
        # As it is when each event finds the row that the one before has left in the table.
        again = Profile.from_item(again.after(payment, suspected=bool(reasons)).to_item(1))
        assert again == profile
        assert size(profile) <= LARGEST_ROW
        assert all(figure.value >= 0 for reason in reasons for figure in reason.rests_on)
    newest = [payment.posted_at for payment in several]
    assert not newest or profile.recent[-1].at == max(newest)
    assert all(max(newest) - each.at <= timedelta(hours=1) for each in profile.recent)
