"""What moves on accounts is summed up to the last minor unit, in whatever order and however often it is told."""

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
from daybook.contracts.values import LARGEST_AMOUNT
from daybook.store.shards import Shards
from daybook.store.state import State
from events.accounts import TransactionPosted, TransactionReversed
from functions.analytics import tallies
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
    """What the bank sends: a purchase for 42.50 EUR, at noon, unless told."""
    return deepcopy(dict(TransactionPosted.example)) | {"authorisation_id": authorisation_id} | other


def a_transaction(authorisation_id: str = "A-90017", **other: Any) -> TransactionPosted:
    return TransactionPosted.model_validate_json(json.dumps(transaction_data(authorisation_id, **other)))


def the_reversal_of(transaction: TransactionPosted, after: timedelta = timedelta(hours=20)) -> TransactionReversed:
    told = transaction.model_dump() | {"reversed_at": transaction.posted_at + after}
    return TransactionReversed.model_validate(told)


def a_transfer(name: str = "Ada Lovelace", account: str = "AT611904300234573201", **other: Any) -> TransactionPosted:
    return a_transaction(**TRANSFER, counterparty={"name": name, "account": account}, **other)


def generated(number: int, accounts: int, seed: int = 1) -> list[dict[str, Any]]:
    """So many transactions on so many accounts, of three days, a third of them at one merchant."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    return [_generated(f"A-{each}", chance, accounts) for each in range(number)]


def _generated(name: str, chance: random.Random, accounts: int) -> dict[str, Any]:
    zone = timezone(timedelta(hours=chance.choice([-8, 0, 0, 1, 9])))
    posted_at = NOON + timedelta(seconds=chance.randrange(3 * 86_400))
    purchase: Any = TransactionPosted.example["merchant"]
    busy = chance.random() < 1 / 3
    merchant = purchase | {"merchant_id": "m-881" if busy else f"m-{chance.randrange(50)}"}
    other = {"merchant": merchant} if chance.random() < 0.8 else TRANSFER | {"counterparty": {"name": "Ada"}}
    return transaction_data(
        name,
        account_id=f"acc-{chance.randrange(accounts)}",
        direction=chance.choice(["debit", "debit", "debit", "credit"]),
        amount=chance.choice([1, chance.randrange(1, 10**6), LARGEST_AMOUNT]),
        currency=chance.choice(["EUR", "EUR", "USD", "JPY", "KWD"]),
        posted_at=posted_at.astimezone(zone).isoformat(),
        **other,
    )


def recomputed(transactions: Iterable[dict[str, Any]]) -> Totals:
    """The totals by what the bank has sent alone."""
    found = Totals()
    for told in transactions:
        posted_at = datetime.fromisoformat(told["posted_at"]).astimezone(UTC)
        day, minute = f"{posted_at:%Y-%m-%d}", f"{posted_at:%Y-%m-%dT%H:%M}"
        rows = [("account-days", f"{told['account_id']}#{day}"), ("minutes", minute)]
        if told["merchant"]:
            rows.append(("merchant-days", f"{told['merchant']['merchant_id']}#{day}"))
        for table, row in rows:
            found[table, row, f"{told['currency']}:{told['direction']}_count"] += 1
            found[table, row, f"{told['currency']}:{told['direction']}ed"] += told["amount"]
    return found


def added(changes: Iterable[Add]) -> Totals:
    """What these changes add up to."""
    found = Totals()
    for change in changes:
        for field, difference in change.differences.items():
            found[change.row.table, _whole(change.row.table, change.key), field] += difference
    return found


def kept(world: World) -> Totals:
    """What stands in the tables."""
    found = Totals()
    for table in TABLES:
        for item in world.items(table):
            row = _whole(table, item.pop("id"))
            found.update({(table, row, field): value for field, value in item.items()})
    return found


def _whole(table: str, row: str) -> str:
    """The row that this is, or is a shard of."""
    return row if table == "account-days" else row.rpartition("#")[0]


def known(totals: Totals) -> dict[tuple[str, str, str], int]:
    """Those that are not zero: what was taken back leaves zeros."""
    return {place: total for place, total in totals.items() if total}


def changes(event: Event) -> list[Add]:
    """What the handler of an event would have changed."""
    found = HANDLERS[event.contract.type].body(event)
    assert isinstance(found, list)
    return found


def counts(world: World, *events: Event | Envelope) -> None:
    """Deliver the events to those that count them, one by one."""
    for event in events:
        envelope = event if isinstance(event, Envelope) else recorded(event)
        assert world.deliver(HANDLERS[envelope.metadata.type], from_the_bus(envelope)) == []


def fields(**sums: int) -> dict[str, int]:
    """The fields of a row, in euros."""
    return {f"EUR:{name}": total for name, total in sums.items()}


def test_ten_thousand_transactions_on_a_thousand_accounts_are_counted_to_the_last_minor_unit() -> None:
    sent = generated(10_000, accounts=1_000)

    totals = added(change for told in sent for change in changes(a_transaction(**told)))

    assert totals == recomputed(sent)
    assert len({row for table, row, _ in totals if table == "account-days"}) > 3_000
    assert max(totals.values()) > 2**53


# Guards: each event is added in one transaction with the ledger, once.
def test_repetitions_and_reversals_in_any_order_leave_the_same_totals(world: World) -> None:
    sent = generated(160, accounts=15, seed=2)
    posted = [a_transaction(**told) for told in sent]
    envelopes = [recorded(event) for event in [*posted, *map(the_reversal_of, posted[:40])]]
    chance = random.Random(3)  # noqa: S311 - the same each time
    found = []
    for _ in range(2):
        deliveries = [*envelopes, *chance.sample(envelopes, 50)]
        chance.shuffle(deliveries)
        counts(world, *deliveries)
        found.append(kept(world))
        world.clear(*TABLES, "ledger")  # to be made anew

    assert known(found[0]) == recomputed(sent[40:])
    assert found[0] == found[1]


def test_what_comes_twice_in_one_batch_is_counted_once(world: World) -> None:
    body = from_the_bus(recorded(a_transaction()))

    assert world.deliver(tally_transaction, body, body, Message(body, tries=2)) == []

    assert kept(world) == recomputed([transaction_data()])


def test_a_transaction_counts_by_account_and_day_by_merchant_and_day_and_by_minute(world: World) -> None:
    counts(world, a_transaction())

    expected = fields(debit_count=1, debited=4250)
    assert world.items("account-days") == [{"id": "acc-7f3e#2026-03-01"} | expected]
    assert world.items("merchant-days") == [{"id": tallies.MERCHANT_DAY.one("m-881#2026-03-01", "A-90017")} | expected]
    assert world.items("minutes") == [{"id": tallies.MINUTE.one("2026-03-01T12:00", "A-90017")} | expected]


def test_what_is_paid_to_nobody_that_sells_counts_at_no_merchant(world: World) -> None:
    counts(world, a_transfer())

    assert world.items("merchant-days") == []
    assert kept(world)["account-days", "acc-7f3e#2026-03-01", "EUR:debited"] == 4250


def test_debits_and_credits_and_currencies_are_kept_apart(world: World) -> None:
    counts(
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


def test_what_comes_two_days_late_counts_on_the_day_and_in_the_minute_when_it_was_posted(world: World) -> None:
    late = "2026-02-27T23:59:59.999999Z"
    counts(world, a_transaction("A-1"), a_transaction("A-2", posted_at=late))

    assert [row["id"] for row in world.items("account-days")] == ["acc-7f3e#2026-02-27", "acc-7f3e#2026-03-01"]
    (first, _) = (row["id"].rpartition("#")[0] for row in world.items("minutes"))
    assert first == "2026-02-27T23:59"


@pytest.mark.parametrize(
    ("posted_at", "day"),
    [("2026-03-01T00:30:00+01:00", "2026-02-28"), ("2026-02-28T23:30:00-01:00", "2026-03-01")],
)
def test_days_are_those_of_utc(world: World, posted_at: str, day: str) -> None:
    counts(world, a_transaction(posted_at=posted_at))

    assert [row["id"] for row in world.items("account-days")] == [f"acc-7f3e#{day}"]


def test_what_is_taken_back_on_another_day_is_taken_from_the_day_of_the_transaction(world: World) -> None:
    transaction = a_transaction()
    counts(world, transaction, the_reversal_of(transaction))

    assert [row["id"] for row in world.items("account-days")] == ["acc-7f3e#2026-03-01"]
    assert known(kept(world)) == {}


def test_a_reversal_that_comes_first_leaves_less_than_nothing_until_its_transaction_comes(world: World) -> None:
    transaction = a_transaction()
    counts(world, the_reversal_of(transaction))
    assert set(kept(world).values()) == {-1, -4250}

    counts(world, transaction)
    assert set(kept(world).values()) == {0}
    assert all(len(world.items(table)) == 1 for table in TABLES)  # the same shards


def test_sums_of_the_largest_amounts_are_exact(world: World) -> None:
    counts(world, *(a_transaction(f"A-{number}", amount=LARGEST_AMOUNT - number) for number in range(9)))

    (row,) = world.items("account-days")
    assert row["EUR:debited"] == 9 * LARGEST_AMOUNT - 36
    assert float(row["EUR:debited"]) != row["EUR:debited"]


def test_a_row_does_not_grow_with_its_transactions() -> None:
    day = [change for number in range(5_000) for change in changes(a_transaction(f"A-{number}", account_id="huge"))]

    of_the_account = [change for change in day if change.row is AccountDay]
    assert {change.key for change in of_the_account} == {"huge#2026-03-01"}
    assert {field for change in of_the_account for field in change.differences} == {"EUR:debit_count", "EUR:debited"}


# Guards: the shard is found by the authorisation, and is not always the same.
@pytest.mark.parametrize(
    ("row", "shards"), [(MerchantDay, tallies.MERCHANT_DAY), (Minute, tallies.MINUTE)], ids=["merchant", "minute"]
)
def test_a_busy_merchant_and_a_minute_are_spread_over_all_their_shards(row: type[State], shards: Shards) -> None:
    written = [
        change.key
        for number in range(5_000)
        for change in changes(a_transaction(f"A-{number:05d}"))
        if change.row is row
    ]

    fair = len(written) / shards.number
    assert len(set(written)) == shards.number
    assert max(Counter(written).values()) < 2 * fair


@pytest.mark.parametrize("event", [a_transaction(), the_reversal_of(a_transaction())], ids=["posted", "reversed"])
def test_who_is_in_conflict_comes_again_and_counts_once(world: World, event: Event) -> None:
    faults.answer("TransactWriteItems", faults.CONFLICT, faults.cancelled("None", "None", "TransactionConflict"))
    made = faults.requests("TransactWriteItems")

    counts(world, event)

    assert len(made) == 3
    assert kept(world) == added(changes(event))


# Guards: each event is added in one transaction with the ledger, once.
def test_what_was_counted_without_an_answer_is_not_counted_again(world: World) -> None:
    body = from_the_bus(recorded(a_transaction()))
    faults.die("TransactWriteItems", "after")

    with pytest.raises(faults.Death):
        world.deliver(tally_transaction, body)
    assert world.deliver(tally_transaction, Message(body, tries=2)) == []

    assert kept(world) == recomputed([transaction_data()])


def test_all_that_a_transaction_changes_is_one_transaction_of_four_rows(world: World) -> None:
    made = faults.requests("TransactWriteItems")
    calls = faults.calls()

    counts(world, a_transaction())

    assert calls == ["BatchGetItem", "TransactWriteItems"]
    (request,) = made
    assert len(request["TransactItems"]) == 4


def test_neither_names_nor_numbers_of_accounts_are_logged(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    transfer = a_transfer(name="Zzyzx0815", account="AT611904300234573201")
    envelope = recorded(transfer)
    body = json.loads(from_the_bus(envelope))
    body["detail"]["data"]["amount"] = "AT611904300234573201"
    faults.answer("TransactWriteItems", faults.DENIED)
    message = Message(from_the_bus(envelope))

    assert world.deliver(tally_transaction, message) == [message]
    counts(world, envelope, the_reversal_of(transfer))
    world.deliver(tally_transaction, json.dumps(body))

    output = "".join(capsys.readouterr())
    assert "committed" in output
    assert "failed" in output
    assert not [told for told in ("Zzyzx0815", "AT611904300234573201") if told in output]
