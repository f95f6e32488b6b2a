"""Whom money goes to, and cards' and accounts' numbers, stand where they must and nowhere else."""

import json
import random
import uuid
from typing import Any

import pytest

from daybook.local.faults import Fault, Faults
from tests.deployed.deployed import Deployed, an_event, short_visibility_timeout, unique
from tests.deployed.test_commands import daybook
from tests.deployed.test_privacy import bury_waits, is_no_event, what_is_kept
from tests.local.processes import until

PAYEE, THEIR_ACCOUNT = uuid.uuid4().hex, uuid.uuid4().hex
CARD = next(
    card
    for card in (str(random.randrange(4 * 10**15, 5 * 10**15)) for _ in range(1_000))  # noqa: S311 - a marker
    if sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(reversed(card))) % 10 == 0
)
STORED = {"store: data", "ledger: body"}
# A card's number never gets in: it is in the body of what was refused, and nowhere else.
WHERE = {PAYEE: STORED, THEIR_ACCOUNT: STORED, CARD: {"ledger: body"}}
WORDS = {PAYEE: "payee", THEIR_ACCOUNT: "their account", CARD: "card"}


@pytest.fixture(scope="module")
def kept(running_system: Deployed, faults: Faults) -> dict[str, str]:
    """All that is left of transactions that have met all that one can meet, by where it was found."""
    system = running_system.from_now_on()
    account = unique("acc")
    with bury_waits(system) as dead_letters:
        refused = system.sends(
            a_transfer(account, amount=0),
            a_transfer(CARD),
            a_transfer(account, currency=PAYEE),
            a_transfer(account, customer_id=CARD),
            a_transfer(account, counterparty={"name": PAYEE, "account": THEIR_ACCOUNT * 9}),
        )
        is_no_event(system, "screen-transaction", json.dumps({"detail": {"name": PAYEE, "card": CARD}}))
        died = Fault.death("before", function="screen-transaction", operation="TransactWriteItems")
        with (
            short_visibility_timeout(system, "screen-transaction", until_true=lambda: faults.injected_count(died)),
            faults.inject(died),
        ):
            (sent,) = system.sends(a_transfer(account))
            until(lambda: "committed" in system.log_messages("screen-transaction", sent), what="it is screened")
        denied = Fault.denied(function="tally-transaction", operation="TransactWriteItems", times=3)
        with faults.inject(denied):
            (dead,) = system.sends(a_transfer(account))
            until(lambda: "dead" in system.log_messages("tally-transaction", dead), what="tally has given it up")
        letters = [*dead_letters(len(refused) + 2)]
    system.refusals(*refused)
    system.dead(dead, "tally-transaction")
    outputs = [
        daybook(system, "trace", f"account/{account}", "--data"),
        daybook(system, "trace", refused[0]),
        daybook(system, "analytics", "account", account, "--since", "2026-03-01"),
        daybook(system, "events", "--json"),
    ]
    return {
        "attributes": json.dumps(letters),
        "daybook": "".join(output.stdout + output.stderr for output in outputs),
        "trace headers": "\n".join(faults.traces()),
        **what_is_kept(system, {}),
    }


@pytest.mark.parametrize("marker", WHERE, ids=lambda marker: WORDS[marker])
def test_what_is_about_an_account_stands_where_it_must_and_nowhere_else(kept: dict[str, str], marker: str) -> None:
    assert {place for place, text in kept.items() if marker in text} == WHERE[marker]


def a_transfer(account: str, **other: Any) -> dict[str, Any]:
    """A TransactionPosted entry that says whom the money goes to."""
    data = {
        "authorisation_id": unique("A"),
        "account_id": account,
        "customer_id": unique("cus"),
        "opened_on": "2019-04-01",
        "direction": "debit",
        "amount": 4250,
        "currency": "EUR",
        "channel": "transfer",
        "counterparty": {"name": PAYEE, "account": THEIR_ACCOUNT},
        "posted_at": "2026-03-01T12:00:00.000000Z",
    }
    return an_event("TransactionPosted", data | other, source="bank.core")
