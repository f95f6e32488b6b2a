"""The rules for suspected fraud, and the weight of each.

A rule reads only the profile and the transaction, and returns a reason or None. A late payment is judged at its own
time: by earlier payments, and by the travel time to the other place in either direction. Transactions may have the same
time, so no rule divides by the time between two, or expects it to be positive.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from events.accounts import Transaction
from events.fraud import Figure, Reason, ReasonName
from functions.fraud.profile import MIN_PARTNERS, RECENT, Profile, country, is_online, position

# A person should examine a payment with at least this score: one strong reason, or two weak ones.
SUSPICIOUS: Final = 60
_STRONG: Final = 60
# Within a day of a suspected payment one weak reason is enough, because a stolen card is often used again.
SUSPICIOUS_ON_ALERT: Final = 30
ALERT: Final = timedelta(days=1)

# Numbers without a source are our own choices. The people who examine suspicions must review them.

# This many payments within the window. A weak reason, because of evenings out.
MIN_PAYMENTS: Final = 6
VELOCITY_WINDOW: Final = timedelta(minutes=10)
_VELOCITY: Final = 30

# Tenths of a deviation above the mean. With normally distributed logarithms, one payment in 741 is 3 deviations above,
# and one in 3,488,556 is 5 above. With any distribution, at most one in 10 and one in 26 (Cantelli's inequality).
UNUSUAL: Final = 30
EXTREME: Final = 50
_UNUSUAL: Final = 35
# An unusual amount is less of a reason where the account has paid before, and in weeks in which many people buy much.
_WEAKER: Final = 15
# Percent of the largest amount before. Of n amounts with any distribution, the newest is the largest with a probability
# of 1/n, and 1.5 times the others with a lower one. A strong reason for a transfer or for cash, which are lost. A weak
# one for a card, because people sometimes buy furniture, and card payments can be charged back. Cash machines give
# round amounts, so the next larger one is no record.
RECORD: Final = 150
CASH_RECORD: Final = 200
RECORD_TO_NEW_PAYEE: Final = 125

# A passenger jet cruises at Mach 0.85, about 900 km/h, and may reach 1,000 km/h over ground with a strong tail wind.
# The tolerance is for shops whose registered coordinates are not exact.
MAX_SPEED: Final = 1_000  # km/h
TOLERANCE: Final = 100  # km
# Some shops are registered at the office of their owner, so this reason alone is not enough. It is weaker at a merchant
# whom the account has paid before, because a thief rarely chooses the same one.
_TRAVEL: Final = 45

_NEW_COUNTRY: Final = 20

# Many innocent transfers go to a new payee, so this is a weak reason.
_NEW_PAYEE: Final = 30

# A thief uses a card number at shops that its owner does not use. This many of them, online, within RECENT. Owners
# sometimes do the same, so only one more is a strong reason, and outside of the sales season.
MIN_NEW_MERCHANTS: Final = 3
_NEW_MERCHANTS: Final = 45

# A mule account receives money of several victims and passes it on. This many credits within MOVEMENTS, of which more
# than half is sent to new payees or withdrawn. More than all of it is a purchase that the account's owner pays.
MIN_CREDITS: Final = 3
_PASSED_ON: Final = 60

# A thief first tests a stolen card number with small amounts (https://stripe.com/docs/card-testing). Which amounts are
# small depends on the currency, so they are compared with the payment that follows: each is at most this fraction of
# it. They are at several merchants, within RECENT.
SMALL_FRACTION: Final = 50
MIN_TEST_MERCHANTS: Final = 3

_HOUR: Final = 3_600  # seconds
_SECOND: Final = timedelta(seconds=1)


def velocity(profile: Profile, transaction: Transaction) -> Reason | None:
    """Many payments in a short time. A transfer to a known payee is none: standing orders are sent at one time."""
    if transaction.channel == "transfer" and profile.knows_payee(transaction):
        return None
    at = transaction.posted_at
    number = 1 + sum(timedelta() <= at - each.at <= VELOCITY_WINDOW for each in profile.recent)
    if number < MIN_PAYMENTS:
        return None
    return _reason(
        "velocity", _VELOCITY, ("payments", number, "payments"), ("within", VELOCITY_WINDOW // _SECOND, "seconds")
    )


def unusual_amount(profile: Profile, transaction: Transaction) -> Reason | None:
    """An amount far above the usual amount of the account, for this channel and currency."""
    habit = profile.habit(transaction)
    if habit is None:
        return None
    above = habit.above(transaction.amount)
    expected = _is_expected(profile, transaction)
    record = transaction.amount * 100 >= habit.largest * _record(transaction, expected=expected)
    if above < UNUSUAL and not record:
        return None
    strong = above >= EXTREME or (record and transaction.channel != "card")
    return _reason(
        "unusual_amount",
        (_STRONG if strong else _UNUSUAL) - (_WEAKER if expected else 0),
        ("times the usual amount", transaction.amount // habit.usual, "times"),
        ("usual amount", habit.usual, f"minor units of {transaction.currency}"),
        ("above the usual amount", above, "tenths of a deviation"),
        ("largest amount before", habit.largest, f"minor units of {transaction.currency}"),
    )


def _record(transaction: Transaction, *, expected: bool) -> int:
    """The percentage of the largest amount before that is a record."""
    match transaction.channel:
        case "transfer":
            return RECORD if expected else RECORD_TO_NEW_PAYEE
        case "cash":
            return CASH_RECORD
        case "card":
            return RECORD


def _is_expected(profile: Profile, transaction: Transaction) -> bool:
    match transaction.channel:
        case "card":
            return profile.has_paid(transaction) or is_sales_season(transaction.posted_at.date())
        case "transfer":
            return profile.knows_payee(transaction)
        case "cash":
            return False


def is_sales_season(day: date) -> bool:
    """Whether many people buy much on this day: from the week of Black Friday until Christmas Eve.

    Black Friday is the day after Thanksgiving, the fourth Thursday in November (5 U.S.C. 6103). Its sales begin on the
    Monday before. Sales of other seasons differ from country to country and are not included.
    """
    first = date(day.year, 11, 1)
    thanksgiving = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    return thanksgiving - timedelta(days=3) <= day <= date(day.year, 12, 24)


def impossible_travel(profile: Profile, transaction: Transaction) -> Reason | None:
    """Two payments at places so far apart that nobody can travel between them in the time between the payments."""
    here, last = position(transaction), profile.last
    if here is None or last is None:
        return None
    distance, seconds = last.kilometres_to(here), abs(here.at - last.at) // _SECOND
    if (distance - TOLERANCE) * _HOUR <= MAX_SPEED * seconds:
        return None
    return _reason(
        "impossible_travel",
        _TRAVEL - (_WEAKER if profile.has_paid(transaction) else 0),
        ("speed", distance * _HOUR // max(seconds, 1), "km/h"),
        ("distance", distance, "km"),
        ("time between", seconds, "seconds"),
    )


def new_country(profile: Profile, transaction: Transaction) -> Reason | None:
    """A country where the account has not paid before. The first country of an account is no reason."""
    where = country(transaction)
    known = profile.known_countries(where) if where else []
    if not known or where in known:
        return None
    return _reason("new_country", _NEW_COUNTRY, ("countries known before", len(known), "countries"))


def card_testing(profile: Profile, transaction: Transaction) -> Reason | None:
    """Small payments by card at several merchants, then a large one in the same currency."""
    if transaction.channel != "card":
        return None
    at, currency = transaction.posted_at, transaction.currency
    tests = [
        each
        for each in profile.recent
        if each.merchant
        and each.currency == currency
        and timedelta() <= at - each.at <= RECENT
        and each.amount * SMALL_FRACTION <= transaction.amount
    ]
    merchants = len({each.merchant for each in tests})
    if merchants < MIN_TEST_MERCHANTS:
        return None
    largest = max(each.amount for each in tests)
    return _reason(
        "card_testing",
        _STRONG,
        ("small payments before", len(tests), "payments"),
        ("merchants", merchants, "merchants"),
        ("times the largest of them", transaction.amount // largest, "times"),
    )


def new_web_merchants(profile: Profile, transaction: Transaction) -> Reason | None:
    """Payments online at several new merchants within an hour."""
    if not is_online(transaction) or profile.knows_merchant(transaction):
        return None
    at = transaction.posted_at
    before = {each.merchant for each in profile.recent if each.new_online and timedelta() <= at - each.at <= RECENT}
    merchants = len(before - {profile.short(transaction.merchant.merchant_id)} if transaction.merchant else before) + 1
    if merchants < MIN_NEW_MERCHANTS:
        return None
    weight = _STRONG if merchants > MIN_NEW_MERCHANTS else _NEW_MERCHANTS
    if is_sales_season(at.date()):
        weight -= _WEAKER
    return _reason("new_web_merchants", weight, ("new merchants", merchants, "merchants"))


def new_payee(profile: Profile, transaction: Transaction) -> Reason | None:
    """A transfer to a payee that the account has not paid before. The first payees of an account are no reason."""
    if transaction.channel != "transfer" or profile.knows_payee(transaction) or len(profile.partners) < MIN_PARTNERS:
        return None
    return _reason("new_payee", _NEW_PAYEE, ("payees known before", len(profile.partners), "payees"))


def money_passed_on(profile: Profile, transaction: Transaction) -> Reason | None:
    """Several credits, of which more than half is sent to new payees within three days."""
    if transaction.channel == "card" or (transaction.channel == "transfer" and profile.knows_payee(transaction)):
        return None
    movements = profile.movements_before(transaction)
    received = [each.amount for each in movements if each.amount > 0]
    sent = transaction.amount - sum(each.amount for each in movements if each.amount < 0)
    if len(received) < MIN_CREDITS or not sum(received) < 2 * sent <= 2 * sum(received):
        return None
    return _reason(
        "money_passed_on",
        _PASSED_ON,
        ("credits", len(received), "credits"),
        ("received", sum(received), f"minor units of {transaction.currency}"),
        ("passed on", sent, f"minor units of {transaction.currency}"),
    )


RULES: Final[tuple[Callable[[Profile, Transaction], Reason | None], ...]] = (
    impossible_travel,
    card_testing,
    unusual_amount,
    velocity,
    new_country,
    new_web_merchants,
    new_payee,
    money_passed_on,
)


def judge(profile: Profile, transaction: Transaction) -> tuple[Reason, ...]:
    """All reasons for which a payment looks like fraud, highest weight first."""
    found = [reason for rule in RULES if (reason := rule(profile, transaction))]
    return tuple(sorted(found, key=lambda reason: -reason.weight))


def score(reasons: tuple[Reason, ...]) -> int:
    """The sum of their weights."""
    return sum(reason.weight for reason in reasons)


def threshold(profile: Profile, transaction: Transaction) -> int:
    """The score from which a person should examine the payment."""
    alert = profile.suspected is not None and abs(transaction.posted_at - profile.suspected) <= ALERT
    return SUSPICIOUS_ON_ALERT if alert else SUSPICIOUS


def _reason(name: ReasonName, weight: int, *figures: tuple[str, int, str]) -> Reason:
    made = tuple(Figure(name=figure, value=value, unit=unit) for figure, value, unit in figures)
    return Reason(name=name, weight=weight, figures=made)
