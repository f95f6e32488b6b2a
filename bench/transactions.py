"""Generated transactions of bank accounts, each labelled as ordinary or as part of a kind of fraud.

Real bank data cannot be in a repository, so these transactions are generated:

* **Customers with habits.** Each has a home town, favourite shops, and an own level of amounts for every kind of shop,
  with a log-normal spread. They pay by card several times a week to several times a day, more on Saturdays, rarely at
  night; withdraw cash; pay rent, bills, friends and craftsmen by transfer; receive a salary and money from friends; and
  have online subscriptions. Most online payments go to a few merchants. The town decides the currency; abroad, half of
  the shops use the customer's own.
* **Unusual but not fraud.** Some large purchases per year, 5 to 40 times the usual amount; cars, deposits and
  renovations by transfer to new payees; a summer holiday with its booking and hotel, and business trips, with realistic
  flight times; evenings with a payment every few minutes, out or online; Black Friday week, with more and larger
  payments to more merchants; friends who send their shares of a trip, which is then paid to a new payee; things sold
  second-hand; a new job, after which all amounts change; shops whose terminal is registered in another town; online
  shops with the coordinates of their office; places without coordinates; transactions that do not say whether the card
  was present, and transactions that are posted hours to days late, so that they arrive out of order.
* **Frauds**, of randomly chosen customers:
  `stolen`: a stolen card pays in the same town for some hours, contactless and online;
  `skimmed`: a copied card pays and withdraws cash in another country while its owner pays at home;
  `tested`: tiny online payments at several merchants within minutes, then one to four large ones;
  `slow`: for weeks, every few days, a usual amount at an online merchant;
  `takeover`: someone else signs in, and sends one to four transfers to a new payee;
  `pushed`: the customer is deceived into a transfer to a new payee, most often for a purchase, sometimes for much more;
  `mule`: the account receives money of several victims, and sends most of it to a new payee, or withdraws it.
  A third of the fraudsters are careful: they stay in the country, use the owner's usual amounts, and wait between two
  payments.

Differences from reality, and their effect:

* Frauds are 0.2 to 0.5 % of debits. In reality there are fewer: 0.015 % of card payments in the European Economic Area
  (EBA and ECB: 2024 report on payment fraud; first half of 2023). With a twentieth of the frauds and as many false
  alerts, a precision of 20 % becomes 1.2 %. The share of ordinary payments that are suspected does not depend on this.
* The author knew the rules. The numbers here were set before the rules were first run on them, and were not changed.
  Weights of the rules were then chosen on seeds 1 to 8. Other seeds show how well the rules do, but only for customers
  and fraudsters generated in the same way, none of whom knows the rules.
* A suspicion stops nothing, so a fraudster continues after it, and a victim's owner continues to use a stolen card.
* No merchant is an accomplice, and nobody else uses the card with the owner's permission.
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

Kind = Literal["ordinary", "stolen", "skimmed", "tested", "slow", "takeover", "pushed", "mule"]
FRAUDS: Final[tuple[Kind, ...]] = ("stolen", "skimmed", "tested", "slow", "takeover", "pushed", "mule")
_SHARES: Final = (15, 15, 25, 5, 12, 20, 8)  # of the cases, in percent; our own choice
_VICTIMS: Final = 0.3  # of the customers in half a year, so that 0.2 to 0.5 % of debits are frauds

BEGIN: Final = datetime(2026, 6, 1, tzinfo=UTC)
DAYS: Final = 183  # June to November
_SALES: Final = (datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))  # Black Friday is the 27th
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
    shops: tuple[int, ...] = ()  # the numbers of a town's shops, in this customer's order of preference

    def transactions(self) -> list[Labelled]:
        """The transactions of half a year."""
        rng = self.rng
        self.home = rng.choice(_HOMES)
        self.level = math.exp(rng.gauss(0, 0.35))
        self.new_job = BEGIN + rng.uniform(0.2, 6) * DAYS * _DAY
        self.raise_ = math.exp(rng.gauss(0.2, 0.4))
        self.shops = tuple(rng.sample(range(40), 40))
        self._travel()
        a_day = math.exp(rng.gauss(0.5, 0.5))
        subscriptions = [(rng.randrange(28), rng.uniform(5, 30)) for _ in range(rng.randrange(5))]
        rent, bills = rng.uniform(500, 1400), [rng.uniform(20, 150) for _ in range(rng.randrange(2, 6))]
        salary, sells = rng.uniform(1_400, 4_500), rng.random() < 0.05
        for day in range(DAYS):
            begin = BEGIN + day * _DAY
            self._shops(begin, a_day * (1.6 if begin.weekday() == 5 else 1.0) * (1.5 if _is_sale(begin) else 1.0))
            for due, euros in subscriptions:
                if begin.day == due + 1:
                    self._on_the_net(begin + timedelta(hours=4), euros, merchant=f"net-{due}-{self.number}")
            if begin.day == 2:
                for payee, euros in enumerate((rent, *bills)):
                    self._transfer(begin + timedelta(hours=6), euros * rng.uniform(0.95, 1.05), f"bill {payee}")
            if begin.day == 28:
                self._receive(begin + timedelta(hours=5), salary, "employer")
            if rng.random() < 0.12:
                self._cash(begin + timedelta(hours=rng.uniform(9, 20)), rng.choice((20, 50, 100, 100, 200)))
            self._friends(begin, sells=sells)
            self._new_payees(begin)
        if rng.random() < _VICTIMS:
            self._add_fraud(rng.choices(FRAUDS, _SHARES)[0])
        return [labelled for _, labelled in sorted(self.made, key=lambda each: each[0])]

    # --- ordinary transactions ---------------------------------------------------------------------------------------

    def _travel(self) -> None:
        rng, at = self.rng, BEGIN
        self.stays = [_Stay(BEGIN - _DAY, self.home)]
        summer = BEGIN + timedelta(days=rng.uniform(30, 90)) if rng.random() < 0.7 else None
        while True:
            at += timedelta(days=rng.expovariate(1 / 60))
            nights = rng.choice((1, 2, 3, 5, 7, 10, 14))
            if summer and at > summer - 15 * _DAY:
                at, summer, nights = max(at, summer), None, rng.choice((7, 10, 14))
            if at > BEGIN + (DAYS - 20) * _DAY:
                return
            town = rng.randrange(_NEAR) if rng.random() < 0.75 else rng.randrange(len(_TOWNS))
            way = self._flight(self.home, town)
            back = at + way + nights * _DAY
            self.stays += [_Stay(at + way, town), _Stay(back, self.home)]
            self._on_the_net(
                at - timedelta(days=rng.uniform(2, 60)),
                self._own(80) * rng.uniform(1, 5),
                merchant=f"fly-{rng.randrange(9)}",
            )
            if town != self.home:
                place = self._place(town, exact=True)
                hotel = Merchant(merchant_id=f"hotel-{town}-{rng.randrange(30)}", mcc="7011", place=place)
                self._pay(
                    back - way - timedelta(hours=2), self._own(70) * nights, town, merchant=hotel, card_present=True
                )
            at = back + way

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
            if rng.random() < (0.3 if _is_sale(begin) else 0.12):
                self._buy_online(at)
            else:
                self._shop(at)
        if rng.random() < 0.015:  # an evening out
            at = begin + timedelta(hours=20)
            for _ in range(rng.randrange(4, 9)):
                self._shop(at, euros=self._own(7) * math.exp(rng.gauss(0, 0.4)))
                at += timedelta(minutes=rng.uniform(2, 30))
        if rng.random() < (0.08 if _is_sale(begin) else 0.01):  # an evening of shopping online
            at = begin + timedelta(hours=rng.uniform(18, 21))
            for _ in range(rng.randrange(2, 6)):
                self._buy_online(at)
                at += timedelta(minutes=rng.uniform(2, 40))
        if rng.random() < 0.015:  # a sofa, a flight, a new bicycle
            self._shop(begin + timedelta(hours=rng.uniform(10, 18)), euros=self._own(30) * rng.uniform(5, 40))

    def _buy_online(self, at: datetime) -> None:
        rng = self.rng
        favourite = rng.random() < (0.5 if _is_sale(at) else 0.75)
        merchant = f"net-{self.shops[rng.randrange(8)]}" if favourite else f"net-{rng.randrange(4_000)}"
        larger = 1.5 if _is_sale(at) else 1.0
        self._on_the_net(at, self._own(35) * larger * math.exp(rng.gauss(0, 0.8)), merchant=merchant)

    def _friends(self, begin: datetime, *, sells: bool) -> None:
        """Small transfers to and from friends, a trip that is paid together, and things sold second-hand."""
        rng = self.rng
        at = begin + timedelta(hours=rng.uniform(8, 20))
        if rng.random() < 0.03:
            self._transfer(at, math.exp(rng.gauss(3.5, 0.8)), f"friend {rng.randrange(8)}")
        if rng.random() < 0.04:
            self._receive(at, math.exp(rng.gauss(3.3, 0.8)), f"friend {rng.randrange(8)}")
        if sells and rng.random() < 0.3:
            self._receive(at, math.exp(rng.gauss(3.3, 0.8)), f"buyer {begin:%j}")
        if rng.random() < 0.001:
            share, friends = rng.uniform(50, 250), rng.randrange(3, 7)
            for friend in range(friends):
                self._receive(at + timedelta(hours=rng.uniform(0, 40)), share, f"friend {friend}")
            self._transfer(at + timedelta(hours=rng.uniform(40, 70)), share * (friends + 1), f"trip {begin:%j}")

    def _new_payees(self, begin: datetime) -> None:
        """Transfers to payees that are paid once: invoices, and rarely a car, a deposit or a renovation."""
        rng = self.rng
        at = begin + timedelta(hours=rng.uniform(8, 22))
        if rng.random() < 0.025:
            self._transfer(at, math.exp(rng.gauss(4.8, 1.0)), f"invoice {begin:%j}")
        if rng.random() < 0.0022:
            euros = 1_500 * 10 ** rng.uniform(0, 1)
            for part in range(rng.choice((1, 1, 2, 3))):
                self._transfer(at + part * rng.uniform(5, 30) * _DAY, euros, f"large {begin:%j}")

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
        shop = Merchant(merchant_id=f"m-{town}-{mcc}-{self.shops[int(40 * rng.random() ** 3)]}", mcc=mcc, place=place)
        self._pay(at, euros, town, merchant=shop, card_present=True)

    def _on_the_net(self, at: datetime, euros: float, *, merchant: str = "", part_of: PartOf = NOTHING) -> None:
        rng = self.rng
        country = rng.choice(_NET) if rng.random() < 0.5 else _TOWNS[self.home][0]
        place = Place(country=country)
        if rng.random() < 0.2:  # some senders add the coordinates of an office
            offices = [number for number, town in enumerate(_TOWNS) if town[0] == country]
            place = self._place(rng.choice(offices), exact=True) if offices else place
        shop = Merchant(merchant_id=merchant or f"net-{rng.randrange(4_000)}", mcc="5999", place=place)
        self._pay(at, euros, self.home, merchant=shop, part_of=part_of, card_present=False)

    def _cash(self, at: datetime, euros: float) -> None:
        if (town := self._town(at)) is not None:
            self._pay(at, euros, town, channel="cash", place=self._place(town, exact=True))

    def _transfer(self, at: datetime, euros: float, payee: str, *, part_of: PartOf = NOTHING) -> None:
        partner = Counterparty(name=payee)
        self._pay(at, euros, self.home, channel="transfer", counterparty=partner, part_of=part_of)

    def _receive(self, at: datetime, euros: float, sender: str) -> None:
        partner = Counterparty(name=sender)
        self._pay(at, euros, self.home, channel="transfer", direction="credit", counterparty=partner)

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
            case "skimmed":
                self._skimmed(at, careful=careful, part_of=part_of)
            case "takeover":
                for _ in range(rng.randrange(1, 5)):
                    euros = rng.uniform(300, 900) if careful else math.exp(rng.gauss(7.5, 0.8))
                    self._transfer(at, euros, "thief", part_of=part_of)
                    at += timedelta(hours=rng.uniform(12, 48) if careful else rng.uniform(0.02, 2))
            case "pushed":
                much = rng.random() < 0.35
                for _ in range(rng.randrange(1, 4) if much else 1):
                    euros = math.exp(rng.gauss(7.8, 0.8) if much else rng.gauss(5.2, 0.8))
                    self._transfer(at, euros, "impostor", part_of=part_of)
                    at += timedelta(hours=rng.uniform(0.2, 48))
            case "mule":
                self._mule(at, careful=careful, part_of=part_of)
            case _:
                for _ in range(rng.randrange(8, 25)):
                    self._on_the_net(
                        at, self._own(25) * math.exp(rng.gauss(0, 0.5)), merchant="net-slow", part_of=part_of
                    )
                    at += timedelta(days=rng.uniform(0.5, 4))

    def _stolen(self, at: datetime, *, careful: bool, part_of: PartOf) -> None:
        rng = self.rng
        for _ in range(rng.randrange(3, 9)):
            if rng.random() < 0.2:
                self._on_the_net(at, self._own(50) * math.exp(rng.gauss(0, 0.6)), part_of=part_of)
            else:  # without a PIN, contactless payments are limited
                euros = rng.uniform(15, 50) if careful or rng.random() < 0.7 else self._own(60) * rng.uniform(1, 8)
                self._buy_in_person(at, euros, self.home, part_of=part_of)
            at += timedelta(hours=rng.uniform(1, 8) if careful else rng.uniform(0.05, 1))

    def _skimmed(self, at: datetime, *, careful: bool, part_of: PartOf) -> None:
        rng = self.rng
        own = _TOWNS[self.home][0]
        towns = [number for number, town in enumerate(_TOWNS) if (town[0] == own) is careful or number == self.home]
        town = rng.choice([number for number in towns if number != self.home] or towns)
        for _ in range(rng.randrange(2, 8)):
            if rng.random() < 0.35:
                place = self._place(town, exact=True)
                self._pay(at, rng.choice((100, 200, 300, 400)), town, channel="cash", place=place, part_of=part_of)
            else:
                euros = self._own(30) * math.exp(rng.gauss(0, 0.6)) * (1 if careful else rng.uniform(1, 12))
                self._buy_in_person(at, euros, town, part_of=part_of)
            at += timedelta(hours=rng.uniform(3, 20) if careful else rng.uniform(0.1, 1.5))

    def _buy_in_person(self, at: datetime, euros: float, town: int, *, part_of: PartOf) -> None:
        place = self._place(town, exact=True)
        shop = Merchant(merchant_id=f"m-{town}-{self.rng.randrange(99)}", mcc="5732", place=place)
        self._pay(at, euros, town, merchant=shop, part_of=part_of, card_present=True)

    def _mule(self, at: datetime, *, careful: bool, part_of: PartOf) -> None:
        rng, received = self.rng, 0.0
        for victim in range(rng.randrange(2, 4) if careful else rng.randrange(3, 8)):
            euros = math.exp(rng.gauss(6.2, 0.7))
            self._receive(at, euros, f"victim {victim}")
            received += euros
            at += timedelta(hours=rng.uniform(0.5, 20 if careful else 8))
        parts = rng.randrange(1, 4)
        for _ in range(parts):
            at += timedelta(hours=rng.uniform(0.5, 12))
            euros = received * rng.uniform(0.6, 0.95) / parts
            if rng.random() < 0.3:
                place = self._place(self.home, exact=True)
                self._pay(at, min(euros, 1_000), self.home, channel="cash", place=place, part_of=part_of)
            else:
                self._transfer(at, euros, "organiser", part_of=part_of)

    def _tested(self, at: datetime, *, careful: bool, part_of: PartOf) -> None:
        rng = self.rng
        for _ in range(rng.randrange(1, 3) if careful else rng.randrange(3, 10)):
            self._on_the_net(at, rng.uniform(0.5, 3), part_of=part_of)
            at += timedelta(minutes=rng.uniform(1, 8))
        at += timedelta(hours=rng.uniform(2, 30)) if careful else timedelta(minutes=rng.uniform(2, 40))
        for _ in range(rng.randrange(1, 5)):
            self._on_the_net(at, rng.uniform(60, 250) if careful else rng.uniform(100, 1_500), part_of=part_of)
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
        direction: Literal["debit", "credit"] = "debit",
        card_present: bool | None = None,
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
            direction=direction,
            amount=amount,
            currency=currency,
            channel=channel,
            merchant=merchant,
            place=place,
            counterparty=counterparty,
            card_present=card_present if rng.random() < 0.95 else None,
            posted_at=at,
        )
        self.made.append((recorded, Labelled(transaction, part_of.kind, part_of.case)))


def _is_sale(at: datetime) -> bool:
    return _SALES[0] <= at < _SALES[1]


def _poisson(rng: Random, expected: float) -> int:
    """A Poisson-distributed number (D. E. Knuth: The Art of Computer Programming, volume 2, 3.4.1)."""
    number, product, limit = 0, rng.random(), math.exp(-expected)
    while product > limit:
        number, product = number + 1, product * rng.random()
    return number
