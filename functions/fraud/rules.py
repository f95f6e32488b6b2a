"""When a transaction looks like fraud: rules, each by itself, and what each weighs.

A rule looks at what the profile remembers and at the transaction, at nothing else, and answers with a reason or None.
Payments that come late are judged as of their own time: by what was posted up to then, and by whether anybody could
have been in both places, whichever was first. Transactions of one moment are told apart by nothing: no rule divides by
the time between two, or takes it to be positive.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from events.accounts import Transaction
from events.fraud import Figure, Reason, ReasonName
from functions.fraud.profile import RECENT, Profile, country, whereabouts

# At this score and above a person should look. One reason that is hard to explain otherwise is enough; of those that
# are odd, it takes two.
SUSPICIOUS: Final = 60
_ENOUGH: Final = 60  # hard to explain otherwise
# Within a day of a payment that was suspected, one that is odd is enough: whoever has stolen a card uses it again.
ON_ALERT: Final = 30
ALERT: Final = timedelta(days=1)

# All that follows is the house's own, to be reviewed by those who look at the suspicions, but for what has a source.

# So many payments, this one among them, in so short a time. Odd: banks also post their standing orders at one moment.
MANY: Final = 6
AT_ONCE: Final = timedelta(minutes=10)
_VELOCITY: Final = 30

# So far above the habit, in tenths of a deviation, and what that weighs. Were logarithms of amounts normally
# distributed, 3 deviations were one payment in 741, 4 one in 31,574; however they are, at most one in 10, and one in 17
# (Cantelli's inequality).
UNUSUAL: Final = 30
FAR_BEYOND: Final = 40
_UNUSUAL: Final = 35
# An amount so many times the largest that is remembered: a transfer is enough, a payment by card is odd. Of n amounts,
# however distributed, the newest is the largest once in n, and by half as much again more seldom still; but people buy
# sofas, and what went by card can be called back.
RECORD: Final = (3, 2)  # three halves

# A passenger jet cruises at Mach 0.85, some 900 km/h; with a strong wind behind it 1,000 are not rare over ground, but
# nobody gets from one till to another that fast. Tills stand somewhat off the places that banks have of them.
FASTEST: Final = 1_000  # km/h
TOLERANCE: Final = 100  # km
# Some are registered where their owner has its office: so it takes one more reason.
_TRAVEL: Final = 45

_NEW_COUNTRY: Final = 25

# Who has a stolen number first finds out, with amounts that nobody notices, whether it works
# (https://stripe.com/docs/card-testing). What is small depends on the currency; so it is told by
# the payment that follows, in the same one: each is at most this part of that. At so many merchants, within RECENT.
SMALL_PART: Final = 50
TESTS: Final = 3

_HOUR: Final = 3_600  # seconds
_SECOND: Final = timedelta(seconds=1)


def velocity(profile: Profile, transaction: Transaction) -> Reason | None:
    """Many payments in a short time."""
    at = transaction.posted_at
    number = 1 + sum(timedelta() <= at - each.at <= AT_ONCE for each in profile.recent)
    if number < MANY:
        return None
    return _reason("velocity", _VELOCITY, ("payments", number, "payments"), ("within", AT_ONCE // _SECOND, "seconds"))


def unusual_amount(profile: Profile, transaction: Transaction) -> Reason | None:
    """An amount far above what the account pays as a rule by this channel and in this currency."""
    habit = profile.habit(transaction)
    if habit is None:
        return None
    above = habit.above(transaction.amount)
    times, of = RECORD
    record = transaction.amount * of >= habit.largest * times
    if above < UNUSUAL and not record:
        return None
    enough = above >= FAR_BEYOND or (record and transaction.channel == "transfer")
    return _reason(
        "unusual_amount",
        _ENOUGH if enough else _UNUSUAL,
        ("times the habit", transaction.amount // habit.usual, "times"),
        ("the habit", habit.usual, f"minor units of {transaction.currency}"),
        ("above the habit", above, "tenths of a deviation"),
        ("the largest so far", habit.largest, f"minor units of {transaction.currency}"),
    )


def impossible_travel(profile: Profile, transaction: Transaction) -> Reason | None:
    """Two places that nobody gets from one to the other of in the time between, whichever came first."""
    here, last = whereabouts(transaction), profile.last
    if here is None or last is None:
        return None
    distance, seconds = last.kilometres_to(here), abs(here.at - last.at) // _SECOND
    if (distance - TOLERANCE) * _HOUR <= FASTEST * seconds:
        return None
    return _reason(
        "impossible_travel",
        _TRAVEL,
        ("speed", distance * _HOUR // max(seconds, 1), "km/h"),
        ("distance", distance, "km"),
        ("time between", seconds, "seconds"),
    )


def new_country(profile: Profile, transaction: Transaction) -> Reason | None:
    """A country where the account has not paid before. Of the first one there is nothing to compare it with."""
    where = country(transaction)
    known = profile.countries_like(where) if where else []
    if not known or where in known:
        return None
    return _reason("new_country", _NEW_COUNTRY, ("countries known before", len(known), "countries"))


def card_testing(profile: Profile, transaction: Transaction) -> Reason | None:
    """Tiny payments by card at several merchants, then a large one in the same currency."""
    if transaction.channel != "card":
        return None
    at, currency = transaction.posted_at, transaction.currency
    tests = [
        each
        for each in profile.recent
        if each.merchant
        and each.currency == currency
        and timedelta() <= at - each.at <= RECENT
        and each.amount * SMALL_PART <= transaction.amount
    ]
    merchants = len({each.merchant for each in tests})
    if merchants < TESTS:
        return None
    largest = max(each.amount for each in tests)
    return _reason(
        "card_testing",
        _ENOUGH,
        ("tiny payments before", len(tests), "payments"),
        ("at so many merchants", merchants, "merchants"),
        ("times the largest of them", transaction.amount // largest, "times"),
    )


RULES: Final[tuple[Callable[[Profile, Transaction], Reason | None], ...]] = (
    impossible_travel,
    card_testing,
    unusual_amount,
    velocity,
    new_country,
)


def judge(profile: Profile, transaction: Transaction) -> tuple[Reason, ...]:
    """All reasons for which a payment looks like fraud, the heaviest first."""
    found = [reason for rule in RULES if (reason := rule(profile, transaction))]
    return tuple(sorted(found, key=lambda reason: -reason.weight))


def score(reasons: tuple[Reason, ...]) -> int:
    """The sum of their weights."""
    return sum(reason.weight for reason in reasons)


def threshold(profile: Profile, transaction: Transaction) -> int:
    """The score at and above which a person should look at the payment."""
    alert = profile.suspected is not None and abs(transaction.posted_at - profile.suspected) <= ALERT
    return ON_ALERT if alert else SUSPICIOUS


def _reason(name: ReasonName, weight: int, *figures: tuple[str, int, str]) -> Reason:
    rests_on = tuple(Figure(what=what, value=value, unit=unit) for what, value, unit in figures)
    return Reason(name=name, weight=weight, rests_on=rests_on)
