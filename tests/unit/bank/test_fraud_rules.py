"""Each rule just below and just above its limit, and all rules together."""

from collections.abc import Callable, Sequence
from math import degrees
from typing import Any

import pytest

from daybook.contracts.values import MAX_AMOUNT
from events.accounts import Place, TransactionPosted
from functions.fraud.earth import MICRO, kilometres
from functions.fraud.profile import MIN_AMOUNTS, MIN_MERCHANTS, RECENT, Habit, Profile, micronats
from functions.fraud.rules import (
    MAX_SPEED,
    MIN_PAYMENTS,
    MIN_TEST_MERCHANTS,
    RULES,
    SMALL_FRACTION,
    SUSPICIOUS,
    SUSPICIOUS_ON_ALERT,
    TOLERANCE,
    VELOCITY_WINDOW,
    card_testing,
    impossible_travel,
    judge,
    money_passed_on,
    new_country,
    new_payee,
    new_web_merchants,
    score,
    threshold,
    unusual_amount,
    velocity,
)
from tests.unit.bank.payments import (
    ACCOUNT,
    BRATISLAVA,
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
    figures,
    profile_after,
    reason_names,
    some_cash,
    suspected_ids,
)

HOUR = 3600.0


def several(number: int, *, from_: float = 0, to: float = 60) -> list[TransactionPosted]:
    """This number of payments, spread evenly over this time, both ends included."""
    return [a_payment(from_ + (to - from_) * each / max(number - 1, 1)) for each in range(number)]


def at_degrees(latitude: float, longitude: float, country: str = "AT") -> Place:
    return Place(country=country, latitude=latitude, longitude=longitude)


# --- velocity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "expected"), [(MIN_PAYMENTS - 2, False), (MIN_PAYMENTS - 1, True), (MIN_PAYMENTS + 20, True)]
)
def test_many_payments_in_a_short_time_are_a_reason(before: int, *, expected: bool) -> None:
    reason = velocity(profile_after(*several(before)), a_payment(61))

    assert bool(reason) is expected
    if reason:
        assert figures(reason)["payments"] >= MIN_PAYMENTS


@pytest.mark.parametrize(("seconds", "expected"), [(0, True), (0.001, False)])
def test_payments_within_ten_minutes_count_together(seconds: float, *, expected: bool) -> None:
    profile = profile_after(*several(MIN_PAYMENTS - 1))

    assert bool(velocity(profile, a_payment(VELOCITY_WINDOW.total_seconds() + seconds))) is expected


def test_standing_orders_to_known_payees_are_no_velocity() -> None:
    bills = [a_transfer(-9 * DAY, payee=f"Bill {each}") for each in range(MIN_PAYMENTS)]
    profile = profile_after(*bills, *(a_transfer(each, payee=f"Bill {each}") for each in range(MIN_PAYMENTS)))

    assert velocity(profile, a_transfer(60, payee="Bill 1")) is None
    assert velocity(profile, a_transfer(60, payee="Alan Turing"))


def test_payments_at_the_same_time_count_together() -> None:
    assert figures(velocity(profile_after(*several(MIN_PAYMENTS - 1, to=0)), a_payment(0)))["payments"] == MIN_PAYMENTS


def test_a_late_payment_does_not_count_together_with_later_ones() -> None:
    profile = profile_after(*several(MIN_PAYMENTS))

    assert velocity(profile, a_payment(-2 * DAY)) is None
    assert velocity(profile, a_payment(-0.001)) is None


# --- the amount ------------------------------------------------------------------------------------------------------


# The usual amount is 42.50, the largest one is not the limit here, and the deviation is the minimum: a factor of e^0.4.
@pytest.mark.parametrize(
    ("amount", "weight"),
    [(4250, 0), (14110, 0), (14111, 35), (31403, 35), (31404, 60), (MAX_AMOUNT, 60), (1, 0)],
)
def test_a_large_amount_is_a_weak_reason_and_an_extreme_one_is_a_strong_reason(amount: int, weight: int) -> None:
    habit = Habit(seen=MIN_AMOUNTS, mean=micronats(4250), largest=MAX_AMOUNT, last=at(0))
    profile = Profile(account_id=ACCOUNT, habits={"card:EUR": habit})

    reason = unusual_amount(profile, a_payment(0, amount))

    assert (reason.weight if reason else 0) == weight


def test_the_reason_of_an_unusual_amount_has_its_figures() -> None:
    reason = unusual_amount(profile_after(*a_month()), a_payment(0, 85_000))

    assert reason
    assert figures(reason) == {
        "times the usual amount": 20,
        "usual amount": 4250,
        "above the usual amount": 74,
        "largest amount before": 4602,
    }
    assert reason.figures[1].unit == "minor units of EUR"


@pytest.mark.parametrize(("seen", "expected"), [(0, False), (MIN_AMOUNTS - 1, False), (MIN_AMOUNTS, True)])
def test_few_amounts_are_no_habit(seen: int, *, expected: bool) -> None:
    assert bool(unusual_amount(profile_after(*a_month(number=seen)), a_payment(0, 10**9))) is expected


def test_the_limit_is_higher_for_an_account_with_very_different_amounts() -> None:
    varied = [a_payment(-DAY * day, [500, 4250, 36_000][day % 3]) for day in range(30)]

    assert unusual_amount(profile_after(*varied), a_payment(0, 50_000)) is None
    assert unusual_amount(profile_after(*a_month()), a_payment(0, 50_000))


# Guards: each currency has its own habits.
@pytest.mark.parametrize("currency", ["JPY", "KWD", "USD"])
def test_amounts_in_two_currencies_are_never_compared(currency: str) -> None:
    profile = profile_after(*a_month())

    assert unusual_amount(profile, a_payment(0, 10**9, currency=currency)) is None
    own = profile_after(*a_month(), *a_month(6000, currency=currency))
    assert unusual_amount(own, a_payment(0, 6000, currency=currency)) is None
    assert figures(unusual_amount(own, a_payment(0, 60_000, currency=currency)))["usual amount"] == 6000
    assert figures(unusual_amount(own, a_payment(0, 60_000)))["usual amount"] == 4250


def test_card_payments_are_not_compared_with_transfers() -> None:
    profile = profile_after(*[a_transfer(-DAY * (30 - day), 120_000) for day in range(30)], *a_month())

    assert unusual_amount(profile, a_transfer(0, 120_000)) is None
    assert unusual_amount(profile, a_payment(0, 120_000))


# Guards: the comparison with the largest amount, and its weight for each channel.
@pytest.mark.parametrize(
    ("pays", "other", "amount", "weight"),
    [
        (a_transfer, {}, 152_999, 0),
        (a_transfer, {}, 153_000, 45),
        (a_transfer, {"payee": "Alan Turing"}, 127_499, 0),
        (a_transfer, {"payee": "Alan Turing"}, 127_500, 60),
        (a_payment, {"merchant": "m-new"}, 152_999, 0),
        (a_payment, {"merchant": "m-new"}, 153_000, 35),
        (a_payment, {}, 153_000, 20),
        (some_cash, {}, 203_999, 0),
        (some_cash, {}, 204_000, 60),
    ],
)
def test_a_record_amount_is_a_strong_reason_for_cash_and_for_a_transfer_to_a_new_payee_only(
    pays: Callable[..., TransactionPosted], other: dict[str, str], amount: int, weight: int
) -> None:
    varied = [[1_000, 9_000, 102_000][day % 3] for day in range(30)]

    reason = unusual_amount(profile_after(*(pays(-9 * DAY, each) for each in varied)), pays(0, amount, **other))

    assert (reason.weight if reason else 0) == weight


# Guards: the merchants of a profile, and the sales season.
@pytest.mark.parametrize(
    ("day", "merchant", "weight"),
    [
        ("2026-11-22", "m-new", 60),
        ("2026-11-23", "m-new", 45),
        ("2026-11-22", "", 45),
        ("2026-12-24", "m-new", 45),
        ("2026-12-25", "m-new", 60),
        ("2023-11-19", "m-new", 60),  # the 23rd is Thanksgiving
        ("2023-11-20", "m-new", 45),
    ],
)
def test_an_unusual_amount_is_a_weaker_reason_at_a_known_merchant_and_in_the_sales_season(
    day: str, merchant: str, weight: int
) -> None:
    reason = unusual_amount(
        profile_after(*a_month()), a_payment(0, 10**6, merchant=merchant, posted_at=f"{day}T12:00:00Z")
    )

    assert reason
    assert reason.weight == weight


# --- travel ----------------------------------------------------------------------------------------------------------


def test_great_circle_distances_are_correct() -> None:
    def between(one: Place, other: Place) -> int:
        ends = (one.latitude, one.longitude, other.latitude, other.longitude)
        return kilometres(*(round((each or 0) * MICRO) for each in ends))

    assert between(VIENNA, VIENNA) == 0
    assert between(VIENNA, GRAZ) == pytest.approx(145, abs=2)
    assert between(VIENNA, SAO_PAULO) == pytest.approx(10_150, abs=60)
    # Antipodes, the poles, and across the date line.
    assert between(at_degrees(48.2082, 16.3738), at_degrees(-48.2082, -163.6262)) == 20_015
    assert between(at_degrees(90, 0), at_degrees(-90, 123)) == 20_015
    assert between(at_degrees(90, 0), at_degrees(90, 123)) == 0
    assert between(at_degrees(0, 179.9), at_degrees(0, -179.9)) == 22
    assert between(at_degrees(0, 180), at_degrees(0, -180)) == 0


# São Paulo is about 10,130 km away: a little more than ten hours at the maximum speed.
@pytest.mark.parametrize(("hours", "expected"), [(10, True), (10.1, False)])
@pytest.mark.parametrize("later", [1, -1], ids=["after", "before"])
def test_travel_faster_than_a_jet_is_a_reason(hours: float, later: int, *, expected: bool) -> None:
    there = a_payment(later * hours * HOUR, place=SAO_PAULO)

    assert bool(impossible_travel(profile_after(a_payment(0)), there)) is expected


@pytest.mark.parametrize(
    ("seconds", "distance", "expected"),
    [
        (0, TOLERANCE, False),
        (0, TOLERANCE + 1, True),
        (3600, TOLERANCE + MAX_SPEED, False),
        (3600, TOLERANCE + MAX_SPEED + 1, True),
        (3599, TOLERANCE + MAX_SPEED, True),
    ],
)
def test_travel_is_possible_up_to_the_maximum_speed_plus_the_tolerance(
    seconds: float, distance: int, *, expected: bool
) -> None:
    equator, north = at_degrees(0, 0), at_degrees(degrees(distance / 6371.0088), 0)

    reason = impossible_travel(profile_after(some_cash(0, place=equator)), a_payment(seconds, place=north))

    assert bool(reason) is expected
    if reason:
        assert figures(reason)["distance"] == distance


def test_the_reason_of_impossible_travel_has_its_figures() -> None:
    profile = profile_after(a_payment(0))
    distance = figures(impossible_travel(profile, a_payment(HOUR, place=SAO_PAULO)))["distance"]

    hour, moment = (impossible_travel(profile, a_payment(seconds, place=SAO_PAULO)) for seconds in (HOUR, 0))

    assert figures(hour) == {"speed": distance, "distance": distance, "time between": 3600}
    assert figures(moment) == {"speed": distance * 3600, "distance": distance, "time between": 0}


@pytest.mark.parametrize("seconds", [0, 1, -1, 60])
def test_a_payment_at_the_same_place_is_no_travel(seconds: float) -> None:
    assert impossible_travel(profile_after(a_payment(0)), a_payment(seconds)) is None


def test_a_payment_without_coordinates_is_no_travel() -> None:
    nowhere = [a_transfer(60), a_payment(60, place=ONLINE), a_payment(60, place=Place(country="BR", city="Rio"))]

    assert [impossible_travel(profile_after(a_payment(0)), each) for each in nowhere] == [None] * 3
    assert impossible_travel(profile_after(*nowhere), a_payment(61, place=SAO_PAULO)) is None


@pytest.mark.parametrize(
    ("here", "there"),
    [((0, 179.9), (0, -179.9)), ((89.9, 0), (89.9, 180)), ((48.2, 180), (48.2, -180))],
    ids=["date line", "pole", "one meridian"],
)
def test_the_shortest_distance_counts(here: tuple[float, float], there: tuple[float, float]) -> None:
    assert (
        impossible_travel(profile_after(a_payment(0, place=at_degrees(*here))), a_payment(0, place=at_degrees(*there)))
        is None
    )


def test_travel_between_antipodes_is_impossible_in_a_minute_and_possible_in_a_day() -> None:
    profile = profile_after(a_payment(0, place=at_degrees(48.2082, 16.3738)))

    assert impossible_travel(profile, a_payment(60, place=at_degrees(-48.2082, -163.6262)))
    assert impossible_travel(profile, a_payment(DAY, place=at_degrees(-48.2082, -163.6262))) is None


# Guards: the time between two payments counts, in any order.
def test_a_late_payment_is_judged_at_its_own_time() -> None:
    profile = profile_after(a_payment(0))

    assert impossible_travel(profile, a_payment(-2 * DAY, place=SAO_PAULO)) is None
    assert impossible_travel(profile, a_payment(-60, place=SAO_PAULO))


# A web shop abroad with the coordinates of its office, then the card in a shop at home.
@pytest.mark.parametrize(("present", "expected"), [(False, False), (True, True), (None, True)])
@pytest.mark.parametrize("first", ["abroad", "at home"])
def test_a_payment_without_the_card_is_no_travel(first: str, *, present: bool | None, expected: bool) -> None:
    places = [(SAO_PAULO, present), (VIENNA, True)] if first == "abroad" else [(VIENNA, True), (SAO_PAULO, present)]
    one, other = (a_payment(60 * each, place=place, card_present=there) for each, (place, there) in enumerate(places))

    assert bool(impossible_travel(profile_after(one), other)) is expected


def test_cash_is_always_in_person() -> None:
    profile = profile_after(a_payment(0))

    assert impossible_travel(profile, some_cash(60, place=SAO_PAULO, card_present=False))


def test_a_web_shop_with_coordinates_makes_no_country_visited() -> None:
    profile = profile_after(*a_month(), a_payment(0, place=SAO_PAULO, card_present=False))

    assert new_country(profile, a_payment(DAY, place=SAO_PAULO))
    assert new_country(profile, a_payment(DAY, place=Place(country="BR"), card_present=True))
    assert new_country(profile, a_payment(DAY, place=SAO_PAULO, card_present=False)) is None


def test_travel_to_a_known_merchant_is_a_weaker_reason() -> None:
    """A shop whose terminal is registered elsewhere: the first payment is suspicious, later ones are less."""
    before = [a_payment(-DAY, place=SAO_PAULO), a_payment(0)]

    known, new = (a_payment(60, place=SAO_PAULO, merchant=merchant) for merchant in ("", "m-new"))

    assert [
        each and each.weight for each in (impossible_travel(profile_after(*before), at) for at in (known, new))
    ] == [
        30,
        45,
    ]


# --- countries -------------------------------------------------------------------------------------------------------


def test_a_new_country_is_a_reason_and_a_known_one_is_not() -> None:
    abroad = a_payment(0, place=SAO_PAULO)

    assert figures(new_country(profile_after(*a_month()), abroad)) == {"countries known before": 1}
    assert new_country(profile_after(*a_month(), abroad), a_payment(60, place=SAO_PAULO)) is None
    assert new_country(profile_after(*a_month()), a_payment(0, place=GRAZ)) is None


def test_online_payments_and_payments_in_person_have_separate_countries() -> None:
    in_luxembourg, from_luxembourg = at_degrees(49.6, 6.1, "LU"), Place(country="LU")
    before = [*a_month(), a_payment(-120, place=ONLINE), a_payment(-60, place=from_luxembourg)]

    assert new_country(profile_after(*before), a_payment(0, place=from_luxembourg)) is None
    assert new_country(profile_after(*before), a_payment(0, place=Place(country="IE")))
    assert new_country(profile_after(*before), a_payment(0, place=in_luxembourg))
    assert (
        new_country(profile_after(*a_month()), a_payment(0, place=from_luxembourg)) is None
    )  # the first online payment


def test_a_transfer_has_no_country() -> None:
    assert new_country(profile_after(*a_month()), a_transfer(0)) is None
    assert new_country(profile_after(a_transfer(0)), a_payment(60)) is None  # the first known country


# --- card tests ------------------------------------------------------------------------------------------------------


def card_tests(number: int, *, amount: int = 100, shops: int | None = None, **other: object) -> list[TransactionPosted]:
    """This number of small payments, half a minute apart, at this number of merchants."""
    return [
        a_payment(30 * each, amount, place=ONLINE, merchant=f"m-{each % (shops or number)}", **other)
        for each in range(number)
    ]


@pytest.mark.parametrize(("shops", "expected"), [(MIN_TEST_MERCHANTS - 1, False), (MIN_TEST_MERCHANTS, True)])
def test_small_payments_at_several_merchants_before_a_large_one_are_a_test(shops: int, *, expected: bool) -> None:
    reason = card_testing(profile_after(*card_tests(shops)), a_payment(300, 100 * SMALL_FRACTION))

    assert bool(reason) is expected
    if reason:
        assert figures(reason) == {
            "small payments before": MIN_TEST_MERCHANTS,
            "merchants": MIN_TEST_MERCHANTS,
            "times the largest of them": SMALL_FRACTION,
        }


def test_small_payments_at_few_merchants_are_no_card_test() -> None:
    assert card_testing(profile_after(*card_tests(9, shops=MIN_TEST_MERCHANTS - 1)), a_payment(300, 10**6)) is None


@pytest.mark.parametrize(("amount", "expected"), [(100 * SMALL_FRACTION - 1, False), (100 * SMALL_FRACTION, True)])
def test_small_is_relative_to_the_payment_that_follows(amount: int, *, expected: bool) -> None:
    assert bool(card_testing(profile_after(*card_tests(MIN_TEST_MERCHANTS)), a_payment(300, amount))) is expected


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_a_card_test_is_found_in_its_own_currency_only(currency: str) -> None:
    profile = profile_after(*card_tests(MIN_TEST_MERCHANTS, currency=currency))

    assert card_testing(profile, a_payment(300, 100 * SMALL_FRACTION, currency=currency))
    assert card_testing(profile, a_payment(300, 100 * SMALL_FRACTION)) is None


@pytest.mark.parametrize(("seconds", "expected"), [(0, True), (0.001, False)])
def test_the_large_payment_must_follow_within_an_hour(seconds: float, *, expected: bool) -> None:
    last = a_payment(RECENT.total_seconds() + seconds, 10**6)

    assert bool(card_testing(profile_after(*card_tests(MIN_TEST_MERCHANTS)), last)) is expected


def test_an_earlier_payment_or_a_transfer_does_not_complete_a_card_test() -> None:
    profile = profile_after(*card_tests(MIN_TEST_MERCHANTS))

    assert card_testing(profile, a_payment(-1, 10**6)) is None
    assert card_testing(profile, a_transfer(300, 10**6)) is None
    assert card_testing(profile_after(*(a_transfer(each, 100) for each in range(5))), a_payment(300, 10**6)) is None


# --- new merchants online --------------------------------------------------------------------------------------------


def shops(number: int) -> list[TransactionPosted]:
    """Payments in person at this number of merchants, long before NOON."""
    return [a_payment(-DAY * (each + 2), merchant=f"m-known-{each}") for each in range(number)]


def online(
    at: float, merchant: str, *, card_present: bool | None = False, posted_at: str | None = None
) -> TransactionPosted:
    other: dict[str, Any] = {"posted_at": posted_at} if posted_at else {}
    return a_payment(at, place=ONLINE, merchant=merchant, card_present=card_present, **other)


@pytest.mark.parametrize(
    ("before", "weight"), [((), 0), (("a",), 0), (("a", "a"), 0), (("a", "b"), 45), (("a", "b", "c"), 60)]
)
def test_several_new_merchants_online_within_an_hour_are_a_reason(before: Sequence[str], weight: int) -> None:
    profile = profile_after(*shops(MIN_MERCHANTS), *(online(each, shop) for each, shop in enumerate(before)))

    reason = new_web_merchants(profile, online(60, "new"))

    assert (reason.weight if reason else 0) == weight


@pytest.mark.parametrize(
    ("payment", "expected"),
    [
        (online(HOUR, "new"), True),
        (online(HOUR + 1, "new"), False),
        (online(-1, "new"), False),  # late: the others come after it
        (online(60, "m-known-0"), False),
        (online(60, "a"), False),  # the account knows it by now
        (online(60, "new", card_present=True), False),
        (online(60, "new", card_present=None), True),
        (a_transfer(60), False),
    ],
)
def test_only_new_merchants_of_the_last_hour_count(payment: TransactionPosted, *, expected: bool) -> None:
    profile = profile_after(*shops(MIN_MERCHANTS), online(0, "a"), online(1, "b"))

    assert bool(new_web_merchants(profile, payment)) is expected


def test_new_merchants_are_a_weaker_reason_in_the_sales_season() -> None:
    day = "2026-11-27T20:00:00Z"
    profile = profile_after(*shops(MIN_MERCHANTS), *(online(0, merchant, posted_at=day) for merchant in ("a", "b")))

    reason = new_web_merchants(profile, online(0, "new", posted_at=day))

    assert reason
    assert reason.weight == 30


def test_the_first_merchants_of_an_account_are_not_called_new() -> None:
    profile = profile_after(*shops(MIN_MERCHANTS - 3), online(0, "a"), online(1, "b"))

    assert new_web_merchants(profile, online(60, "new")) is None


# --- payees and money that is passed on ------------------------------------------------------------------------------


def a_year_of_bills() -> list[TransactionPosted]:
    """A bill of 42.50 each month to each of four payees."""
    return [a_transfer(-30 * DAY * (12 - month), payee=f"Bill {each}") for month in range(12) for each in range(4)]


def test_a_transfer_to_a_new_payee_is_a_weak_reason() -> None:
    profile = profile_after(*a_year_of_bills())

    assert score(judge(profile, a_transfer(0, payee="Alan Turing"))) == 30
    assert new_payee(profile, a_transfer(0, payee="bill  2")) is None  # case and spaces are no difference
    assert new_payee(profile, a_payment(0)) is None
    assert new_payee(profile_after(a_transfer(-9 * DAY)), a_transfer(0, payee="Alan Turing")) is None  # new account


def test_a_payee_stays_new_for_three_days() -> None:
    profile = profile_after(*a_year_of_bills(), a_transfer(0, 100, payee="Alan Turing"))

    assert new_payee(profile, a_transfer(3 * DAY, payee="Alan Turing"))
    assert new_payee(profile, a_transfer(3 * DAY + 1, payee="Alan Turing")) is None


def test_the_payee_of_a_suspected_transfer_stays_new() -> None:
    profile = profile_after(*a_year_of_bills()).after(a_transfer(0, payee="Alan Turing"), suspected=True)

    assert new_payee(profile, a_transfer(30 * DAY, payee="Alan Turing"))


def test_the_sender_of_a_credit_is_a_known_payee() -> None:
    profile = profile_after(*a_year_of_bills(), a_credit(0, 4250, "Alan Turing"))

    assert new_payee(profile, a_transfer(60, payee="Alan Turing")) is None


@pytest.mark.parametrize(
    ("credits_at", "sent", "expected"),
    [
        ((0, 0, 0), 151, True),
        ((0, 0, 0), 150, False),  # half
        ((0, 0, 0), 300, True),
        ((0, 0, 0), 301, False),  # more than all
        ((0, 0), 150, False),
        ((0, 0, HOUR - 72 * HOUR), 151, True),
        ((0, 0, HOUR - 72 * HOUR - 1), 151, False),
        ((0, 0, 2 * HOUR), 151, False),  # received later
    ],
)
def test_passing_on_more_than_half_of_three_credits_is_a_strong_reason(
    credits_at: Sequence[float], sent: int, *, expected: bool
) -> None:
    profile = profile_after(*(a_credit(at, 100, f"Sender {at}") for at in sorted(credits_at)))

    for leaves in (a_transfer(HOUR, sent, payee="Alan Turing"), some_cash(HOUR, sent)):
        reason = money_passed_on(profile, leaves)
        assert bool(reason) is expected
        assert not reason or reason.weight >= SUSPICIOUS


def test_money_that_is_passed_on_in_parts_is_added_up() -> None:
    before = [a_credit(each, 100) for each in range(3)]
    profile = profile_after(*before, a_transfer(60, 80, payee="Alan Turing"), some_cash(70, 30))

    assert figures(money_passed_on(profile, a_transfer(80, 50, payee="Alan Turing"))) == {
        "credits": 3,
        "received": 300,
        "passed on": 160,
    }


def test_money_in_another_currency_or_to_a_known_payee_is_not_passed_on() -> None:
    profile = profile_after(*a_year_of_bills(), *(a_credit(each, 10_000) for each in range(3)))

    assert money_passed_on(profile, a_transfer(60, 20_000, payee="Alan Turing"))
    assert money_passed_on(profile, a_transfer(60, 20_000, payee="Alan Turing", currency="JPY")) is None
    assert money_passed_on(profile, a_transfer(60, 20_000, payee="Bill 1")) is None
    assert money_passed_on(profile, a_payment(60, 20_000)) is None


# --- together --------------------------------------------------------------------------------------------------------


def test_the_first_payment_of_an_account_has_no_reasons() -> None:
    for first in (a_payment(0, MAX_AMOUNT), a_transfer(0, 1), some_cash(0, place=SAO_PAULO)):
        assert judge(Profile.blank("acc-new"), first) == ()


def test_usual_payments_are_never_suspected() -> None:
    assert suspected_ids([*a_month(), *(a_payment(HOUR * each, 4000) for each in range(30))]) == []


# Guards: the threshold.
@pytest.mark.parametrize(
    ("payment", "expected", "suspicious"),
    [
        (a_payment(60, 15_000, merchant="m-new"), ["unusual_amount"], False),
        (a_payment(60, 4250, place=BRATISLAVA), ["new_country"], False),
        (a_payment(60, 15_000, place=BRATISLAVA), ["unusual_amount", "new_country"], False),
        (a_payment(60, place=at_degrees(53, 9)), ["impossible_travel"], False),
        (a_payment(60, 15_000, place=SAO_PAULO), ["impossible_travel", "unusual_amount", "new_country"], True),
        (a_payment(60, 35_000), ["unusual_amount"], False),
        (a_payment(60, 35_000, merchant="m-new"), ["unusual_amount"], True),
    ],
)
def test_one_strong_reason_or_several_weak_ones_are_enough(
    payment: TransactionPosted, expected: Sequence[str], *, suspicious: bool
) -> None:
    before = a_month()

    reasons = judge(profile_after(*before, a_payment(0)), payment)

    assert reason_names(reasons) == expected
    assert (score(reasons) >= SUSPICIOUS) is suspicious
    assert (suspected_ids([*before, a_payment(0), payment]) == [payment.authorisation_id]) is suspicious


# Guards: the lower threshold around a suspicion.
@pytest.mark.parametrize("late", [1, -1], ids=["after", "before"])
@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, SUSPICIOUS_ON_ALERT), (DAY, SUSPICIOUS_ON_ALERT), (DAY + 0.001, SUSPICIOUS)]
)
def test_within_a_day_of_a_suspicion_one_weak_reason_is_enough(seconds: float, expected: int, late: int) -> None:
    usual = profile_after(*a_month())
    suspicious = usual.after(a_payment(0, 10**6), suspected=True)

    assert threshold(usual, a_payment(seconds)) == SUSPICIOUS
    assert threshold(suspicious, a_payment(late * seconds)) == expected


def test_after_a_theft_payments_with_one_weak_reason_are_suspected_for_a_day() -> None:
    theft, again, another_day = (a_payment(60 + late, 15_000, merchant=f"m-{late}") for late in (0, 60, int(3 * DAY)))
    before, first = a_month(), a_payment(60, 10**6, merchant="m-first")

    assert suspected_ids([*before, again]) == []
    assert suspected_ids([*before, first, theft, again, another_day]) == [
        each.authorisation_id for each in (first, theft, again)
    ]


def test_several_rules_can_apply_to_one_payment() -> None:
    before = [*a_month(), a_payment(-60), *card_tests(MIN_PAYMENTS)]

    in_person = judge(profile_after(*before), a_payment(200, 10**6, place=SAO_PAULO))
    online = judge(profile_after(*shops(MIN_MERCHANTS), *card_tests(MIN_PAYMENTS)), a_payment(200, place=ONLINE))
    transfer = judge(
        profile_after(*a_year_of_bills(), *(a_credit(each, 40_000) for each in range(3))),
        a_transfer(9, 99_000, payee="X"),
    )

    assert reason_names(in_person) == ["card_testing", "unusual_amount", "impossible_travel", "velocity", "new_country"]
    assert score(in_person) == 60 + 60 + 45 + 30 + 20
    assert reason_names(online) == ["new_web_merchants", "velocity"]
    assert reason_names(transfer) == ["unusual_amount", "money_passed_on", "new_payee"]
    assert {rule.__name__ for rule in RULES} == {*reason_names((*in_person, *online, *transfer))}
