"""Fraud, deployed: it suspects; while it is away, slow or fails nobody waits for it; and then it suspects the same."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.local.faults import ALWAYS, Every, Fault, Faults
from daybook.operate.subscriptions import Subscriptions
from daybook.store.ledger import COMMITTED
from events.accounts import TransactionPosted
from tests.deployed.deployed import Deployed, an_event, in_queue, paused, stock_received, unique
from tests.local.processes import until

FRAUD = "score-transaction"
WRITE: Any = {"function": FRAUD, "operation": "TransactWriteItems"}

VIENNA = {"country": "AT", "city": "Wien", "latitude": 48.2082, "longitude": 16.3738}
SAO_PAULO = {"country": "BR", "city": "São Paulo", "latitude": -23.5505, "longitude": -46.6333}

# A fixed moment, so that what is left of two accounts can be compared.
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)

# Seconds for each event of a life: long enough for all others to be done, short enough for the function's time-out.
SO_SLOW = 5.0

Mishap = Callable[[Deployed, Faults], AbstractContextManager[None]]


def test_a_card_that_is_in_two_places_at_once_is_suspected(system: Deployed) -> None:
    account = unique("acc")

    system.receives(*a_theft(account))

    (told,) = suspicions(system, account)
    assert told["authorisation_id"] == f"{account}.2"
    assert [reason["name"] for reason in told["reasons"]] == ["impossible_travel", "new_country"]
    assert told["score"] >= told["threshold"]
    assert profile(system, account)["countries"].keys() == {"AT"}


def test_what_is_suspected_of_an_account_is_no_part_of_its_own_stream(system: Deployed) -> None:
    account = unique("acc")

    system.receives(*a_theft(account))

    own = [envelope.metadata.type for envelope in system.connection.store.stream(f"account/{account}")]
    assert set(own) == {"TransactionPosted"}
    assert "FraudSuspected" in system.types(f"account/{account}")


@contextmanager
def stopped(system: Deployed, _: Faults) -> Iterator[None]:
    with paused(system, FRAUD):
        yield


@contextmanager
def slow(_: Deployed, faults: Faults) -> Iterator[None]:
    with faults.inject(Fault.delay(SO_SLOW, **WRITE, times=ALWAYS)):
        yield


@contextmanager
def failing(_: Deployed, faults: Faults) -> Iterator[None]:
    """Each event fails at its first try, and takes its time over that."""
    with faults.inject(Fault.delay(SO_SLOW, **WRITE, times=ALWAYS), Fault.denied(**WRITE, times=Every(2))):
        yield


@pytest.mark.parametrize("mishap", [stopped, slow, failing], ids=lambda mishap: str(mishap.__name__))
def test_while_fraud_is_in_trouble_nobody_waits_for_it_and_then_it_knows_and_suspects_the_same(
    system: Deployed, faults: Faults, mishap: Mishap
) -> None:
    usual, account = unique("acc"), unique("acc")
    system.finishes(*records(system, a_life(usual)))

    with mishap(system, faults):
        posted = records(system, a_life(account))
        (received,) = system.sends(stock_received(account, 3))
        until(lambda: all(is_done(system, event, others(system)) for event in posted), what="all others are done")
        until(lambda: is_done(system, received, ["receive-stock"]), what="other businesses go on")
        assert len(suspicions(system, account)) < 2, "fraud was not behind, so nobody could have waited for it"
    system.finishes(*posted)

    assert nameless(profile(system, account), account) == nameless(profile(system, usual), usual)
    told = nameless(suspicions(system, account), account)
    assert told == nameless(suspicions(system, usual), usual)
    assert len(told) == 2


def records(system: Deployed, events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Send events one behind the other, so that they are recorded in this order. Waits for nothing else."""
    return [recorded(system, event) for event in events]


def recorded(system: Deployed, event: Mapping[str, Any]) -> str:
    (sent,) = system.sends(event)
    until(
        lambda: system.connection.ledger.find(sent, "admit"),
        what=f"{sent} is recorded",
        seen=lambda: f"{in_queue(system, 'admit')} messages wait for admit",
    )
    return sent


def others(system: Deployed) -> list[str]:
    """Who listens to transactions beside fraud, by the rules of the deployed system."""
    listening = Subscriptions.of(system.connection).consumers(None, TransactionPosted.contract.type)
    return [consumer for consumer in listening if consumer != FRAUD]


def is_done(system: Deployed, event: str, consumers: Iterable[str]) -> bool:
    """Whether the event is published, and committed by these."""
    rows = [system.connection.ledger.find(event, consumer) for consumer in consumers]
    return bool(system.log_messages("publish", event)) and all(row and row.state == COMMITTED for row in rows)


def a_payment(account: str, number: int, at: datetime, *, amount: int = 4250, place: Mapping[str, Any] = VIENNA) -> Any:
    """A TransactionPosted entry: a payment by card."""
    data = {
        "authorisation_id": f"{account}.{number}",
        "account_id": account,
        "customer_id": "cus-19b2",
        "opened_on": "2019-04-01",
        "direction": "debit",
        "amount": amount,
        "currency": "EUR",
        "channel": "card",
        "merchant": {"merchant_id": f"m-{number % 5}", "mcc": "5411", "place": dict(place)},
        "posted_at": clock.timestamp(at),
    }
    return an_event("TransactionPosted", data, source="bank.core")


def a_theft(account: str) -> list[Any]:
    """A payment in Vienna, and an hour later one in São Paulo."""
    later = BEGIN + timedelta(hours=1)
    return [a_payment(account, 1, BEGIN), a_payment(account, 2, later, place=SAO_PAULO)]


def a_life(account: str) -> list[Any]:
    """Some payments a day, in which the card is stolen and then a large amount is paid; one comes late."""
    payments = [a_payment(account, number, BEGIN + timedelta(hours=number)) for number in range(12)]
    payments += [
        a_payment(account, 12, BEGIN + timedelta(hours=12), place=SAO_PAULO),
        a_payment(account, 13, BEGIN - timedelta(days=2)),
        a_payment(account, 14, BEGIN + timedelta(hours=14), amount=1_000_000),
    ]
    return payments


def profile(system: Deployed, account: str) -> dict[str, Any]:
    return system.row("fraud-profiles", account, of=FRAUD)


def suspicions(system: Deployed, account: str) -> list[dict[str, Any]]:
    """What was suspected of the account, in order."""
    return [json.loads(envelope.data) for envelope in system.connection.store.stream(f"suspicion/{account}")]


def nameless(told: object, account: str) -> Any:
    """The same, of an account without a name."""
    return json.loads(json.dumps(told).replace(account, "acc"))


def all_that_may_happen(system: Deployed) -> None:
    """Give each function of the service cause for all that it may do."""
    system.receives(*a_theft(unique("acc")))
