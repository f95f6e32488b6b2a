"""The one row that remembers an account: what it does as a rule, and what it did last.

Each transaction changes it in the same few steps, and it never grows beyond a few kilobytes, however long the account
lives. All numbers are whole, and nothing depends on the clock: the same transactions in the same order leave the same
row, whenever they are looked at.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal
from math import isqrt
from typing import Final, TypeVar

from daybook.contracts.contract import Part
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.accounts import Transaction
from functions.fraud.earth import MICRO, kilometres

V = TypeVar("V")

_FROM_AFAR: Final = "?"

# How much is remembered. No sources: the house's own.
MEMORY: Final = 32  # amounts, of which a habit is made; older ones fade
ENOUGH: Final = 10  # amounts, before there is a habit to speak of
MOST_HABITS: Final = 12
MOST_COUNTRIES: Final = 16
MOST_RECENT: Final = 12
RECENT: Final = timedelta(hours=1)

# An amount teaches at most what lies so far from the habit: one fraud teaches little, a new way of life is learned all
# the same, within some transactions.
MOST_LEARNED: Final = 3  # deviations
# Who always pays the same would else find the next cent strange. A deviation is at least a factor of 1.5. No source.
LEAST_DEVIATION: Final = 400_000  # micronats
# The largest amount grows by a part of itself at most with each payment, and fades by one with each that is smaller.
_GROWS: Final = 4
_FADES: Final = 64

# Decimal's logarithm is rounded correctly, and so the same on every processor; a float's may differ in its last digit.
_EXACT: Final = Context(prec=28)


def micronats(amount: int) -> int:
    """Millionths of the natural logarithm: amounts are spread evenly by factors, not by differences."""
    return int((_EXACT.ln(Decimal(amount)) * MICRO).to_integral_value())


class Habit(Part):
    """How large amounts of one channel and one currency are, as a rule."""

    seen: int = 0  # amounts, MEMORY at most
    mean: int = 0  # micronats
    variance: int = 0  # millionths of a square nat
    largest: int = 0  # minor units
    last: UtcTime

    @property
    def is_known(self) -> bool:
        """Whether enough was seen to call it a habit."""
        return self.seen >= ENOUGH

    @property
    def deviation(self) -> int:
        """Micronats, at least LEAST_DEVIATION."""
        return max(LEAST_DEVIATION, isqrt(self.variance * MICRO))

    @property
    def usual(self) -> int:
        """The usual amount, in minor units: the geometric mean. At least 1."""
        return max(1, int(_EXACT.exp(Decimal(self.mean) / MICRO).to_integral_value()))

    def above(self, amount: int) -> int:
        """How far an amount lies above the habit, in tenths of a deviation; negative, if below."""
        return (micronats(amount) - self.mean) * 10 // self.deviation

    def after(self, amount: int, at: datetime) -> "Habit":
        """The habit with one more amount.

        Mean and variance are those of all amounts at first, then exponentially weighted (T. Finch: Incremental
        calculation of weighted mean and variance. University of Cambridge, 2009, sections 3 and 9).
        """
        difference, large = micronats(amount) - self.mean, amount
        if self.is_known:
            most = MOST_LEARNED * self.deviation
            difference = max(-most, min(most, difference))
            large = min(amount, self.largest + self.largest // _GROWS + 1)
        seen = min(self.seen + 1, MEMORY)
        return Habit(
            seen=seen,
            mean=self.mean + difference // seen,
            variance=(seen - 1) * (seen * self.variance + difference**2 // MICRO) // seen**2,
            largest=max(large, self.largest - self.largest // _FADES),
            last=max(self.last, at),
        )


class Recent(Part):
    """A payment of the last hour."""

    at: UtcTime
    amount: int
    currency: str
    merchant: str = ""


class Whereabouts(Part):
    """Where the newest payment was made that had a place."""

    latitude: int  # microdegrees
    longitude: int
    at: UtcTime

    def kilometres_to(self, other: "Whereabouts") -> int:
        """The great-circle distance."""
        return kilometres(self.latitude, self.longitude, other.latitude, other.longitude)


class Profile(State, table="fraud-profiles", key="account_id"):
    """What is remembered of one account. Money that comes in leaves no trace in it.

    `habits` are by channel and currency: `card:EUR`. Amounts of two currencies are never compared, and a rent is no
    measure for groceries. `countries` tell when each was seen last, those of shops on the net apart (see `country`):
    to buy from somewhere is not to be there. What has not been used for longest makes room.
    """

    account_id: str
    habits: dict[str, Habit] = {}
    countries: dict[str, UtcTime] = {}
    recent: tuple[Recent, ...] = ()  # by time
    last: Whereabouts | None = None
    suspected: UtcTime | None = None  # when the newest payment was made that was suspected

    def habit(self, transaction: Transaction) -> Habit | None:
        """The habit that the transaction is to be measured by, if there is one yet."""
        habit = self.habits.get(_kind(transaction))
        return habit if habit and habit.is_known else None

    def countries_like(self, name: str) -> list[str]:
        """The countries where the account has paid before in the same way: by being there, or from afar."""
        return [each for each in self.countries if each.endswith(_FROM_AFAR) == name.endswith(_FROM_AFAR)]

    def after(self, transaction: Transaction, *, suspected: bool) -> "Profile":
        """The profile with one more payment.

        A late one counts for habits as any other, and takes the place of nothing that is newer. One that is suspected
        may be somebody else's: it makes no country known, and says nothing of where the customer is.
        """
        learned = self.evolve(habits=self._habits_after(transaction), recent=self._recent_after(transaction))
        if suspected:
            return learned.evolve(suspected=max(transaction.posted_at, self.suspected or transaction.posted_at))
        return learned.evolve(countries=self._countries_after(transaction), last=self._last_after(transaction))

    def _habits_after(self, transaction: Transaction) -> dict[str, Habit]:
        kind, at = _kind(transaction), transaction.posted_at
        habit = self.habits.get(kind) or Habit(last=at)
        habits = {**self.habits, kind: habit.after(transaction.amount, at)}
        return _newest(habits, MOST_HABITS, lambda habit: habit.last)

    def _countries_after(self, transaction: Transaction) -> dict[str, datetime]:
        where, at = country(transaction), transaction.posted_at
        if where is None:
            return self.countries
        seen = max(at, self.countries.get(where, at))
        return _newest({**self.countries, where: seen}, MOST_COUNTRIES, lambda seen: seen)

    def _recent_after(self, transaction: Transaction) -> tuple[Recent, ...]:
        merchant = transaction.merchant.merchant_id if transaction.merchant else ""
        this = Recent(
            at=transaction.posted_at, amount=transaction.amount, currency=transaction.currency, merchant=merchant
        )
        by_time = sorted((*self.recent, this), key=lambda each: each.at)
        return tuple(each for each in by_time[-MOST_RECENT:] if each.at >= by_time[-1].at - RECENT)

    def _last_after(self, transaction: Transaction) -> Whereabouts | None:
        here = whereabouts(transaction)
        if here is None or (self.last and self.last.at >= here.at):
            return self.last
        return here


def whereabouts(transaction: Transaction) -> Whereabouts | None:
    """Where the customer was, if the transaction tells: a transfer is made from anywhere, a shop on the net has no
    point.
    """
    where = transaction.where
    if where is None or where.latitude is None or where.longitude is None:
        return None
    return Whereabouts(
        latitude=round(where.latitude * MICRO), longitude=round(where.longitude * MICRO), at=transaction.posted_at
    )


def country(transaction: Transaction) -> str | None:
    """The country as a profile knows it: `AT`, and `AT?` where no point tells that anybody was there."""
    where = transaction.where
    if where is None:
        return None
    return where.country if where.latitude is not None else where.country + _FROM_AFAR


def _kind(transaction: Transaction) -> str:
    return f"{transaction.channel}:{transaction.currency}"


def _newest(several: Mapping[str, V], most: int, last: Callable[[V], datetime]) -> dict[str, V]:
    """So many of them, those that were used last. Of equals the first by name goes, so that it is always the same."""
    by_use = sorted(several, key=lambda name: (last(several[name]), name))
    return {name: several[name] for name in sorted(by_use[-most:])}
