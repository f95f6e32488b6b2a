"""Names, account numbers and card numbers are only in the places that need them."""

import json
import random
import uuid
from typing import Any

import pytest

from daybook.local.faults import Fault, Faults
from tests.deployed.deployed import Deployed, an_event, short_visibility_timeout
from tests.deployed.test_commands import daybook
from tests.deployed.test_privacy import put_invalid_message, stored_texts, unrecorded_dead_letters
from tests.local.processes import unique, until

PAYEE, PAYEE_ACCOUNT = uuid.uuid4().hex, uuid.uuid4().hex
CARD = next(
    card
    for card in (str(random.randrange(4 * 10**15, 5 * 10**15)) for _ in range(1_000))  # noqa: S311 - a marker
    if sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(reversed(card))) % 10 == 0
)
STORED = {"store: data", "ledger: body"}
# An event with a card number is rejected, so the number is only in the body of the dead letter.
# Compliance needs the name to compare it with later lists.
WHERE = {PAYEE: STORED | {"counterparties: name"}, PAYEE_ACCOUNT: STORED, CARD: {"ledger: body"}}
WORDS = {PAYEE: "payee", PAYEE_ACCOUNT: "payee account", CARD: "card"}


@pytest.fixture(scope="module")
def kept(running_system: Deployed, faults: Faults) -> dict[str, str]:
    """All stored and logged text after transactions with every kind of failure, by place."""
    system = running_system.from_now_on()
    account = unique("acc")
    with unrecorded_dead_letters(system) as dead_letters:
        rejected = system.sends(
            a_transfer(account, amount=0),
            a_transfer(CARD),
            a_transfer(account, currency=PAYEE),
            a_transfer(account, customer_id=CARD),
            a_transfer(account, counterparty={"name": PAYEE, "account": PAYEE_ACCOUNT * 9}),
        )
        put_invalid_message(system, "screen-transaction", json.dumps({"detail": {"name": PAYEE, "card": CARD}}))
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
            until(lambda: "dead" in system.log_messages("tally-transaction", dead), what="it is dead")
        messages = [*dead_letters(len(rejected) + 2)]
    system.refusals(*rejected)
    system.dead(dead, "tally-transaction")
    outputs = [
        daybook(system, "trace", f"account/{account}", "--data"),
        daybook(system, "trace", rejected[0]),
        daybook(system, "analytics", "account", account, "--since", "2026-03-01"),
        daybook(system, "events", "--json"),
    ]
    return {
        "attributes": json.dumps(messages),
        "daybook": "".join(output.stdout + output.stderr for output in outputs),
        "trace headers": "\n".join(faults.traces()),
        **stored_texts(system, {"counterparties": "screen-transaction", "cases": "screen-transaction"}),
    }


@pytest.mark.parametrize("marker", WHERE, ids=lambda marker: WORDS[marker])
def test_personal_data_of_transactions_is_only_where_it_must_be(kept: dict[str, str], marker: str) -> None:
    assert {place for place, text in kept.items() if marker in text} == WHERE[marker]


def a_transfer(account: str, **other: Any) -> dict[str, Any]:
    """A TransactionPosted entry with a counterparty."""
    data = {
        "authorisation_id": unique("A"),
        "account_id": account,
        "customer_id": unique("cus"),
        "opened_on": "2019-04-01",
        "direction": "debit",
        "amount": 4250,
        "currency": "EUR",
        "channel": "transfer",
        "counterparty": {"name": PAYEE, "account": PAYEE_ACCOUNT},
        "posted_at": "2026-03-01T12:00:00.000000Z",
    }
    return an_event("TransactionPosted", data | other, source="bank.core")
