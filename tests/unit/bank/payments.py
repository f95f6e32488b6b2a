"""An account and its payments. Times are seconds after NOON, amounts are minor units."""

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
ONLINE = Place(country="AT")

_numbers = count(1)


def at(seconds: float) -> datetime:
    """This number of seconds after NOON."""
    return NOON + timedelta(seconds=seconds)


def a_payment(
    seconds: float = 0, amount: int = 4250, *, place: Place = VIENNA, merchant: str = "", **other: Any
) -> TransactionPosted:
    """A payment by card; by default in Vienna. There is one merchant in each place, unless it is given."""
    shop = {"merchant_id": merchant or f"m-{place.country}-{place.latitude}", "mcc": "5411", "place": place}
    return _a_transaction(seconds, amount, channel="card", merchant=shop, **other)


def a_transfer(seconds: float = 0, amount: int = 4250, *, payee: str = "", **other: Any) -> TransactionPosted:
    """A transfer; by default to one landlord."""
    landlord = {"name": "Grace Hopper", "account": "AT611904300234573201", "country": "AT"}
    return _a_transaction(
        seconds, amount, channel="transfer", counterparty={"name": payee} if payee else landlord, **other
    )


def a_credit(seconds: float, amount: int, sender: str = "Ada Lovelace", **other: Any) -> TransactionPosted:
    """A transfer to the account."""
    return a_transfer(seconds, amount, payee=sender, direction="credit", **other)


def some_cash(seconds: float = 0, amount: int = 10000, *, place: Place = VIENNA, **other: Any) -> TransactionPosted:
    return _a_transaction(seconds, amount, channel="cash", place=place, **other)


def _a_transaction(seconds: float, amount: int, **other: Any) -> TransactionPosted:
    defaults: dict[str, Any] = {
        "authorisation_id": f"A-{next(_numbers)}",
        "account_id": ACCOUNT,
        "customer_id": "cus-19b2",
        "opened_on": date(2019, 4, 1),
        "direction": "debit",
        "amount": amount,
        "currency": "EUR",
        "posted_at": at(seconds),
    }
    return TransactionPosted.model_validate(defaults | other)


def profile_after(*payments: TransactionPosted, before: Profile | None = None) -> Profile:
    """The profile after these payments and credits, of which none was suspected."""
    profile = before or Profile.blank(ACCOUNT)
    for payment in payments:
        credit = payment.direction == "credit"
        profile = profile.after_credit(payment) if credit else profile.after(payment, suspected=False)
    return profile


def a_month(amount: int = 4250, *, number: int = 30, **other: Any) -> list[TransactionPosted]:
    """One payment a day, up to the day before NOON. Amounts differ from `amount` by up to a tenth."""
    amounts = [amount, amount * 11 // 10, amount * 10 // 11]
    return [a_payment(-DAY * (number - day), amounts[day % 3], **other) for day in range(number)]


def reason_names(reasons: Sequence[Reason]) -> list[str]:
    return [reason.name for reason in reasons]


def figures(reason: Reason | None) -> dict[str, int]:
    """The values of its figures, by name."""
    assert reason
    return {figure.name: figure.value for figure in reason.figures}


def suspected_ids(payments: Sequence[TransactionPosted]) -> list[str]:
    """The ids of the payments that the rules alone suspect, in this order of payments."""
    profile, found = Profile.blank(ACCOUNT), []
    for payment in payments:
        if payment.direction == "credit":
            profile = profile.after_credit(payment)
            continue
        suspected = score(judge(profile, payment)) >= threshold(profile, payment)
        found += [payment.authorisation_id] if suspected else []
        profile = profile.after(payment, suspected=suspected)
    return found


class Account:
    """One account in a world."""

    def __init__(self, world: World, account_id: str = ACCOUNT) -> None:
        self.world = world
        self.account_id = account_id
        self.stream = f"account/{account_id}"

    def records(self, *payments: TransactionPosted) -> list[Envelope]:
        """Append the payments to the account's stream, without delivery. Event ids contain the authorisation id."""
        last = next(iter(self.world.stream(self.stream)[-1:]), None)
        made: list[Envelope] = []
        for payment in payments:
            last = recorded(payment, after=last, id=f"e-{payment.authorisation_id}", now=clock.timestamp(NOON))
            made.append(last)
        self.world.append(*made)
        return made

    def pays(self, *payments: TransactionPosted) -> list[Envelope]:
        """Append and deliver the payments one by one."""
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

    def stored(self) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """The rows of profiles, and the ids and data of suspicions."""
        suspicions = self.world.stream(f"suspicion/{self.account_id}")
        return self.world.items("fraud-profiles"), [(each.metadata.id, each.data) for each in suspicions]
