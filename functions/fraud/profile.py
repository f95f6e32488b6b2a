"""The profile of an account, in one row: its usual amounts, merchants and payees, and its last payments.

The row has a fixed maximum size, whatever the age of the account. All numbers are whole and nothing depends on the
current time: the same transactions in the same order always give the same row.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal
from hashlib import blake2b
from math import isqrt
from typing import Final, TypeVar

from daybook.contracts.contract import Part
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.accounts import Transaction
from functions.fraud.earth import MICRO, kilometres

V = TypeVar("V")

_REMOTE: Final = "?"

# Limits of a profile. Our own choices, without a source.
MAX_AMOUNTS: Final = 32  # amounts in a habit; the weight of older ones decreases
MIN_AMOUNTS: Final = 10  # amounts, before a habit is used
MAX_HABITS: Final = 12
MAX_COUNTRIES: Final = 16
MAX_RECENT: Final = 12
RECENT: Final = timedelta(hours=1)
MAX_MERCHANTS: Final = 32
MAX_PARTNERS: Final = 20
MAX_MOVEMENTS: Final = 8
MOVEMENTS: Final = timedelta(hours=72)
# An account with fewer merchants or partners is too new to call another one new.
MIN_MERCHANTS: Final = 5
MIN_PARTNERS: Final = 3

# One amount changes the mean as if it were at most this far from it. So a single fraud changes a habit little, and a
# lasting change is learned within some transactions.
MAX_STEP: Final = 3  # deviations
# At least a factor of 1.5. Otherwise an account with equal amounts would find one more cent unusual. No source.
MIN_DEVIATION: Final = 400_000  # micronats
# `largest` grows by at most a quarter of itself with a payment, and shrinks by a 64th with each smaller payment.
_GROWS: Final = 4
_FADES: Final = 64

# The logarithm of Decimal is correctly rounded: it is equal on every processor. The last digit of a float may differ.
_EXACT: Final = Context(prec=28)


def micronats(amount: int) -> int:
    """The natural logarithm in millionths. Amounts are compared by their ratio, not by their difference."""
    return int((_EXACT.ln(Decimal(amount)) * MICRO).to_integral_value())


class Habit(Part):
    """The usual size of amounts of one channel and one currency."""

    seen: int = 0  # amounts, MAX_AMOUNTS at most
    mean: int = 0  # micronats
    variance: int = 0  # millionths of a square nat
    largest: int = 0  # minor units
    last: UtcTime

    @property
    def is_known(self) -> bool:
        """Whether there were enough amounts to compare others with."""
        return self.seen >= MIN_AMOUNTS

    @property
    def deviation(self) -> int:
        """Micronats, at least MIN_DEVIATION."""
        return max(MIN_DEVIATION, isqrt(self.variance * MICRO))

    @property
    def usual(self) -> int:
        """The usual amount, in minor units: the geometric mean. At least 1."""
        return max(1, int(_EXACT.exp(Decimal(self.mean) / MICRO).to_integral_value()))

    def above(self, amount: int) -> int:
        """How far an amount is above the mean, in tenths of a deviation. Negative if it is below."""
        return (micronats(amount) - self.mean) * 10 // self.deviation

    def after(self, amount: int, at: datetime) -> "Habit":
        """The habit with one more amount.

        Mean and variance are exact for the first MAX_AMOUNTS amounts, then exponentially weighted (T. Finch:
        Incremental calculation of weighted mean and variance. University of Cambridge, 2009, sections 3 and 9).
        """
        difference, learned = micronats(amount) - self.mean, amount
        if self.is_known:
            limit = MAX_STEP * self.deviation
            difference = max(-limit, min(limit, difference))
            learned = min(amount, self.largest + self.largest // _GROWS + 1)
        seen = min(self.seen + 1, MAX_AMOUNTS)
        return Habit(
            seen=seen,
            mean=self.mean + difference // seen,
            variance=(seen - 1) * (seen * self.variance + difference**2 // MICRO) // seen**2,
            largest=max(learned, self.largest - self.largest // _FADES),
            last=max(self.last, at),
        )


class Recent(Part):
    """A payment of the last hour."""

    at: UtcTime
    amount: int
    currency: str
    merchant: str = ""  # see `Profile.short`
    new_online: bool = False  # online, at a merchant that was new to the account


class Movement(Part):
    """Money of the last 72 hours that came in, that was sent to a new payee, or that was withdrawn."""

    at: UtcTime
    amount: int  # minor units; negative if it left the account
    currency: str
    payee: str = ""  # see `Profile.short`; empty except for a transfer to a new payee


class Position(Part):
    """Where and when the newest payment with coordinates was made."""

    latitude: int  # microdegrees
    longitude: int
    at: UtcTime

    def kilometres_to(self, other: "Position") -> int:
        """The great-circle distance."""
        return kilometres(self.latitude, self.longitude, other.latitude, other.longitude)


class Profile(State, table="fraud-profiles", key="account_id"):
    """The profile of one account.

    `habits` are by channel and currency (`card:EUR`), so that amounts in two currencies, or a rent and groceries, are
    never compared. `countries` has the last use of each country, with online shops apart (see `country`): to buy from a
    country is not to be there. `merchants` and `partners` (senders and recipients of transfers) are in the order of
    their last use. If there are too many of anything, the least recently used one is removed.
    """

    account_id: str
    habits: dict[str, Habit] = {}
    countries: dict[str, UtcTime] = {}
    recent: tuple[Recent, ...] = ()  # by time
    merchants: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    movements: tuple[Movement, ...] = ()  # by time
    last: Position | None = None
    suspected: UtcTime | None = None  # time of the newest suspected payment

    def habit(self, transaction: Transaction) -> Habit | None:
        """The habit to compare the transaction with, if there is one yet."""
        habit = self.habits.get(_kind(transaction))
        return habit if habit and habit.is_known else None

    def known_countries(self, name: str) -> list[str]:
        """The countries of earlier payments of the same kind as `name`: in person, or online."""
        return [each for each in self.countries if each.endswith(_REMOTE) == name.endswith(_REMOTE)]

    def short(self, name: str) -> str:
        """A short form of a merchant's id or of a payee: 40 bits of a hash.

        All are equally long, so that the row is bounded. Names and account numbers of other people are not in the row,
        and the same person has different short forms in two accounts. It is still possible to test a guessed name.
        """
        return blake2b(f"{self.account_id}/{name}".encode(), digest_size=5).hexdigest()

    def knows_merchant(self, transaction: Transaction) -> bool:
        """Whether there were payments to this merchant, or the account is too new to call it new."""
        return len(self.merchants) < MIN_MERCHANTS or self.has_paid(transaction)

    def has_paid(self, transaction: Transaction) -> bool:
        """Whether there were payments to this merchant, also for a new account."""
        return self._merchant(transaction) in self.merchants

    def knows_payee(self, transaction: Transaction) -> bool:
        """Whether there were transfers with this counterparty, and not only for the first time in the last 72 hours."""
        partner = self._partner(transaction)
        return partner in self.partners and all(partner != each.payee for each in self.movements_before(transaction))

    def movements_before(self, transaction: Transaction) -> list[Movement]:
        """The movements in the 72 hours before the transaction, in its currency."""
        at, currency = transaction.posted_at, transaction.currency
        return [
            each for each in self.movements if timedelta() <= at - each.at <= MOVEMENTS and each.currency == currency
        ]

    def after(self, transaction: Transaction, *, suspected: bool) -> "Profile":
        """The profile with one more payment.

        A late payment changes habits like any other, but replaces nothing newer. A suspected payment may be by
        another person, so it makes neither a country, a position, a merchant nor a payee known.
        """
        changes: dict[str, object] = {
            "habits": self._habits_after(transaction),
            "recent": self._recent_after(transaction),
        }
        if transaction.channel == "cash" or (transaction.channel == "transfer" and not self.knows_payee(transaction)):
            sent = self._movement(transaction, -transaction.amount, payee=self._partner(transaction))
            changes["movements"] = self._movements_after(sent)
        if suspected:
            changes["suspected"] = max(transaction.posted_at, self.suspected or transaction.posted_at)
        else:
            changes["countries"] = self._countries_after(transaction)
            changes["last"] = self._last_after(transaction)
            changes["merchants"] = _last_used(self.merchants, self._merchant(transaction), MAX_MERCHANTS)
            changes["partners"] = _last_used(self.partners, self._partner(transaction), MAX_PARTNERS)
        return self.evolve(**changes)

    def after_credit(self, transaction: Transaction) -> "Profile":
        """The profile after money came in. A card's credit is a refund, and changes nothing."""
        if transaction.channel == "card":
            return self
        return self.evolve(
            movements=self._movements_after(self._movement(transaction, transaction.amount)),
            partners=_last_used(self.partners, self._partner(transaction), MAX_PARTNERS),
        )

    def _merchant(self, transaction: Transaction) -> str:
        return self.short(transaction.merchant.merchant_id) if transaction.merchant else ""

    def _partner(self, transaction: Transaction) -> str:
        """The counterparty by its account, else by its name."""
        partner = transaction.counterparty
        return self.short("".join((partner.account or partner.name).casefold().split())) if partner else ""

    def _movement(self, transaction: Transaction, amount: int, *, payee: str = "") -> Movement:
        return Movement(at=transaction.posted_at, amount=amount, currency=transaction.currency, payee=payee)

    def _movements_after(self, movement: Movement) -> tuple[Movement, ...]:
        by_time = sorted((*self.movements, movement), key=lambda each: each.at)
        return tuple(each for each in by_time[-MAX_MOVEMENTS:] if each.at >= by_time[-1].at - MOVEMENTS)

    def _habits_after(self, transaction: Transaction) -> dict[str, Habit]:
        kind, at = _kind(transaction), transaction.posted_at
        habit = self.habits.get(kind) or Habit(last=at)
        habits = {**self.habits, kind: habit.after(transaction.amount, at)}
        return _newest(habits, MAX_HABITS, lambda habit: habit.last)

    def _countries_after(self, transaction: Transaction) -> dict[str, datetime]:
        where, at = country(transaction), transaction.posted_at
        if where is None:
            return self.countries
        seen = max(at, self.countries.get(where, at))
        return _newest({**self.countries, where: seen}, MAX_COUNTRIES, lambda seen: seen)

    def _recent_after(self, transaction: Transaction) -> tuple[Recent, ...]:
        this = Recent(
            at=transaction.posted_at,
            amount=transaction.amount,
            currency=transaction.currency,
            merchant=self._merchant(transaction),
            new_online=is_online(transaction) and not self.knows_merchant(transaction),
        )
        by_time = sorted((*self.recent, this), key=lambda each: each.at)
        return tuple(each for each in by_time[-MAX_RECENT:] if each.at >= by_time[-1].at - RECENT)

    def _last_after(self, transaction: Transaction) -> Position | None:
        here = position(transaction)
        if here is None or (self.last and self.last.at >= here.at):
            return self.last
        return here


def position(transaction: Transaction) -> Position | None:
    """Where the customer was. None if the customer was not there, as with an online shop, or without coordinates."""
    where = transaction.location
    if not transaction.in_person or where is None or where.latitude is None or where.longitude is None:
        return None
    return Position(
        latitude=round(where.latitude * MICRO), longitude=round(where.longitude * MICRO), at=transaction.posted_at
    )


def country(transaction: Transaction) -> str | None:
    """The country as it is in a profile: `AT`, or `AT?` if the customer was not there, as with an online shop."""
    where = transaction.location
    if where is None:
        return None
    return where.country if transaction.in_person else where.country + _REMOTE


def is_online(transaction: Transaction) -> bool:
    """Whether a card paid from a distance."""
    return transaction.channel == "card" and not transaction.in_person


def _kind(transaction: Transaction) -> str:
    return f"{transaction.channel}:{transaction.currency}"


def _newest(items: Mapping[str, V], limit: int, last_use: Callable[[V], datetime]) -> dict[str, V]:
    """The most recently used items. Among items of the same time, the first by name is removed."""
    by_use = sorted(items, key=lambda name: (last_use(items[name]), name))
    return {name: items[name] for name in sorted(by_use[-limit:])}


def _last_used(names: tuple[str, ...], name: str, limit: int) -> tuple[str, ...]:
    """The names in the order of their last use, with this one as the last. An empty name changes nothing."""
    return (*(each for each in names if each != name), name)[-limit:] if name else names
