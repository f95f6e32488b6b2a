"""Reversals whose data differ from their transaction: the transaction counts, in any order of arrival."""

from collections.abc import Callable
from typing import Any

import pytest

from events.accounts import TransactionPosted
from events.compliance import ReversalNotApplied, Sum
from tests.unit.bank.compliance import DOLLARS, Compliance, cash, on
from tests.unit.world import World

DEPOSIT = 15_000 * DOLLARS
CARD = {"channel": "card", "place": None, "merchant": {"merchant_id": "m-1", "mcc": "5411", "place": {"country": "US"}}}


@pytest.fixture
def compliance(world: World) -> Compliance:
    return Compliance(world)


def reversal_first(compliance: Compliance, transaction: TransactionPosted, **other: Any) -> None:
    compliance.reverses(transaction, **other)
    compliance.posts(transaction)


def reversal_last(compliance: Compliance, transaction: TransactionPosted, **other: Any) -> None:
    compliance.posts(transaction)
    compliance.reverses(transaction, **other)


def between_duplicates(compliance: Compliance, transaction: TransactionPosted, **other: Any) -> None:
    compliance.reverses(transaction, **other)
    compliance.posts(transaction, transaction)
    compliance.reverses(transaction, **other)


ORDERS = pytest.mark.parametrize(
    "order", [reversal_first, reversal_last, between_duplicates], ids=lambda order: order.__name__
)
Order = Callable[..., None]


# Guards: a reversal of 1,000 dollars must not remove 15,000 dollars from the day.
@ORDERS
def test_a_reversal_of_another_amount_does_not_apply_in_any_order(compliance: Compliance, order: Order) -> None:
    order(compliance, cash(DEPOSIT, authorisation_id="Q-1"), amount=1_000 * DOLLARS)

    (case,) = compliance.cases
    assert (case.total, compliance.day(2)) == (DEPOSIT, (DEPOSIT, 1))
    assert compliance.not_applied == [
        ReversalNotApplied(
            authorisation_id="Q-1",
            customer_id="cus-19b2",
            differences=("amount",),
            transaction=Sum(amount=DEPOSIT, currency="USD"),
            reversal=Sum(amount=1_000 * DOLLARS, currency="USD"),
        )
    ]


@ORDERS
@pytest.mark.parametrize(
    ("other", "differences"),
    [
        ({"currency": "EUR"}, ("currency",)),
        ({"direction": "debit"}, ("direction",)),
        ({"customer_id": "cus-2"}, ("customer_id",)),
        (CARD, ("channel",)),
        ({"amount": DEPOSIT + 1, "currency": "JPY"}, ("amount", "currency")),
    ],
    ids="+".join,
)
def test_a_reversal_with_other_data_does_not_apply_in_any_order(
    compliance: Compliance, order: Order, other: dict[str, Any], differences: tuple[str, ...]
) -> None:
    order(compliance, cash(DEPOSIT), **other)

    assert compliance.day(2) == (DEPOSIT, 1)
    assert [each.differences for each in compliance.not_applied] == [differences]


@ORDERS
def test_a_reversal_without_the_business_day_subtracts_from_the_day_that_counted(
    compliance: Compliance, order: Order
) -> None:
    order(compliance, cash(DEPOSIT, business_day=str(on(4).date())), business_day=None)

    assert (compliance.day(2), compliance.day(4)) == ((0, 0), (0, 0))
    assert compliance.not_applied == []


def test_a_reversal_subtracts_the_value_at_the_rate_of_the_transaction(compliance: Compliance) -> None:
    deposit = cash(DEPOSIT, currency="EUR", reporting_rate="1.1")
    compliance.posts(deposit, cash(1))
    compliance.reverses(deposit, reporting_rate="1.2")

    assert compliance.day(2) == (1, 1)
    (case,) = compliance.cases
    assert (case.total, case.sums) == (1, {"USD": 1})
