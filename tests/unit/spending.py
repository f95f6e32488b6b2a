"""An account and what is paid from it. Times are seconds after the test's own noon, amounts minor units."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from events.accounts import Place, TransactionPosted
from events.fraud import FraudSuspected, Reason
from functions.fraud import score_transaction
from functions.fraud.profile import Profile
from functions.fraud.rules import judge, score, threshold
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86_400.0
ACCOUNT = "acc-7f3e"

VIENNA = Place(country="AT", city="Wien", latitude=48.2082, longitude=16.3738)
GRAZ = Place(country="AT", city="Graz", latitude=47.0707, longitude=15.4395)
BRATISLAVA = Place(country="SK", city="Bratislava", latitude=48.1486, longitude=17.1077)
SAO_PAULO = Place(country="BR", city="São Paulo", latitude=-23.5505, longitude=-46.6333)
ON_THE_NET = Place(country="AT")

_numbers = count(1)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def a_payment(
    seconds: float = 0, amount: int = 4250, *, place: Place = VIENNA, merchant: str = "m-1", **other: Any
) -> TransactionPosted:
    """A payment by card in Vienna, unless told."""
    shop = {"merchant_id": merchant, "mcc": "5411", "place": place}
    return _a_transaction(seconds, amount, channel="card", merchant=shop, **other)


def a_transfer(seconds: float = 0, amount: int = 4250, **other: Any) -> TransactionPosted:
    """A transfer to the landlord, unless told."""
    whom = {"name": "Grace Hopper", "account": "AT611904300234573201", "country": "AT"}
    return _a_transaction(seconds, amount, channel="transfer", **{"counterparty": whom, **other})


def some_cash(seconds: float = 0, amount: int = 10000, *, place: Place = VIENNA, **other: Any) -> TransactionPosted:
    return _a_transaction(seconds, amount, channel="cash", place=place, **other)


def _a_transaction(seconds: float, amount: int, **other: Any) -> TransactionPosted:
    usual: dict[str, Any] = {
        "authorisation_id": f"A-{next(_numbers)}",
        "account_id": ACCOUNT,
        "customer_id": "cus-19b2",
        "opened_on": date(2019, 4, 1),
        "direction": "debit",
        "amount": amount,
        "currency": "EUR",
        "posted_at": at(seconds),
    }
    return TransactionPosted.model_validate(usual | other)


def lived(*payments: TransactionPosted) -> Profile:
    """What is remembered of these payments, of which none was suspected."""
    profile = Profile.blank(ACCOUNT)
    for payment in payments:
        profile = profile.after(payment, suspected=False)
    return profile


def a_month(amount: int = 4250, *, number: int = 30, **other: Any) -> list[TransactionPosted]:
    """One payment a day up to the day before noon, of amounts that are a tenth more and less than the usual."""
    amounts = [amount, amount * 11 // 10, amount * 10 // 11]
    return [a_payment(-DAY * (number - day), amounts[day % 3], **other) for day in range(number)]


def names(reasons: Sequence[Reason]) -> list[str]:
    return [reason.name for reason in reasons]


def figures(reason: Reason | None) -> dict[str, int]:
    """What it rests on, by what that is."""
    assert reason
    return {figure.what: figure.value for figure in reason.rests_on}


def suspects(payments: Sequence[TransactionPosted]) -> list[str]:
    """The authorisations that the rules find suspicious, when the payments come in this order, without any of AWS."""
    profile, found = Profile.blank(ACCOUNT), []
    for payment in payments:
        suspected = score(judge(profile, payment)) >= threshold(profile, payment)
        found += [payment.authorisation_id] if suspected else []
        profile = profile.after(payment, suspected=suspected)
    return found


class Account:
    """One account in the world."""

    def __init__(self, world: World, account_id: str = ACCOUNT) -> None:
        self.world = world
        self.account_id = account_id
        self.stream = f"account/{account_id}"

    def records(self, *payments: TransactionPosted) -> list[Envelope]:
        """Append the payments to the account's stream; nobody hears of them yet. Ids tell of the authorisation."""
        last = next(iter(self.world.stream(self.stream)[-1:]), None)
        made: list[Envelope] = []
        for payment in payments:
            last = recorded(payment, after=last, id=f"e-{payment.authorisation_id}", now=clock.timestamp(NOON))
            made.append(last)
        self.world.append(*made)
        return made

    def pays(self, *payments: TransactionPosted) -> list[Envelope]:
        """Append each payment and deliver it, before the next one is made."""
        made: list[Envelope] = []
        for payment in payments:
            made += self.records(payment)
            assert self.world.deliver(score_transaction.handler, Message(from_the_bus(made[-1]))) == []
        return made

    @property
    def profile(self) -> Profile:
        return self.world.row(Profile, self.account_id) or Profile.blank(self.account_id)

    def suspicions(self) -> list[FraudSuspected]:
        events = self.world.events(f"suspicion/{self.account_id}")
        return [event for event in events if isinstance(event, FraudSuspected)]

    def left(self) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """All that is left of it: the rows, and the suspicions by id."""
        told = self.world.stream(f"suspicion/{self.account_id}")
        return self.world.items("fraud-profiles"), [(each.metadata.id, each.data) for each in told]
