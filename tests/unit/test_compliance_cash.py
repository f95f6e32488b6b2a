"""Cash above a threshold, alone and taken together: one case a customer, a currency, a direction and a business day.

In dollars 10,000 are the threshold, built in, unless a test says so.
"""

import json
from itertools import permutations

import pytest

from daybook.contracts.values import Money
from events.accounts import TransactionPosted
from events.compliance import ComplianceCaseOpened
from functions.compliance import screen_reversal, screen_transaction, set_threshold
from functions.compliance.thresholds import ThresholdRow, in_force
from tests.unit import faults
from tests.unit.branch import DOLLARS, LIMIT, Branch, a_threshold, cash, moved, on, reversal
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World

ACCOUNT = "acc-secret"


@pytest.fixture
def branch(world: World) -> Branch:
    return Branch(world)


# Guards: more than the threshold, not as much.
@pytest.mark.parametrize(("amount", "rules"), [(LIMIT - 1, []), (LIMIT, []), (LIMIT + 1, ["cash_over_threshold"])])
def test_cash_of_more_than_the_threshold_opens_a_case(branch: Branch, amount: int, rules: list[str]) -> None:
    branch.posts(cash(amount))

    assert branch.rules == rules


def test_a_case_says_what_the_law_is_and_all_that_it_rests_on(branch: Branch) -> None:
    branch.posts(cash(LIMIT + 1, authorisation_id="A-9"))

    (case,) = branch.cases
    assert case.opened == ComplianceCaseOpened.model_validate(
        {
            "case_id": "currency:cus-19b2:credit:USD:2026-03-02",
            "rule": "cash_over_threshold",
            "legal_source": "31 CFR 1010.311: each transaction in currency of more than $10,000 is reported",
            "customer_id": "cus-19b2",
            "business_day": on(2).date(),
            "direction": "credit",
            "threshold": Money(amount=LIMIT, currency="USD"),
            "basis": {"sums": [{"amount": LIMIT + 1, "currency": "USD"}], "count": 1, "transactions": ["A-9"]},
        }
    )


def test_cash_of_several_branches_and_accounts_on_one_day_is_taken_together(branch: Branch) -> None:
    springfield = cash(5_000 * DOLLARS, hour=0)
    shelbyville = cash(5_000 * DOLLARS, hour=12, account_id="acc-2", place={"country": "US", "city": "Shelbyville"})
    third = cash(1, hour=23.99, place={"country": "US", "city": "Ogdenville"})

    branch.posts(springfield, shelbyville)
    assert branch.cases == []
    branch.posts(third)

    (case,) = branch.cases
    assert (case.rule, case.total) == ("cash_of_one_day", LIMIT + 1)
    assert case.rests_on == [each.authorisation_id for each in (springfield, shelbyville, third)]
    assert case.opened.legal_source.startswith("31 CFR 1010.313")


def test_a_second_transaction_above_the_threshold_belongs_to_the_days_one_case(branch: Branch) -> None:
    branch.posts(cash(LIMIT + 1), cash(LIMIT + 2), cash(3))

    (case,) = branch.cases
    assert (case.total, len(case.rests_on), len(case.changed)) == (2 * LIMIT + 6, 3, 2)


@pytest.mark.parametrize(
    "apart",
    [{"direction": "debit"}, {"customer_id": "cus-2"}, {"currency": "CAD"}, {"day": 3}, {"hour": 24}, {"hour": -0.001}],
    ids=["out", "another customer", "another currency", "another day", "midnight after", "just before midnight"],
)
def test_what_is_of_another_day_customer_currency_or_direction_is_counted_apart(
    branch: Branch, apart: dict[str, object]
) -> None:
    branch.sets(a_threshold("CAD", amount=LIMIT, margin=0))

    branch.posts(cash(6_000 * DOLLARS), cash(6_000 * DOLLARS, **apart))  # type: ignore[arg-type]

    assert branch.cases == []


def test_cards_and_transfers_are_no_cash(branch: Branch) -> None:
    merchant = {"merchant_id": "m-1", "mcc": "5411", "place": {"country": "US"}}
    by_card = TransactionPosted.model_validate(moved(channel="card", merchant=merchant, direction="debit"))

    branch.posts(by_card)
    branch.reverses(by_card)

    assert branch.cases == []
    assert branch.not_screened == {}
    assert [branch.world.items(table) for table in _TABLES] == [[]] * len(_TABLES)


def test_cash_that_is_told_of_two_days_late_lands_on_its_own_day(branch: Branch) -> None:
    branch.posts(cash(6_000 * DOLLARS, day=2), cash(6_000 * DOLLARS, day=4))
    branch.posts(cash(6_000 * DOLLARS, day=2, hour=23))

    (case,) = branch.cases
    assert (case.opened.business_day, case.total) == (on(2).date(), 12_000 * DOLLARS)


# --- thresholds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 1_500_000), ("KWD", 3_000_000)])
def test_each_currency_has_a_threshold_of_its_own_in_its_own_minor_units(
    branch: Branch, currency: str, amount: int
) -> None:
    branch.sets(a_threshold(currency, amount=amount, margin=0))

    branch.posts(cash(amount, currency=currency))
    assert branch.cases == []
    branch.posts(cash(amount + 1, currency=currency, day=3))

    (case,) = branch.cases
    assert case.opened.threshold == Money(amount=amount, currency=currency)
    assert case.opened.basis.sums[0].currency == currency


def test_cash_of_a_currency_without_a_threshold_is_noted_and_opens_no_case(branch: Branch) -> None:
    (told,) = (cash(10**12, currency="JPY", authorisation_id="A-JPY"),)
    branch.posts(told)

    assert branch.cases == []
    assert branch.not_screened == {"A-JPY": "no_threshold"}
    # What the day comes to is known, once somebody sets a threshold.
    branch.sets(a_threshold("JPY", amount=10**12, margin=0))
    branch.posts(cash(1, currency="JPY"))
    assert [case.total for case in branch.cases] == [10**12 + 1]


# Guards: the threshold of the business day, not the newest.
def test_a_threshold_holds_from_its_day_on_and_not_before(branch: Branch) -> None:
    branch.sets(a_threshold(holds_from="2026-03-05"))

    branch.posts(cash(6_000 * DOLLARS, day=6))
    assert [case.opened.business_day for case in branch.cases] == [on(6).date()]
    branch.posts(cash(6_000 * DOLLARS, day=4), cash(6_000 * DOLLARS, day=5))

    assert [case.opened.business_day for case in branch.cases] == [on(5).date(), on(6).date()]


# Guards: the revision decides, not the order of arrival.
def test_the_later_revision_of_a_threshold_wins_whichever_comes_first(world: World) -> None:
    newer, older = a_threshold(revision=2, amount=3_000 * DOLLARS), a_threshold(revision=1)
    for order in permutations([newer, older]):
        world.receive(set_threshold.handler, *order)
        row = world.row(ThresholdRow, "USD")
        assert row
        threshold = in_force(row, on(2).date())
        assert threshold
        assert threshold.amount == 3_000 * DOLLARS
        world.clear("thresholds", "ledger")


# --- reversals, repetitions, races ----------------------------------------------------------------------------------


def test_a_reversal_takes_its_part_back(branch: Branch) -> None:
    taken = cash(6_000 * DOLLARS)
    branch.posts(taken)
    branch.reverses(taken)
    branch.posts(cash(6_000 * DOLLARS))

    assert branch.cases == []
    assert branch.day(2) == (6_000 * DOLLARS, 1)


# Guards: the note that a transaction was reversed before it was posted here.
def test_a_transaction_that_was_reversed_before_it_is_told_of_never_counts(branch: Branch) -> None:
    taken = cash(LIMIT + 1)
    branch.reverses(taken)
    branch.posts(taken, cash(1))

    assert branch.cases == []
    assert branch.day(2) == (1, 1)


def test_a_case_whose_transaction_is_taken_back_stays_open_and_says_so(branch: Branch) -> None:
    taken, left = cash(6_000 * DOLLARS), cash(6_000 * DOLLARS)
    branch.posts(taken, left)
    branch.reverses(taken)

    (case,) = branch.cases
    assert (case.total, case.rests_on) == (6_000 * DOLLARS, [left.authorisation_id])
    branch.posts(cash(6_000 * DOLLARS))
    assert [case.total for case in branch.cases] == [12_000 * DOLLARS]


# Guards: a transaction counts once, whatever its events' ids are.
def test_what_is_told_of_twice_counts_once(branch: Branch) -> None:
    once = cash(6_000 * DOLLARS)
    (envelope,) = branch.posts(once)
    branch.posts(once)
    again = Message(from_the_bus(envelope), tries=2)
    assert branch.world.deliver(screen_transaction.handler, again) == []
    assert branch.day(2) == (6_000 * DOLLARS, 1)

    branch.reverses(once, once)
    assert branch.day(2) == (0, 0)


def test_one_matter_has_one_case_in_whatever_order_its_transactions_come(world: World) -> None:
    told = [cash(LIMIT + 1), cash(3), cash(9_500 * DOLLARS)]
    for order in permutations(told):
        branch = Branch(world)
        branch.posts(*order)

        first, *others = branch.cases
        assert first.opened.case_id == "currency:cus-19b2:credit:USD:2026-03-02"
        assert (first.total, set(first.rests_on)) == (
            sum(each.amount for each in told),
            {each.authorisation_id for each in told},
        )
        assert others == []
        replayed = [from_the_bus(envelope) for envelope in branch.posts(*order)]
        world.deliver(screen_transaction.handler, *replayed)
        assert len(branch.cases) == 1
        _forget(world)


# Guards: the version that the day's row is saved with.
def test_two_at_once_are_taken_together(branch: Branch) -> None:
    one, other = cash(6_000 * DOLLARS), cash(6_000 * DOLLARS)
    faults.meanwhile("TransactWriteItems", lambda: branch.posts(other))

    branch.posts(one)

    assert [case.total for case in branch.cases] == [12_000 * DOLLARS]
    assert branch.day(2) == (12_000 * DOLLARS, 2)


def test_two_above_the_threshold_at_once_open_one_case(branch: Branch) -> None:
    one, other = cash(LIMIT + 1), cash(LIMIT + 1)
    faults.meanwhile("TransactWriteItems", lambda: branch.posts(other))

    branch.posts(one)

    assert [case.total for case in branch.cases] == [2 * LIMIT + 2]


def test_a_transaction_and_its_reversal_at_once_come_to_nothing(branch: Branch) -> None:
    taken = cash(LIMIT + 1)
    faults.meanwhile("TransactWriteItems", lambda: branch.reverses(taken))

    branch.posts(taken)

    assert branch.day(2) == (0, 0)
    assert branch.cases == []


def test_a_case_names_as_many_transactions_as_it_can_and_counts_all(branch: Branch) -> None:
    told = [cash(LIMIT + 1) for _ in range(53)]
    branch.posts(*told)
    branch.reverses(told[0])

    (case,) = branch.cases
    basis = case.changed[-1].basis
    assert (basis.count, case.total) == (52, 52 * (LIMIT + 1))
    assert case.rests_on == [each.authorisation_id for each in told[1:50]]


def test_no_account_stands_in_logs_or_cases(branch: Branch, capsys: pytest.CaptureFixture[str]) -> None:
    told = cash(LIMIT + 1, account_id=ACCOUNT)
    branch.posts(told)
    branch.reverses(told)

    output = capsys.readouterr().out
    assert '"committed"' in output
    kept = json.dumps([item for table in _TABLES for item in branch.world.items(table)], default=str)
    # The stream is named by the bank's own token for the account; nothing else is.
    assert ACCOUNT not in output.replace(f"account/{ACCOUNT}", "")
    assert ACCOUNT not in kept + "".join(case.opened.to_json() for case in branch.cases)


def test_a_reversal_costs_one_call_to_read_and_one_to_write(branch: Branch) -> None:
    told = cash(6_000 * DOLLARS)
    calls = faults.calls()
    branch.posts(told)
    assert calls == ["BatchGetItem", "TransactWriteItems"]
    branch.world.deliver(screen_reversal.handler, from_the_bus(recorded(reversal(told))))
    assert calls == ["BatchGetItem", "TransactWriteItems"] * 2


_TABLES = ("cases", "cash-transactions", "cash-days", "near-threshold")


def _forget(world: World) -> None:
    for envelope in world.recorded():
        key = {"stream": {"S": envelope.metadata.stream}, "sequence": {"N": str(envelope.metadata.sequence)}}
        world.client.delete_item(TableName="daybook-test-store", Key=key)
    world.clear(*_TABLES, "ledger")
