"""Cash above the threshold on one business day: one case for each customer, currency and direction.

The built-in threshold is 10,000 dollars.
"""

import json
from itertools import permutations

import pytest

from events.accounts import TransactionPosted
from events.compliance import ComplianceCaseOpened, Sum
from functions.compliance import screen_reversal, screen_transaction, set_threshold
from functions.compliance.thresholds import ThresholdRow, threshold_on
from tests.unit import faults
from tests.unit.bank.compliance import DOLLARS, LIMIT, Compliance, a_threshold, cash, on, reversal, transaction_data
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World

ACCOUNT = "acc-secret"


@pytest.fixture
def compliance(world: World) -> Compliance:
    return Compliance(world)


# Guards: only cash above the threshold is reported.
@pytest.mark.parametrize(("amount", "rules"), [(LIMIT - 1, []), (LIMIT, []), (LIMIT + 1, ["cash_over_threshold"])])
def test_cash_above_the_threshold_opens_a_case(compliance: Compliance, amount: int, rules: list[str]) -> None:
    compliance.posts(cash(amount))

    assert compliance.rules == rules


def test_a_case_contains_its_legal_source_and_its_transactions(compliance: Compliance) -> None:
    compliance.posts(cash(LIMIT + 1, authorisation_id="A-9"))

    (case,) = compliance.cases
    assert case.opened == ComplianceCaseOpened.model_validate(
        {
            "case_id": "currency:cus-19b2:credit:USD:2026-03-02",
            "rule": "cash_over_threshold",
            "legal_source": "31 CFR 1010.311: each transaction in currency of more than $10,000 is reported",
            "customer_id": "cus-19b2",
            "business_day": on(2).date(),
            "direction": "credit",
            "threshold": Sum(amount=LIMIT, currency="USD"),
            "basis": {
                "sums": [{"amount": LIMIT + 1, "currency": "USD"}],
                "total": {"amount": LIMIT + 1, "currency": "USD"},
                "count": 1,
                "transactions": ["A-9"],
            },
        }
    )


def test_cash_of_several_branches_and_accounts_on_one_day_is_added_up(compliance: Compliance) -> None:
    springfield = cash(5_000 * DOLLARS, hour=0)
    shelbyville = cash(5_000 * DOLLARS, hour=12, account_id="acc-2", place={"country": "US", "city": "Shelbyville"})
    third = cash(1, hour=23.99, place={"country": "US", "city": "Ogdenville"})

    compliance.posts(springfield, shelbyville)
    assert compliance.cases == []
    compliance.posts(third)

    (case,) = compliance.cases
    assert (case.rule, case.total) == ("cash_of_one_day", LIMIT + 1)
    assert case.transactions == [each.authorisation_id for each in (springfield, shelbyville, third)]
    assert case.opened.legal_source.startswith("31 CFR 1010.313")


def test_a_second_transaction_above_the_threshold_changes_the_case_of_the_day(compliance: Compliance) -> None:
    compliance.posts(cash(LIMIT + 1), cash(LIMIT + 2), cash(3))

    (case,) = compliance.cases
    assert (case.total, len(case.transactions), len(case.changed)) == (2 * LIMIT + 6, 3, 2)


@pytest.mark.parametrize(
    "apart",
    [{"direction": "debit"}, {"customer_id": "cus-2"}, {"currency": "CAD"}, {"day": 3}, {"hour": 24}, {"hour": -0.001}],
    ids=["out", "another customer", "another currency", "another day", "midnight after", "just before midnight"],
)
def test_cash_of_another_day_customer_currency_or_direction_is_not_added(
    compliance: Compliance, apart: dict[str, object]
) -> None:
    compliance.sets(a_threshold("CAD", amount=LIMIT, margin=0))

    compliance.posts(cash(6_000 * DOLLARS), cash(6_000 * DOLLARS, **apart))  # type: ignore[arg-type]

    assert compliance.cases == []


def test_card_payments_do_not_count_as_cash(compliance: Compliance) -> None:
    merchant = {"merchant_id": "m-1", "mcc": "5411", "place": {"country": "US"}}
    by_card = TransactionPosted.model_validate(transaction_data(channel="card", merchant=merchant, direction="debit"))

    compliance.posts(by_card)
    compliance.reverses(by_card)

    assert compliance.cases == []
    assert compliance.not_screened == {}
    assert [compliance.world.items(table) for table in ("cases", "cash-days", "recent-cash")] == [[]] * 3


def test_cash_that_arrives_two_days_late_counts_on_the_day_of_its_posting(compliance: Compliance) -> None:
    compliance.posts(cash(6_000 * DOLLARS, day=2), cash(6_000 * DOLLARS, day=4))
    compliance.posts(cash(6_000 * DOLLARS, day=2, hour=23))

    (case,) = compliance.cases
    assert (case.opened.business_day, case.total) == (on(2).date(), 12_000 * DOLLARS)


# --- thresholds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 1_500_000), ("KWD", 3_000_000)])
def test_each_currency_has_its_own_threshold_in_minor_units(compliance: Compliance, currency: str, amount: int) -> None:
    compliance.sets(a_threshold(currency, amount=amount, margin=0))

    compliance.posts(cash(amount, currency=currency))
    assert compliance.cases == []
    compliance.posts(cash(amount + 1, currency=currency, day=3))

    (case,) = compliance.cases
    assert case.opened.threshold == Sum(amount=amount, currency=currency)
    assert case.opened.basis.sums[0].currency == currency


def test_cash_in_a_currency_without_a_threshold_is_not_screened(compliance: Compliance) -> None:
    compliance.posts(cash(10**12, currency="JPY", authorisation_id="A-JPY"))

    assert compliance.cases == []
    assert compliance.not_screened == {"A-JPY": "no_threshold"}
    # It was added up, so it counts as soon as a threshold is set.
    compliance.sets(a_threshold("JPY", amount=10**12, margin=0))
    compliance.posts(cash(1, currency="JPY"))
    assert [case.total for case in compliance.cases] == [10**12 + 1]


# Guards: the threshold of the business day applies, not the newest one.
def test_a_threshold_applies_from_its_first_day_and_not_before(compliance: Compliance) -> None:
    compliance.sets(a_threshold(valid_from="2026-03-05"))

    compliance.posts(cash(6_000 * DOLLARS, day=6))
    assert [case.opened.business_day for case in compliance.cases] == [on(6).date()]
    compliance.posts(cash(6_000 * DOLLARS, day=4), cash(6_000 * DOLLARS, day=5))

    assert [case.opened.business_day for case in compliance.cases] == [on(5).date(), on(6).date()]


# Guards: the highest revision applies, in any order of arrival.
def test_the_highest_revision_of_a_threshold_applies_in_any_order_of_arrival(world: World) -> None:
    newer, older = a_threshold(revision=2, amount=3_000 * DOLLARS), a_threshold(revision=1)
    for order in permutations([newer, older]):
        world.receive(set_threshold.handler, *order)
        row = world.row(ThresholdRow, "USD")
        assert row
        threshold = threshold_on(row, on(2).date())
        assert threshold
        assert threshold.amount == 3_000 * DOLLARS
        world.clear("thresholds", "ledger")


# --- reversals, duplicates, conflicts -------------------------------------------------------------------------------


def test_a_reversal_subtracts_its_transaction(compliance: Compliance) -> None:
    reversed_ = cash(6_000 * DOLLARS)
    compliance.posts(reversed_)
    compliance.reverses(reversed_)
    compliance.posts(cash(6_000 * DOLLARS))

    assert compliance.cases == []
    assert compliance.day(2) == (6_000 * DOLLARS, 1)


# Guards: the row that says that the reversal arrived first.
def test_a_transaction_whose_reversal_arrives_first_never_counts(compliance: Compliance) -> None:
    reversed_ = cash(LIMIT + 1)
    compliance.reverses(reversed_)
    compliance.posts(reversed_, cash(1))

    assert compliance.cases == []
    assert compliance.day(2) == (1, 1)


def test_a_case_whose_transaction_is_reversed_changes_and_stays_open(compliance: Compliance) -> None:
    reversed_, left = cash(6_000 * DOLLARS), cash(6_000 * DOLLARS)
    compliance.posts(reversed_, left)
    compliance.reverses(reversed_)

    (case,) = compliance.cases
    assert (case.total, case.transactions) == (6_000 * DOLLARS, [left.authorisation_id])
    compliance.posts(cash(6_000 * DOLLARS))
    assert [case.total for case in compliance.cases] == [12_000 * DOLLARS]


# Guards: a transaction counts once, even with different event ids.
def test_a_transaction_that_is_sent_twice_counts_once(compliance: Compliance) -> None:
    once = cash(6_000 * DOLLARS)
    (envelope,) = compliance.posts(once)
    compliance.posts(once)
    again = Message(from_the_bus(envelope), tries=2)
    assert compliance.world.deliver(screen_transaction.handler, again) == []
    assert compliance.day(2) == (6_000 * DOLLARS, 1)

    compliance.reverses(once, once)
    assert compliance.day(2) == (0, 0)


def test_the_transactions_of_a_day_are_one_case_in_any_order(world: World) -> None:
    transactions = [cash(LIMIT + 1), cash(3), cash(9_500 * DOLLARS)]
    for order in permutations(transactions):
        compliance = Compliance(world)
        compliance.posts(*order)

        first, *others = compliance.cases
        assert first.opened.case_id == "currency:cus-19b2:credit:USD:2026-03-02"
        assert (first.total, set(first.transactions)) == (
            sum(each.amount for each in transactions),
            {each.authorisation_id for each in transactions},
        )
        assert others == []
        redelivered = [from_the_bus(envelope) for envelope in compliance.posts(*order)]
        world.deliver(screen_transaction.handler, *redelivered)
        assert len(compliance.cases) == 1
        _forget(world)


# Guards: the condition on the version of the day's row.
def test_two_transactions_at_the_same_time_are_added_up(compliance: Compliance) -> None:
    one, other = cash(6_000 * DOLLARS), cash(6_000 * DOLLARS)
    faults.meanwhile("TransactWriteItems", lambda: compliance.posts(other))

    compliance.posts(one)

    assert [case.total for case in compliance.cases] == [12_000 * DOLLARS]
    assert compliance.day(2) == (12_000 * DOLLARS, 2)


def test_two_transactions_above_the_threshold_at_the_same_time_open_one_case(compliance: Compliance) -> None:
    one, other = cash(LIMIT + 1), cash(LIMIT + 1)
    faults.meanwhile("TransactWriteItems", lambda: compliance.posts(other))

    compliance.posts(one)

    assert [case.total for case in compliance.cases] == [2 * LIMIT + 2]


def test_a_transaction_and_its_reversal_at_the_same_time_add_up_to_zero(compliance: Compliance) -> None:
    reversed_ = cash(LIMIT + 1)
    faults.meanwhile("TransactWriteItems", lambda: compliance.reverses(reversed_))

    compliance.posts(reversed_)

    assert compliance.day(2) == (0, 0)
    assert compliance.cases == []


def test_a_case_lists_fifty_transactions_and_counts_all(compliance: Compliance) -> None:
    transactions = [cash(LIMIT + 1) for _ in range(53)]
    compliance.posts(*transactions)
    compliance.reverses(transactions[0])

    (case,) = compliance.cases
    basis = case.changed[-1].basis
    assert (basis.count, case.total) == (52, 52 * (LIMIT + 1))
    assert case.transactions == [each.authorisation_id for each in transactions[1:50]]


def test_logs_and_cases_contain_no_account_id(compliance: Compliance, capsys: pytest.CaptureFixture[str]) -> None:
    transaction = cash(LIMIT + 1, account_id=ACCOUNT)
    compliance.posts(transaction)
    compliance.reverses(transaction)

    output = capsys.readouterr().out
    assert '"committed"' in output
    kept = json.dumps([item for table in _TABLES for item in compliance.world.items(table)], default=str)
    # Only the name of the stream contains the bank's token for the account.
    assert ACCOUNT not in output.replace(f"account/{ACCOUNT}", "")
    assert ACCOUNT not in kept + "".join(case.opened.to_json() for case in compliance.cases)


def test_a_transaction_and_a_reversal_need_one_read_call_and_one_write_call_each(compliance: Compliance) -> None:
    transaction = cash(6_000 * DOLLARS)
    calls = faults.calls()
    compliance.posts(transaction)
    assert calls == ["BatchGetItem", "BatchGetItem", "TransactWriteItems"]
    compliance.world.deliver(screen_reversal.handler, from_the_bus(recorded(reversal(transaction))))
    assert calls == ["BatchGetItem", "BatchGetItem", "TransactWriteItems"] * 2


_TABLES = ("cases", "cash-transactions", "cash-days", "recent-cash")


def _forget(world: World) -> None:
    for envelope in world.recorded():
        key = {"stream": {"S": envelope.metadata.stream}, "sequence": {"N": str(envelope.metadata.sequence)}}
        world.client.delete_item(TableName="daybook-test-store", Key=key)
    world.clear(*_TABLES, "ledger")
