"""Fraud, deployed: its suspicions are the same after an outage, and no other consumer waits for it."""

import json
import re
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
from tests.deployed.deployed import Deployed, an_event, in_queue, paused, stock_received
from tests.local.processes import unique, until

FRAUD = "score-transaction"
WRITE: Any = {"function": FRAUD, "operation": "TransactWriteItems"}

VIENNA = {"country": "AT", "city": "Wien", "latitude": 48.2082, "longitude": 16.3738}
SAO_PAULO = {"country": "BR", "city": "São Paulo", "latitude": -23.5505, "longitude": -46.6333}

# A fixed time, so that the rows of two accounts can be compared.
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)

# Seconds for each event: other consumers are done before, and the function does not time out.
DELAY = 5.0

Failure = Callable[[Deployed, Faults], AbstractContextManager[None]]


def test_impossible_travel_is_suspected(system: Deployed) -> None:
    account = unique("acc")

    system.finishes(*records(system, a_theft(account)))

    (suspicion,) = suspicions(system, account)
    assert suspicion["authorisation_id"] == f"{account}.2"
    assert [reason["name"] for reason in suspicion["reasons"]] == ["impossible_travel", "new_country"]
    assert suspicion["score"] >= suspicion["threshold"]
    assert profile(system, account)["countries"].keys() == {"AT"}


def test_suspicions_are_not_in_the_stream_of_the_account(system: Deployed) -> None:
    account = unique("acc")

    system.finishes(*records(system, a_theft(account)))

    own = [envelope.metadata.type for envelope in system.connection.store.stream(f"account/{account}")]
    assert set(own) == {"TransactionPosted"}
    assert "FraudSuspected" in system.types(f"account/{account}")


@contextmanager
def stopped(system: Deployed, _: Faults) -> Iterator[None]:
    with paused(system, FRAUD):
        yield


@contextmanager
def slow(_: Deployed, faults: Faults) -> Iterator[None]:
    with faults.inject(Fault.delay(DELAY, **WRITE, times=ALWAYS)):
        yield


@contextmanager
def failing(_: Deployed, faults: Faults) -> Iterator[None]:
    """The first delivery attempt of each event fails, and takes long."""
    with faults.inject(Fault.delay(DELAY, **WRITE, times=ALWAYS), Fault.denied(**WRITE, times=Every(2))):
        yield


@pytest.mark.parametrize("failure", [stopped, slow, failing], ids=lambda failure: str(failure.__name__))
def test_after_a_failure_of_fraud_the_profile_and_the_suspicions_are_the_same_and_nobody_waited(
    system: Deployed, faults: Faults, failure: Failure
) -> None:
    other, account = unique("acc"), unique("acc")
    system.finishes(*records(system, varied_payments(other)))

    with failure(system, faults):
        posted = records(system, varied_payments(account))
        (received,) = system.sends(stock_received(account, 3))
        until(lambda: all(is_done(system, event, others(system)) for event in posted), what="all others are done")
        until(lambda: is_done(system, received, ["receive-stock"]), what="other services continue")
        assert len(suspicions(system, account)) < 2, "fraud was as fast as the others, so this test shows nothing"
    system.finishes(*posted)

    assert without_name(profile(system, account), account) == without_name(profile(system, other), other)
    found = without_name(suspicions(system, account), account)
    assert found == without_name(suspicions(system, other), other)
    assert len(found) == 2


def records(system: Deployed, events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Send events one by one, so that they are recorded in this order. Does not wait for consumers."""
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
    """The other consumers of TransactionPosted, by the rules of the deployed system."""
    consumers = Subscriptions.of(system.connection).consumers(None, TransactionPosted.contract.type)
    return [consumer for consumer in consumers if consumer != FRAUD]


def is_done(system: Deployed, event: str, consumers: Iterable[str]) -> bool:
    """Whether the event is published, and committed by these consumers."""
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
        "merchant": {"merchant_id": f"m-{place['country']}-{number % 5}", "mcc": "5411", "place": dict(place)},
        "card_present": True,
        "posted_at": clock.timestamp(at),
    }
    return an_event("TransactionPosted", data, source="bank.core")


def a_theft(account: str) -> list[Any]:
    """A payment in Vienna, and an hour later one in São Paulo."""
    later = BEGIN + timedelta(hours=1)
    return [a_payment(account, 1, BEGIN), a_payment(account, 2, later, place=SAO_PAULO)]


def varied_payments(account: str) -> list[Any]:
    """Usual payments, one with a stolen card, a late one, and a large one."""
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
    """The suspicions of the account, in order."""
    return [json.loads(envelope.data) for envelope in system.connection.store.stream(f"suspicion/{account}")]


def without_name(found: object, account: str) -> Any:
    """The same with a fixed account id, and with numbers in place of the short forms, which differ between accounts."""
    numbers: dict[str, str] = {}
    text = json.dumps(found).replace(account, "acc")
    return json.loads(re.sub(r'"[0-9a-f]{10}"', lambda short: numbers.setdefault(short[0], str(len(numbers))), text))


def all_that_may_happen(system: Deployed) -> None:
    """Make each function of the service use all of its permissions."""
    system.receives(*a_theft(unique("acc")))
