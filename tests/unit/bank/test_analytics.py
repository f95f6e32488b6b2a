"""Totals of transactions are exact, in any order of arrival and with any number of deliveries."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from daybook.consumers.view import Add, View
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.contracts.values import MAX_AMOUNT
from daybook.store.shards import Shards
from daybook.store.state import State
from events.accounts import TransactionPosted, TransactionReversed
from functions.analytics import totals
from functions.analytics.tally import AccountDay, MerchantDay, Minute, tally_reversal, tally_transaction
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World

HANDLERS: dict[str, View[Any]] = {
    "TransactionPosted": tally_transaction,
    "TransactionReversed": tally_reversal,
}
TABLES = ("account-days", "merchant-days", "minutes")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRANSFER: dict[str, Any] = {"channel": "transfer", "merchant": None}

Totals = Counter[tuple[str, str, str]]  # by table, row without its shard, and field


def transaction_data(authorisation_id: str = "A-90017", **other: Any) -> dict[str, Any]:
    """What the bank sends; by default a purchase for 42.50 EUR at noon."""
    return deepcopy(dict(TransactionPosted.example)) | {"authorisation_id": authorisation_id} | other


def a_transaction(authorisation_id: str = "A-90017", **other: Any) -> TransactionPosted:
    return TransactionPosted.model_validate_json(json.dumps(transaction_data(authorisation_id, **other)))


def a_reversal(of: TransactionPosted) -> TransactionReversed:
    """The reversal of a transaction, 20 hours later."""
    return TransactionReversed.model_validate(of.model_dump() | {"reversed_at": of.posted_at + timedelta(hours=20)})


def a_transfer(name: str = "Ada Lovelace", account: str = "AT611904300234573201", **other: Any) -> TransactionPosted:
    return a_transaction(**TRANSFER, counterparty={"name": name, "account": account}, **other)


def generated(number: int, accounts: int, seed: int = 1) -> list[dict[str, Any]]:
    """Random transactions of three days, a third of them at one merchant."""
    generator = random.Random(seed)  # noqa: S311 - reproducible
    return [_generated(f"A-{each}", generator, accounts) for each in range(number)]


def _generated(name: str, generator: random.Random, accounts: int) -> dict[str, Any]:
    zone = timezone(timedelta(hours=generator.choice([-8, 0, 0, 1, 9])))
    posted_at = NOON + timedelta(seconds=generator.randrange(3 * 86_400))
    purchase: Any = TransactionPosted.example["merchant"]
    busy = generator.random() < 1 / 3
    merchant = purchase | {"merchant_id": "m-881" if busy else f"m-{generator.randrange(50)}"}
    other = {"merchant": merchant} if generator.random() < 0.8 else TRANSFER | {"counterparty": {"name": "Ada"}}
    return transaction_data(
        name,
        account_id=f"acc-{generator.randrange(accounts)}",
        direction=generator.choice(["debit", "debit", "debit", "credit"]),
        amount=generator.choice([1, generator.randrange(1, 10**6), MAX_AMOUNT]),
        currency=generator.choice(["EUR", "EUR", "USD", "JPY", "KWD"]),
        posted_at=posted_at.astimezone(zone).isoformat(),
        **other,
    )


def recomputed(transactions: Iterable[dict[str, Any]]) -> Totals:
    """The totals, computed from what the bank sent."""
    found = Totals()
    for sent in transactions:
        posted_at = datetime.fromisoformat(sent["posted_at"]).astimezone(UTC)
        day, minute = f"{posted_at:%Y-%m-%d}", f"{posted_at:%Y-%m-%dT%H:%M}"
        rows = [("account-days", f"{sent['account_id']}#{day}"), ("minutes", minute)]
        if sent["merchant"]:
            rows.append(("merchant-days", f"{sent['merchant']['merchant_id']}#{day}"))
        for table, row in rows:
            found[table, row, f"{sent['currency']}:{sent['direction']}_count"] += 1
            found[table, row, f"{sent['currency']}:{sent['direction']}ed"] += sent["amount"]
    return found


def added(changes: Iterable[Add]) -> Totals:
    """The totals of these changes."""
    found = Totals()
    for change in changes:
        for field, difference in change.differences.items():
            found[change.row.table, _without_shard(change.row.table, change.key), field] += difference
    return found


def stored(world: World) -> Totals:
    """The totals in the tables."""
    found = Totals()
    for table in TABLES:
        for item in world.items(table):
            row = _without_shard(table, item.pop("id"))
            found.update({(table, row, field): value for field, value in item.items()})
    return found


def _without_shard(table: str, row: str) -> str:
    """The key of the row, without its shard."""
    return row if table == "account-days" else row.rpartition("#")[0]


def without_zeros(totals: Totals) -> dict[tuple[str, str, str], int]:
    """The totals that are not zero. Reversals leave zeros."""
    return {place: total for place, total in totals.items() if total}


def changes(event: Event) -> list[Add]:
    """The changes that the handler of an event returns."""
    found = HANDLERS[event.contract.type].body(event)
    assert isinstance(found, list)
    return found


def deliver(world: World, *events: Event | Envelope) -> None:
    """Deliver the events to their views, one by one."""
    for event in events:
        envelope = event if isinstance(event, Envelope) else recorded(event)
        assert world.deliver(HANDLERS[envelope.metadata.type], from_the_bus(envelope)) == []


def fields(**sums: int) -> dict[str, int]:
    """Fields of a row, in euros."""
    return {f"EUR:{name}": total for name, total in sums.items()}


def test_totals_of_ten_thousand_transactions_on_a_thousand_accounts_are_exact() -> None:
    sent = generated(10_000, accounts=1_000)

    totals = added(change for data in sent for change in changes(a_transaction(**data)))

    assert totals == recomputed(sent)
    assert len({row for table, row, _ in totals if table == "account-days"}) > 3_000
    assert max(totals.values()) > 2**53


# Guards: the totals and the ledger are written in one transaction.
def test_duplicates_and_reversals_in_any_order_give_the_same_totals(world: World) -> None:
    sent = generated(160, accounts=15, seed=2)
    posted = [a_transaction(**data) for data in sent]
    envelopes = [recorded(event) for event in [*posted, *map(a_reversal, posted[:40])]]
    generator = random.Random(3)  # noqa: S311 - reproducible
    found = []
    for _ in range(2):
        deliveries = [*envelopes, *generator.sample(envelopes, 50)]
        generator.shuffle(deliveries)
        deliver(world, *deliveries)
        found.append(stored(world))
        world.clear(*TABLES, "ledger")

    assert without_zeros(found[0]) == recomputed(sent[40:])
    assert found[0] == found[1]


def test_duplicates_in_one_batch_count_once(world: World) -> None:
    body = from_the_bus(recorded(a_transaction()))

    assert world.deliver(tally_transaction, body, body, Message(body, tries=2)) == []

    assert stored(world) == recomputed([transaction_data()])


def test_a_transaction_changes_three_rows(world: World) -> None:
    deliver(world, a_transaction())

    expected = fields(debit_count=1, debited=4250)
    assert world.items("account-days") == [{"id": "acc-7f3e#2026-03-01"} | expected]
    assert world.items("merchant-days") == [
        {"id": totals.MERCHANT_DAY_SHARDS.shard_id("m-881#2026-03-01", "A-90017")} | expected
    ]
    assert world.items("minutes") == [{"id": totals.MINUTE_SHARDS.shard_id("2026-03-01T12:00", "A-90017")} | expected]


def test_a_transfer_counts_at_no_merchant(world: World) -> None:
    deliver(world, a_transfer())

    assert world.items("merchant-days") == []
    assert stored(world)["account-days", "acc-7f3e#2026-03-01", "EUR:debited"] == 4250


def test_debits_credits_and_currencies_have_separate_fields(world: World) -> None:
    deliver(
        world,
        a_transaction("A-1", amount=10),
        a_transaction("A-2", amount=7, direction="credit"),
        a_transaction("A-3", amount=1250, currency="JPY"),
        a_transaction("A-4", amount=1250, currency="KWD"),
        a_transaction("A-5", amount=1, currency="KWD"),
    )

    (row,) = world.items("account-days")
    assert row == {
        "id": "acc-7f3e#2026-03-01",
        **fields(debit_count=1, debited=10, credit_count=1, credited=7),
        "JPY:debit_count": 1,
        "JPY:debited": 1250,
        "KWD:debit_count": 2,
        "KWD:debited": 1251,
    }


def test_a_late_transaction_counts_at_the_day_and_minute_of_its_posting(world: World) -> None:
    late = "2026-02-27T23:59:59.999999Z"
    deliver(world, a_transaction("A-1"), a_transaction("A-2", posted_at=late))

    assert [row["id"] for row in world.items("account-days")] == ["acc-7f3e#2026-02-27", "acc-7f3e#2026-03-01"]
    (first, _) = (row["id"].rpartition("#")[0] for row in world.items("minutes"))
    assert first == "2026-02-27T23:59"


@pytest.mark.parametrize(
    ("posted_at", "day"),
    [("2026-03-01T00:30:00+01:00", "2026-02-28"), ("2026-02-28T23:30:00-01:00", "2026-03-01")],
)
def test_days_are_in_utc(world: World, posted_at: str, day: str) -> None:
    deliver(world, a_transaction(posted_at=posted_at))

    assert [row["id"] for row in world.items("account-days")] == [f"acc-7f3e#{day}"]


def test_a_reversal_on_another_day_changes_the_day_of_the_transaction(world: World) -> None:
    transaction = a_transaction()
    deliver(world, transaction, a_reversal(transaction))

    assert [row["id"] for row in world.items("account-days")] == ["acc-7f3e#2026-03-01"]
    assert without_zeros(stored(world)) == {}


def test_totals_are_negative_between_a_reversal_that_arrives_first_and_its_transaction(world: World) -> None:
    transaction = a_transaction()
    deliver(world, a_reversal(transaction))
    assert set(stored(world).values()) == {-1, -4250}

    deliver(world, transaction)
    assert set(stored(world).values()) == {0}
    assert all(len(world.items(table)) == 1 for table in TABLES)  # the same shards


def test_sums_of_the_largest_amounts_are_exact(world: World) -> None:
    deliver(world, *(a_transaction(f"A-{number}", amount=MAX_AMOUNT - number) for number in range(9)))

    (row,) = world.items("account-days")
    assert row["EUR:debited"] == 9 * MAX_AMOUNT - 36
    assert float(row["EUR:debited"]) != row["EUR:debited"]


def test_a_row_does_not_grow_with_the_number_of_transactions() -> None:
    day = [change for number in range(5_000) for change in changes(a_transaction(f"A-{number}", account_id="huge"))]

    of_the_account = [change for change in day if change.row is AccountDay]
    assert {change.key for change in of_the_account} == {"huge#2026-03-01"}
    assert {field for change in of_the_account for field in change.differences} == {"EUR:debit_count", "EUR:debited"}


# Guards: the shard depends on the authorisation.
@pytest.mark.parametrize(
    ("row", "shards"),
    [(MerchantDay, totals.MERCHANT_DAY_SHARDS), (Minute, totals.MINUTE_SHARDS)],
    ids=["merchant", "minute"],
)
def test_transactions_are_distributed_over_all_shards(row: type[State], shards: Shards) -> None:
    written = [
        change.key
        for number in range(5_000)
        for change in changes(a_transaction(f"A-{number:05d}"))
        if change.row is row
    ]

    average = len(written) / shards.number
    assert len(set(written)) == shards.number
    assert max(Counter(written).values()) < 2 * average


@pytest.mark.parametrize("event", [a_transaction(), a_reversal(a_transaction())], ids=["posted", "reversed"])
def test_a_transaction_with_conflicts_is_retried_and_counts_once(world: World, event: Event) -> None:
    faults.answer("TransactWriteItems", faults.CONFLICT, faults.cancelled("None", "None", "TransactionConflict"))
    made = faults.requests("TransactWriteItems")

    deliver(world, event)

    assert len(made) == 3
    assert stored(world) == added(changes(event))


# Guards: the totals and the ledger are written in one transaction.
def test_a_redelivery_after_a_lost_answer_does_not_count_again(world: World) -> None:
    body = from_the_bus(recorded(a_transaction()))
    faults.die("TransactWriteItems", "after")

    with pytest.raises(faults.Death):
        world.deliver(tally_transaction, body)
    assert world.deliver(tally_transaction, Message(body, tries=2)) == []

    assert stored(world) == recomputed([transaction_data()])


def test_all_rows_are_written_in_one_transaction_with_the_ledger(world: World) -> None:
    made = faults.requests("TransactWriteItems")
    calls = faults.calls()

    deliver(world, a_transaction())

    assert calls == ["BatchGetItem", "BatchGetItem", "TransactWriteItems"]
    (request,) = made
    assert len(request["TransactItems"]) == 4


def test_logs_contain_neither_names_nor_account_numbers(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    transfer = a_transfer(name="Zzyzx0815", account="AT611904300234573201")
    envelope = recorded(transfer)
    broken = recorded(transfer, data=json.dumps({**json.loads(envelope.data), "amount": "AT611904300234573201"}))
    faults.answer("TransactWriteItems", faults.DENIED)
    message = Message(from_the_bus(envelope))

    assert world.deliver(tally_transaction, message) == [message]
    deliver(world, envelope, a_reversal(transfer))
    world.deliver(tally_transaction, from_the_bus(broken))

    output = "".join(capsys.readouterr())
    assert "committed" in output
    assert "failed" in output
    assert not [word for word in ("Zzyzx0815", "AT611904300234573201") if word in output]
