"""Each rule just below and just above where it speaks, and what they say together."""

from collections.abc import Callable, Sequence
from math import degrees

import pytest

from daybook.contracts.values import LARGEST_AMOUNT
from events.accounts import Place, TransactionPosted
from functions.fraud.earth import MICRO, kilometres
from functions.fraud.profile import ENOUGH, RECENT, Habit, Profile, micronats
from functions.fraud.rules import (
    AT_ONCE,
    FASTEST,
    MANY,
    ON_ALERT,
    RULES,
    SMALL_PART,
    SUSPICIOUS,
    TESTS,
    TOLERANCE,
    card_testing,
    impossible_travel,
    judge,
    new_country,
    score,
    threshold,
    unusual_amount,
    velocity,
)
from tests.unit.spending import (
    ACCOUNT,
    BRATISLAVA,
    DAY,
    GRAZ,
    ON_THE_NET,
    SAO_PAULO,
    VIENNA,
    a_month,
    a_payment,
    a_transfer,
    at,
    figures,
    lived,
    names,
    some_cash,
    suspects,
)

HOUR = 3600.0


def some(number: int, *, from_: float = 0, to: float = 60) -> list[TransactionPosted]:
    """So many payments, spread evenly over this time, both ends among it."""
    return [a_payment(from_ + (to - from_) * each / max(number - 1, 1)) for each in range(number)]


def at_degrees(latitude: float, longitude: float, country: str = "AT") -> Place:
    return Place(country=country, latitude=latitude, longitude=longitude)


# --- velocity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "speaks"), [(MANY - 2, False), (MANY - 1, True), (MANY + 20, True)])
def test_many_payments_in_a_short_time_are_odd(before: int, *, speaks: bool) -> None:
    reason = velocity(lived(*some(before)), a_payment(61))

    assert bool(reason) is speaks
    if reason:
        assert figures(reason)["payments"] >= MANY


@pytest.mark.parametrize(("seconds", "speaks"), [(0, True), (0.001, False)])
def test_payments_count_together_for_ten_minutes_and_no_longer(seconds: float, *, speaks: bool) -> None:
    profile = lived(*some(MANY - 1))

    assert bool(velocity(profile, a_payment(AT_ONCE.total_seconds() + seconds))) is speaks


def test_payments_of_one_moment_count_together() -> None:
    assert figures(velocity(lived(*some(MANY - 1, to=0)), a_payment(0)))["payments"] == MANY


def test_a_payment_that_comes_late_is_not_counted_with_those_of_today() -> None:
    profile = lived(*some(MANY))

    assert velocity(profile, a_payment(-2 * DAY)) is None
    assert velocity(profile, a_payment(-0.001)) is None


# --- the amount ------------------------------------------------------------------------------------------------------


# The habit is 42.50, but there were large ones, too; a deviation is the least there is, a factor of e to the 0.4.
@pytest.mark.parametrize(
    ("amount", "weight"),
    [(4250, 0), (14110, 0), (14111, 35), (21050, 35), (21051, 60), (LARGEST_AMOUNT, 60), (1, 0)],
)
def test_an_amount_far_above_the_habit_is_odd_and_one_far_beyond_it_is_enough(amount: int, weight: int) -> None:
    habit = Habit(seen=ENOUGH, mean=micronats(4250), largest=LARGEST_AMOUNT, last=at(0))
    profile = Profile(account_id=ACCOUNT, habits={"card:EUR": habit})

    reason = unusual_amount(profile, a_payment(0, amount))

    assert (reason.weight if reason else 0) == weight


def test_how_unusual_an_amount_is_is_told_in_numbers() -> None:
    reason = unusual_amount(lived(*a_month()), a_payment(0, 85_000))

    assert reason
    assert figures(reason) == {
        "times the habit": 20,
        "the habit": 4250,
        "above the habit": 74,
        "the largest so far": 4602,
    }
    assert reason.rests_on[1].unit == "minor units of EUR"


@pytest.mark.parametrize(("seen", "speaks"), [(0, False), (ENOUGH - 1, False), (ENOUGH, True)])
def test_what_was_seen_seldom_is_no_habit(seen: int, *, speaks: bool) -> None:
    assert bool(unusual_amount(lived(*a_month(number=seen)), a_payment(0, 10**9))) is speaks


def test_who_pays_very_different_amounts_is_judged_by_that() -> None:
    varied = [a_payment(-DAY * day, [500, 4250, 36_000][day % 3]) for day in range(30)]

    assert unusual_amount(lived(*varied), a_payment(0, 50_000)) is None
    assert unusual_amount(lived(*a_month()), a_payment(0, 50_000))


# Guards: habits are by currency.
@pytest.mark.parametrize("currency", ["JPY", "KWD", "USD"])
def test_amounts_of_two_currencies_are_never_compared(currency: str) -> None:
    profile = lived(*a_month())

    assert unusual_amount(profile, a_payment(0, 10**9, currency=currency)) is None
    own = lived(*a_month(), *a_month(6000, currency=currency))
    assert unusual_amount(own, a_payment(0, 6000, currency=currency)) is None
    assert figures(unusual_amount(own, a_payment(0, 60_000, currency=currency)))["the habit"] == 6000
    assert figures(unusual_amount(own, a_payment(0, 60_000)))["the habit"] == 4250


def test_a_rent_is_no_measure_for_groceries() -> None:
    profile = lived(*a_month(120_000, number=0), *[a_transfer(-DAY * day, 120_000) for day in range(30)], *a_month())

    assert unusual_amount(profile, a_transfer(0, 120_000)) is None
    assert unusual_amount(profile, a_payment(0, 120_000))


# Guards: the largest amount that is remembered; what a transfer of it weighs, and a payment by card.
@pytest.mark.parametrize(
    ("pays", "amount", "weight"),
    [(a_transfer, 152_999, 0), (a_transfer, 153_000, 60), (a_payment, 152_999, 0), (a_payment, 153_000, 35)],
)
def test_half_as_much_again_as_the_largest_before_is_odd_and_as_a_transfer_enough(
    pays: Callable[[float, int], TransactionPosted], amount: int, weight: int
) -> None:
    varied = [[1_000, 9_000, 102_000][day % 3] for day in range(30)]

    reason = unusual_amount(lived(*(pays(0, each) for each in varied)), pays(0, amount))

    assert (reason.weight if reason else 0) == weight


# --- travel ----------------------------------------------------------------------------------------------------------


def test_great_circle_distances_are_those_of_an_atlas() -> None:
    def between(one: Place, other: Place) -> int:
        ends = (one.latitude, one.longitude, other.latitude, other.longitude)
        return kilometres(*(round((each or 0) * MICRO) for each in ends))

    assert between(VIENNA, VIENNA) == 0
    assert between(VIENNA, GRAZ) == pytest.approx(145, abs=2)
    assert between(VIENNA, SAO_PAULO) == pytest.approx(10_150, abs=60)
    # Antipodes, the poles, and the short way over the date line.
    assert between(at_degrees(48.2082, 16.3738), at_degrees(-48.2082, -163.6262)) == 20_015
    assert between(at_degrees(90, 0), at_degrees(-90, 123)) == 20_015
    assert between(at_degrees(90, 0), at_degrees(90, 123)) == 0
    assert between(at_degrees(0, 179.9), at_degrees(0, -179.9)) == 22
    assert between(at_degrees(0, 180), at_degrees(0, -180)) == 0


# São Paulo is some 10,130 km away: ten hours and a bit at the speed of a jet.
@pytest.mark.parametrize(("hours", "speaks"), [(10, True), (10.1, False)])
@pytest.mark.parametrize("later", [1, -1], ids=["after", "before"])
def test_who_is_faster_than_a_jet_is_two(hours: float, later: int, *, speaks: bool) -> None:
    there = a_payment(later * hours * HOUR, place=SAO_PAULO)

    assert bool(impossible_travel(lived(a_payment(0)), there)) is speaks


@pytest.mark.parametrize(
    ("seconds", "distance", "speaks"),
    [
        (0, TOLERANCE, False),
        (0, TOLERANCE + 1, True),
        (3600, TOLERANCE + FASTEST, False),
        (3600, TOLERANCE + FASTEST + 1, True),
        (3599, TOLERANCE + FASTEST, True),
    ],
)
def test_places_as_far_apart_as_a_jet_flies_and_their_tills_are_off_are_possible(
    seconds: float, distance: int, *, speaks: bool
) -> None:
    equator, north = at_degrees(0, 0), at_degrees(degrees(distance / 6371.0088), 0)

    reason = impossible_travel(lived(some_cash(0, place=equator)), a_payment(seconds, place=north))

    assert bool(reason) is speaks
    if reason:
        assert figures(reason)["distance"] == distance


def test_how_fast_it_would_have_been_is_told_in_numbers() -> None:
    profile = lived(a_payment(0))
    distance = figures(impossible_travel(profile, a_payment(HOUR, place=SAO_PAULO)))["distance"]

    hour, moment = (impossible_travel(profile, a_payment(seconds, place=SAO_PAULO)) for seconds in (HOUR, 0))

    assert figures(hour) == {"speed": distance, "distance": distance, "time between": 3600}
    assert figures(moment) == {"speed": distance * 3600, "distance": distance, "time between": 0}


@pytest.mark.parametrize("seconds", [0, 1, -1, 60])
def test_the_same_place_is_no_travel(seconds: float) -> None:
    assert impossible_travel(lived(a_payment(0)), a_payment(seconds)) is None


def test_what_has_no_place_is_no_travel() -> None:
    nowhere = [a_transfer(60), a_payment(60, place=ON_THE_NET), a_payment(60, place=Place(country="BR", city="Rio"))]

    assert [impossible_travel(lived(a_payment(0)), each) for each in nowhere] == [None] * 3
    assert impossible_travel(lived(*nowhere), a_payment(61, place=SAO_PAULO)) is None


@pytest.mark.parametrize(
    ("here", "there"),
    [((0, 179.9), (0, -179.9)), ((89.9, 0), (89.9, 180)), ((48.2, 180), (48.2, -180))],
    ids=["date line", "pole", "one meridian"],
)
def test_the_short_way_counts(here: tuple[float, float], there: tuple[float, float]) -> None:
    assert (
        impossible_travel(lived(a_payment(0, place=at_degrees(*here))), a_payment(0, place=at_degrees(*there))) is None
    )


def test_antipodes_in_a_minute_are_impossible_and_in_a_day_are_not() -> None:
    profile = lived(a_payment(0, place=at_degrees(48.2082, 16.3738)))

    assert impossible_travel(profile, a_payment(60, place=at_degrees(-48.2082, -163.6262)))
    assert impossible_travel(profile, a_payment(DAY, place=at_degrees(-48.2082, -163.6262))) is None


# Guards: a late payment is measured by the time between, whichever was first.
def test_a_payment_that_comes_two_days_late_is_measured_by_its_own_time() -> None:
    profile = lived(a_payment(0))

    assert impossible_travel(profile, a_payment(-2 * DAY, place=SAO_PAULO)) is None
    assert impossible_travel(profile, a_payment(-60, place=SAO_PAULO))


# --- countries -------------------------------------------------------------------------------------------------------


def test_a_country_that_is_new_to_the_account_is_odd_and_once_known_is_not() -> None:
    abroad = a_payment(0, place=SAO_PAULO)

    assert figures(new_country(lived(*a_month()), abroad)) == {"countries known before": 1}
    assert new_country(lived(*a_month(), abroad), a_payment(60, place=SAO_PAULO)) is None
    assert new_country(lived(*a_month()), a_payment(0, place=GRAZ)) is None


def test_to_buy_from_somewhere_is_not_to_be_there() -> None:
    in_luxembourg, from_luxembourg = at_degrees(49.6, 6.1, "LU"), Place(country="LU")
    before = [*a_month(), a_payment(-120, place=ON_THE_NET), a_payment(-60, place=from_luxembourg)]

    assert new_country(lived(*before), a_payment(0, place=from_luxembourg)) is None
    assert new_country(lived(*before), a_payment(0, place=Place(country="IE")))
    assert new_country(lived(*before), a_payment(0, place=in_luxembourg))
    assert new_country(lived(*a_month()), a_payment(0, place=from_luxembourg)) is None  # the first of its kind


def test_a_transfer_is_made_in_no_country() -> None:
    assert new_country(lived(*a_month()), a_transfer(0)) is None
    assert new_country(lived(a_transfer(0)), a_payment(60)) is None  # the first one that is known


# --- testing ---------------------------------------------------------------------------------------------------------


def trials(number: int, *, amount: int = 100, shops: int | None = None, **other: object) -> list[TransactionPosted]:
    """So many tiny payments, half a minute apart, each at a merchant of its own unless there are fewer."""
    return [
        a_payment(30 * each, amount, place=ON_THE_NET, merchant=f"m-{each % (shops or number)}", **other)
        for each in range(number)
    ]


@pytest.mark.parametrize(("shops", "speaks"), [(TESTS - 1, False), (TESTS, True)])
def test_tiny_payments_at_several_merchants_and_then_a_large_one_are_a_test(shops: int, *, speaks: bool) -> None:
    reason = card_testing(lived(*trials(shops)), a_payment(300, 100 * SMALL_PART))

    assert bool(reason) is speaks
    if reason:
        assert figures(reason) == {
            "tiny payments before": TESTS,
            "at so many merchants": TESTS,
            "times the largest of them": SMALL_PART,
        }


def test_tiny_payments_at_one_merchant_are_no_test() -> None:
    assert card_testing(lived(*trials(9, shops=TESTS - 1)), a_payment(300, 10**6)) is None


@pytest.mark.parametrize(("amount", "speaks"), [(100 * SMALL_PART - 1, False), (100 * SMALL_PART, True)])
def test_what_is_tiny_is_told_by_what_follows(amount: int, *, speaks: bool) -> None:
    assert bool(card_testing(lived(*trials(TESTS)), a_payment(300, amount))) is speaks


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_a_test_is_told_within_its_currency_whatever_its_minor_unit_is(currency: str) -> None:
    profile = lived(*trials(TESTS, currency=currency))

    assert card_testing(profile, a_payment(300, 100 * SMALL_PART, currency=currency))
    assert card_testing(profile, a_payment(300, 100 * SMALL_PART)) is None


@pytest.mark.parametrize(("seconds", "speaks"), [(0, True), (0.001, False)])
def test_a_test_is_followed_within_the_hour(seconds: float, *, speaks: bool) -> None:
    last = a_payment(RECENT.total_seconds() + seconds, 10**6)

    assert bool(card_testing(lived(*trials(TESTS)), last)) is speaks


def test_what_came_before_the_test_or_by_another_channel_is_not_what_follows_it() -> None:
    profile = lived(*trials(TESTS))

    assert card_testing(profile, a_payment(-1, 10**6)) is None
    assert card_testing(profile, a_transfer(300, 10**6)) is None
    assert card_testing(lived(*(a_transfer(each, 100) for each in range(5))), a_payment(300, 10**6)) is None


# --- together --------------------------------------------------------------------------------------------------------


def test_of_the_first_payment_of_an_account_nothing_is_odd() -> None:
    for first in (a_payment(0, LARGEST_AMOUNT), a_transfer(0, 1), some_cash(0, place=SAO_PAULO)):
        assert judge(Profile.blank("acc-new"), first) == ()


def test_a_quiet_life_is_never_suspected() -> None:
    assert suspects([*a_month(), *(a_payment(HOUR * each, 4000) for each in range(30))]) == []


# Guards: the threshold.
@pytest.mark.parametrize(
    ("payment", "said", "suspicious"),
    [
        (a_payment(60, 15_000), ["unusual_amount"], False),
        (a_payment(60, 4250, place=BRATISLAVA), ["new_country"], False),
        (a_payment(60, 15_000, place=BRATISLAVA), ["unusual_amount", "new_country"], True),
        (a_payment(60, place=at_degrees(53, 9)), ["impossible_travel"], False),
        (a_payment(60, 15_000, place=SAO_PAULO), ["impossible_travel", "unusual_amount", "new_country"], True),
        (a_payment(60, 25_000), ["unusual_amount"], True),
    ],
)
def test_it_takes_one_reason_that_is_hard_to_explain_or_two_that_are_odd(
    payment: TransactionPosted, said: Sequence[str], *, suspicious: bool
) -> None:
    before = a_month()

    reasons = judge(lived(*before, a_payment(0)), payment)

    assert names(reasons) == said
    assert (score(reasons) >= SUSPICIOUS) is suspicious
    assert (suspects([*before, a_payment(0), payment]) == [payment.authorisation_id]) is suspicious


# Guards: the threshold after a suspicion, before and after it.
@pytest.mark.parametrize("late", [1, -1], ids=["after", "before"])
@pytest.mark.parametrize(("seconds", "enough"), [(0, ON_ALERT), (DAY, ON_ALERT), (DAY + 0.001, SUSPICIOUS)])
def test_for_a_day_around_a_suspicion_what_is_odd_is_enough(seconds: float, enough: int, late: int) -> None:
    quiet = lived(*a_month())
    robbed = quiet.after(a_payment(0, 10**6), suspected=True)

    assert threshold(quiet, a_payment(seconds)) == SUSPICIOUS
    assert threshold(robbed, a_payment(late * seconds)) == enough


def test_a_second_theft_is_suspected_that_is_merely_odd() -> None:
    theft, again, another_day = (a_payment(60 + late, 15_000) for late in (0, 60, 3 * DAY))
    before, first = a_month(), a_payment(60, 10**6)

    assert suspects([*before, again]) == []
    assert suspects([*before, first, theft, again, another_day]) == [
        each.authorisation_id for each in (first, theft, again)
    ]


def test_all_rules_can_speak_at_once() -> None:
    before = [*a_month(), a_payment(-60), *trials(MANY)]

    reasons = judge(lived(*before), a_payment(200, 10**6, place=SAO_PAULO))

    assert sorted(names(reasons)) == sorted(rule.__name__ for rule in RULES)
    assert score(reasons) == 60 + 60 + 45 + 30 + 25
