"""Generated transactions of bank accounts, each labelled as ordinary or as part of a kind of fraud.

Real bank data cannot be in a repository, so these transactions are generated:

* **Customers with habits.** Each has a home town, some shops, and an own level of amounts for every kind of shop, with
  a log-normal spread. They pay by card several times a week to several times a day, more on Saturdays, rarely at night;
  withdraw cash; pay rent and bills by transfer early in the month, all in one morning; and have online subscriptions,
  whose merchants have a country but no coordinates. The town decides the currency; abroad, half of the shops use the
  customer's own.
* **Unusual but not fraud.** Some large purchases per year, 5 to 40 times the usual amount; holidays (mostly in summer)
  and business trips, with realistic flight times; evenings with a payment every few minutes; December; a new job, after
  which all amounts change; shops whose terminal is registered in another town; places without coordinates; transactions
  that are posted hours to days late, so that they arrive out of order.
* **Frauds**, of randomly chosen customers:
  `stolen`: a copied card pays in another country for some hours while its owner pays at home;
  `tested`: tiny online payments at several merchants within minutes, then one to three large ones;
  `takeover`: one to four transfers of large amounts;
  `skimmed`: for weeks, every few days, a usual amount at an online merchant.
  A third of the fraudsters are careful: they stay in the country, use the owner's usual amounts, and wait between two
  payments.

Differences from reality, and their effect:

* One customer in eight is a victim within half a year: far more than in reality, so precision looks better than it
  would be. The share of ordinary payments that are suspected does not depend on this.
* The author knew the rules. The numbers here were set before the rules were first run on them, and were not changed.
  The rules were then changed on seeds 1 and 2, because a limit on amounts did better. Other seeds show how well the
  rules do, but only for customers and fraudsters generated in the same way, none of whom knows the rules.
* Ordinary customers rarely pay more than 1,500 EUR at once. With cars and deposits, a limit on amounts would do worse.
* No merchant is an accomplice, no account is a mule account, nobody else uses the card with the owner's permission.
* Labels are certain. In reality, an unnoticed fraud is labelled ordinary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from daybook.contracts.values import MINOR_UNIT_DIGITS
from events.accounts import Counterparty, Merchant, Place, TransactionPosted

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["ordinary", "stolen", "tested", "takeover", "skimmed"]
FRAUDS: Final[tuple[Kind, ...]] = ("stolen", "tested", "takeover", "skimmed")

BEGIN: Final = datetime(2026, 5, 1, tzinfo=UTC)
DAYS: Final = 184  # May to October
_DAY: Final = timedelta(days=1)

# Approximate exchange rates to euros, to calculate losses. The rules do not see them.
IN_EUROS: Final = {
    "EUR": 1.0,
    "CHF": 1.05,
    "GBP": 1.17,
    "USD": 0.92,
    "JPY": 0.0061,
    "KWD": 3.0,
    "BRL": 0.17,
    "AUD": 0.6,
}
_CURRENCIES: Final = {"CH": "CHF", "GB": "GBP", "US": "USD", "JP": "JPY", "KW": "KWD", "BR": "BRL", "AU": "AUD"}

# Country, town, latitude, longitude.
_TOWNS: Final = (
    ("AT", "Wien", 48.21, 16.37),
    ("AT", "Graz", 47.07, 15.44),
    ("AT", "Linz", 48.31, 14.29),
    ("DE", "Berlin", 52.52, 13.40),
    ("DE", "München", 48.14, 11.58),
    ("FR", "Paris", 48.86, 2.35),
    ("IT", "Roma", 41.90, 12.50),
    ("ES", "Barcelona", 41.39, 2.17),
    ("PT", "Lisboa", 38.72, -9.14),
    ("GR", "Athina", 37.98, 23.73),
    ("CH", "Zürich", 47.38, 8.54),
    ("GB", "London", 51.51, -0.13),
    ("US", "New York", 40.71, -74.01),
    ("US", "San Francisco", 37.77, -122.42),
    ("JP", "Tokyo", 35.68, 139.69),
    ("KW", "Kuwait", 29.38, 47.99),
    ("BR", "São Paulo", -23.55, -46.63),
    ("AU", "Sydney", -33.87, 151.21),
)
_HOMES: Final = (0, 0, 0, 1, 2, 3, 3, 4, 5, 10, 11, 14, 15)  # most customers live near the bank
_NEAR: Final = 12  # the first towns, usual for holidays
_NET: Final = ("IE", "LU", "NL", "US", "GB", "DE")  # countries of online merchants

# Merchant category code, median euros, spread (of the logarithm), share.
_SHOPS: Final = (
    ("5411", 32.0, 0.6, 0.40),  # groceries
    ("5812", 24.0, 0.5, 0.20),  # restaurants
    ("5814", 6.0, 0.4, 0.15),  # cafés
    ("4111", 3.0, 0.3, 0.10),  # trams
    ("5541", 60.0, 0.3, 0.07),  # petrol
    ("5651", 70.0, 0.7, 0.08),  # clothes
)


@dataclass(frozen=True, slots=True)
class PartOf:
    """The kind of fraud and the case that a transaction is part of."""

    kind: Kind = "ordinary"
    case: str = ""


NOTHING: Final = PartOf()


@dataclass(frozen=True, slots=True)
class Labelled:
    """A transaction with its label, and its case of fraud; empty if it is ordinary."""

    transaction: TransactionPosted
    kind: Kind = "ordinary"
    case: str = ""

    @property
    def euros(self) -> float:
        """Its amount in euros."""
        digits = MINOR_UNIT_DIGITS[self.transaction.currency]
        return self.transaction.amount * 0.1**digits * IN_EUROS[self.transaction.currency]


def accounts(*, seed: int, customers: int) -> Iterator[list[Labelled]]:
    """The transactions of each account, in the order in which they are recorded. Reproducible by the seed."""
    for number in range(customers):
        yield _Customer(number, Random(f"{seed}/{number}")).transactions()  # noqa: S311 - nothing is kept secret by it


@dataclass(frozen=True, slots=True)
class _Stay:
    """The customer's town from a time on."""

    since: datetime
    town: int


@dataclass(slots=True)
class _Customer:
    number: int
    rng: Random
    made: list[tuple[datetime, Labelled]] = field(default_factory=list)  # by when they are recorded
    home: int = 0
    level: float = 1.0
    stays: list[_Stay] = field(default_factory=list)
    new_job: datetime = BEGIN
    raise_: float = 1.0
    count: int = 0

    def transactions(self) -> list[Labelled]:
        """The transactions of half a year."""
        rng = self.rng
        self.home = rng.choice(_HOMES)
        self.level = math.exp(rng.gauss(0, 0.35))
        self.new_job = BEGIN + rng.uniform(0.2, 6) * DAYS * _DAY
        self.raise_ = math.exp(rng.gauss(0.2, 0.4))
        self._travel()
        a_day = math.exp(rng.gauss(0.5, 0.5))
        subscriptions = [(rng.randrange(28), rng.uniform(5, 30)) for _ in range(rng.randrange(5))]
        rent, bills = rng.uniform(500, 1400), [rng.uniform(20, 150) for _ in range(rng.randrange(2, 6))]
        for day in range(DAYS):
            begin = BEGIN + day * _DAY
            self._shops(begin, a_day * (1.6 if begin.weekday() == 5 else 1.0) * (1.4 if begin.month == 10 else 1.0))
            for due, euros in subscriptions:
                if begin.day == due + 1:
                    self._on_the_net(begin + timedelta(hours=4), euros, merchant=f"net-{due}-{self.number}")
            if begin.day == 2:
                for euros in (rent, *bills):
                    self._transfer(begin + timedelta(hours=6), euros * rng.uniform(0.95, 1.05))
            if rng.random() < 0.12:
                self._cash(begin + timedelta(hours=rng.uniform(9, 20)), rng.choice((20, 50, 100, 100, 200)))
            if rng.random() < 0.04:
                self._transfer(begin + timedelta(hours=rng.uniform(8, 22)), math.exp(rng.gauss(4.5, 1.0)))
        if rng.random() < 1 / 8:
            self._add_fraud(rng.choice(FRAUDS))
        return [labelled for _, labelled in sorted(self.made, key=lambda each: each[0])]

    # --- ordinary transactions ---------------------------------------------------------------------------------------

    def _travel(self) -> None:
        rng, at = self.rng, BEGIN
        self.stays = [_Stay(BEGIN - _DAY, self.home)]
        while True:
            at += timedelta(days=rng.expovariate(1 / 60))
            if at > BEGIN + (DAYS - 20) * _DAY:
                return
            town = rng.randrange(_NEAR) if rng.random() < 0.75 else rng.randrange(len(_TOWNS))
            nights = rng.choice((1, 2, 3, 5, 7, 10, 14))
            way = self._flight(self.home, town)
            self.stays += [_Stay(at + way, town), _Stay(at + way + nights * _DAY, self.home)]
            at += 2 * way + nights * _DAY

    def _flight(self, one: int, other: int) -> timedelta:
        """The travel time: by air at 800 km/h, plus three hours."""
        (_, _, north, east), (_, _, north_there, east_there) = _TOWNS[one], _TOWNS[other]
        flat = math.hypot(north - north_there, min(abs(east - east_there), 360 - abs(east - east_there)))
        return timedelta(hours=3 + flat * 111 / 800)

    def _town(self, at: datetime) -> int | None:
        """The customer's town; None while travelling."""
        before = [stay for stay in self.stays if stay.since <= at]
        after = next((stay for stay in self.stays if stay.since > at), None)
        town = before[-1].town
        if after and after.town != town and at > after.since - self._flight(town, after.town):
            return None
        return town

    def _shops(self, begin: datetime, expected: float) -> None:
        rng = self.rng
        for _ in range(_poisson(rng, expected)):
            at = begin + timedelta(hours=min(23.5, max(6.5, rng.gauss(14.5, 4))))
            if rng.random() < 0.12:
                self._on_the_net(at, self._own(35) * math.exp(rng.gauss(0, 0.8)))
            else:
                self._shop(at)
        if rng.random() < 0.015:  # an evening out
            at = begin + timedelta(hours=20)
            for _ in range(rng.randrange(4, 9)):
                self._shop(at, euros=self._own(7) * math.exp(rng.gauss(0, 0.4)))
                at += timedelta(minutes=rng.uniform(2, 30))
        if rng.random() < 0.015:  # a sofa, a flight, a new bicycle
            self._shop(begin + timedelta(hours=rng.uniform(10, 18)), euros=self._own(30) * rng.uniform(5, 40))

    def _own(self, euros: float) -> float:
        return euros * self.level

    def _shop(self, at: datetime, euros: float | None = None) -> None:
        rng, town = self.rng, self._town(at)
        if town is None:
            return
        mcc, middle, spread, _ = rng.choices(_SHOPS, [shop[3] for shop in _SHOPS])[0]
        if euros is None:
            euros = self._own(middle) * math.exp(rng.gauss(0, spread))
        where = rng.randrange(len(_TOWNS)) if rng.random() < 0.003 else town  # registered elsewhere
        place = self._place(where, exact=rng.random() < 0.92)
        shop = Merchant(merchant_id=f"m-{town}-{mcc}-{rng.randrange(40)}", mcc=mcc, place=place)
        self._pay(at, euros, town, merchant=shop)

    def _on_the_net(self, at: datetime, euros: float, *, merchant: str = "", part_of: PartOf = NOTHING) -> None:
        rng = self.rng
        country = rng.choice(_NET) if rng.random() < 0.5 else _TOWNS[self.home][0]
        shop = Merchant(merchant_id=merchant or f"net-{rng.randrange(400)}", mcc="5999", place=Place(country=country))
        self._pay(at, euros, self.home, merchant=shop, part_of=part_of)

    def _cash(self, at: datetime, euros: float) -> None:
        if (town := self._town(at)) is not None:
            self._pay(at, euros, town, channel="cash", place=self._place(town, exact=True))

    def _transfer(self, at: datetime, euros: float, *, part_of: PartOf = NOTHING) -> None:
        self._pay(at, euros, self.home, channel="transfer", counterparty=Counterparty(name="Somebody"), part_of=part_of)

    # --- frauds ------------------------------------------------------------------------------------------------------

    def _add_fraud(self, kind: Kind) -> None:
        rng = self.rng
        at = BEGIN + timedelta(days=rng.uniform(30, DAYS - 30), hours=rng.uniform(0, 24))
        careful = rng.random() < 1 / 3
        part_of = PartOf(kind, f"{self.number}/{kind}")
        match kind:
            case "stolen":
                self._stolen(at, careful=careful, part_of=part_of)
            case "tested":
                self._tested(at, careful=careful, part_of=part_of)
            case "takeover":
                for _ in range(rng.randrange(1, 5)):
                    self._transfer(at, rng.uniform(300, 900) if careful else rng.uniform(1_500, 9_000), part_of=part_of)
                    at += timedelta(hours=rng.uniform(12, 48) if careful else rng.uniform(0.02, 2))
            case _:
                for _ in range(rng.randrange(8, 25)):
                    self._on_the_net(
                        at, self._own(25) * math.exp(rng.gauss(0, 0.5)), merchant="net-skim", part_of=part_of
                    )
                    at += timedelta(days=rng.uniform(0.5, 4))

    def _stolen(self, at: datetime, *, careful: bool, part_of: PartOf) -> None:
        rng = self.rng
        same_country = [number for number, town in enumerate(_TOWNS) if town[0] == _TOWNS[self.home][0]]
        town = rng.choice(same_country) if careful else rng.randrange(len(_TOWNS))
        for _ in range(rng.randrange(2, 8)):
            euros = self._own(30) * math.exp(rng.gauss(0, 0.6)) * (1 if careful else rng.uniform(1, 12))
            shop = Merchant(
                merchant_id=f"m-{town}-{rng.randrange(99)}", mcc="5732", place=self._place(town, exact=True)
            )
            self._pay(at, euros, town, merchant=shop, part_of=part_of)
            at += timedelta(hours=rng.uniform(3, 20) if careful else rng.uniform(0.1, 1.5))

    def _tested(self, at: datetime, *, careful: bool, part_of: PartOf) -> None:
        rng = self.rng
        for _ in range(rng.randrange(1, 3) if careful else rng.randrange(3, 10)):
            self._on_the_net(at, rng.uniform(0.5, 3), part_of=part_of)
            at += timedelta(minutes=rng.uniform(1, 8))
        at += timedelta(hours=rng.uniform(2, 30)) if careful else timedelta(minutes=rng.uniform(2, 40))
        for _ in range(rng.randrange(1, 4)):
            self._on_the_net(at, rng.uniform(60, 250) if careful else rng.uniform(150, 2_000), part_of=part_of)
            at += timedelta(minutes=rng.uniform(5, 60))

    # --- creating transactions ---------------------------------------------------------------------------------------

    def _place(self, town: int, *, exact: bool) -> Place:
        country, city, latitude, longitude = _TOWNS[town]
        if not exact:
            return Place(country=country, city=city)
        off = (self.rng.gauss(0, 0.03), self.rng.gauss(0, 0.03))
        return Place(country=country, city=city, latitude=latitude + off[0], longitude=longitude + off[1])

    def _pay(
        self,
        at: datetime,
        euros: float,
        town: int,
        *,
        part_of: PartOf = NOTHING,
        channel: Literal["card", "cash", "transfer"] = "card",
        merchant: Merchant | None = None,
        place: Place | None = None,
        counterparty: Counterparty | None = None,
    ) -> None:
        rng = self.rng
        own, there = (_CURRENCIES.get(_TOWNS[each][0], "EUR") for each in (self.home, town))
        currency = there if rng.random() < 0.5 else own
        if not part_of.case and channel == "card" and at > self.new_job:
            euros *= self.raise_
        amount = max(1, round(euros / IN_EUROS[currency] * 10 ** MINOR_UNIT_DIGITS[currency]))
        late = rng.random() < 0.03
        recorded = at + timedelta(hours=rng.uniform(2, 72) if late else rng.uniform(0, 0.002))
        self.count += 1
        transaction = TransactionPosted(
            authorisation_id=f"A-{self.number}-{self.count}",
            account_id=f"acc-{self.number}",
            customer_id=f"cus-{self.number}",
            opened_on=date(2019, 4, 1),
            direction="debit",
            amount=amount,
            currency=currency,
            channel=channel,
            merchant=merchant,
            place=place,
            counterparty=counterparty,
            posted_at=at,
        )
        self.made.append((recorded, Labelled(transaction, part_of.kind, part_of.case)))


def _poisson(rng: Random, expected: float) -> int:
    """A Poisson-distributed number (D. E. Knuth: The Art of Computer Programming, volume 2, 3.4.1)."""
    number, product, limit = 0, rng.random(), math.exp(-expected)
    while product > limit:
        number, product = number + 1, product * rng.random()
    return number
