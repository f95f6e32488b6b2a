"""Analytics, deployed: each transaction counts once in spite of failures, and operators see the totals."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.values import MAX_AMOUNT
from daybook.local.faults import Chance, Fault, Faults
from events.accounts import TransactionPosted
from tests.deployed.deployed import Deployed, an_event, short_visibility_timeout
from tests.deployed.test_commands import daybook
from tests.local.processes import unique
from tests.unit.bank.test_analytics import a_reversal, a_transaction, transaction_data

TALLY = "tally-transaction"


def test_duplicates_and_reversals_give_exact_totals(system: Deployed) -> None:
    account, merchant, minute = unique("acc"), unique("m"), a_minute()
    purchases = [
        a_purchase(account, merchant, minute + timedelta(seconds=second), amount=1000 + second) for second in range(20)
    ]
    reversals = [a_reversal(purchase) for purchase in purchases[:5]]

    system.receives(*map(entry, [*reversals, *purchases, *purchases[10:], *reversals[:2]]))
    system.drains("admit")

    left = sum(range(1005, 1020))
    figures = {"currency": "EUR", "debit_count": 15, "debited": str(left), "credit_count": 0, "credited": "0"}
    day = ("--since", f"{minute:%Y-%m-%d}", "--until", f"{minute:%Y-%m-%d}")
    times = ("--since", clock.timestamp(minute), "--until", clock.timestamp(minute + timedelta(minutes=1)))
    assert shown(system, "account", account, *day) == [{"account_id": account, "day": day[1]} | figures]
    assert shown(system, "merchant", merchant, *day) == [{"merchant_id": merchant, "day": day[1]} | figures]
    assert shown(system, "minutes", *times) == [{"minute": clock.timestamp(minute)} | figures]
    text = daybook(system, "analytics", "account", account, *day).stdout
    assert f"{left / 100:.2f}" in text


def test_the_largest_amounts_add_up_exactly(system: Deployed) -> None:
    account, minute = unique("acc"), a_minute()

    system.receives(*(entry(a_purchase(account, "m-881", minute, amount=MAX_AMOUNT)) for _ in range(3)))

    (found,) = shown(system, "account", account, "--since", f"{minute:%Y-%m-%d}", "--until", f"{minute:%Y-%m-%d}")
    assert found["debited"] == str(3 * MAX_AMOUNT)


def test_transactions_count_once_in_spite_of_conflicts_and_a_crash(system: Deployed, faults: Faults) -> None:
    account, minute = unique("acc"), a_minute()
    conflicts = Fault.conflict(function=TALLY, times=Chance(0.3))
    death = Fault.death("after", function=TALLY, operation="TransactWriteItems", mentions=account, times=1)

    with (
        short_visibility_timeout(system, TALLY, until_true=lambda: faults.injected_count(death)),
        faults.inject(conflicts, death),
    ):
        system.receives(*(entry(a_purchase(account, "m-881", minute, amount=number)) for number in range(1, 41)))

    assert (faults.injected_count(death), faults.injected_count(conflicts) > 5) == (1, True)
    (found,) = shown(system, "account", account, "--since", f"{minute:%Y-%m-%d}", "--until", f"{minute:%Y-%m-%d}")
    assert (found["debit_count"], found["debited"]) == (40, str(sum(range(1, 41))))


def all_that_may_happen(system: Deployed) -> None:
    """Make each function of the service use all of its permissions."""
    purchase = a_purchase(unique("acc"), "m-881", a_minute())
    system.receives(entry(purchase), entry(a_reversal(purchase)))


def a_minute() -> datetime:
    """A random minute, years ago, that no other test uses."""
    return datetime(2021, 1, 1, tzinfo=UTC) + timedelta(minutes=random.SystemRandom().randrange(4 * 365 * 1440))


def a_purchase(account: str, merchant: str, posted_at: datetime, *, amount: int = 4250) -> TransactionPosted:
    """A transaction with a new authorisation id."""
    other = transaction_data()["merchant"] | {"merchant_id": merchant}
    when = clock.timestamp(posted_at)
    return a_transaction(unique("A"), account_id=account, merchant=other, posted_at=when, amount=amount)


def entry(event: Event) -> dict[str, Any]:
    """The event as the bank sends it."""
    return an_event(event.contract.type, event.model_dump(mode="json"), source="bank.core")


def shown(system: Deployed, *arguments: str) -> list[dict[str, Any]]:
    """The output of `daybook analytics` with --json."""
    ran = daybook(system, "analytics", *arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]
