"""The bank's business day, the reporting currency, and cash that one person conducts for others."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from daybook.contracts.contract import ContractBroken
from events.accounts import TransactionPosted
from events.compliance import Sum
from functions.compliance.rates import converted
from tests.unit.bank.compliance import DOLLARS, Compliance, a_rate, a_threshold, cash, on, transaction_data
from tests.unit.world import World


@pytest.fixture
def compliance(world: World) -> Compliance:
    return Compliance(world)


def posted(at: str, amount: int = 6_000 * DOLLARS, **other: Any) -> TransactionPosted:
    """Cash that is posted at this time."""
    return TransactionPosted.model_validate(transaction_data(posted_at=at, amount=amount, **other))


def read(**data: Any) -> TransactionPosted:
    """Read a transaction as admit does."""
    return TransactionPosted.read(json.dumps(transaction_data(**data)), version=1)


# --- business day -----------------------------------------------------------------------------------------------------


def test_cash_on_one_business_day_of_a_bank_in_california_is_one_case(compliance: Compliance) -> None:
    day = "2026-11-27"
    compliance.posts(
        posted("2026-11-27T15:00:00-08:00", business_day=day), posted("2026-11-27T17:00:00-08:00", business_day=day)
    )

    (case,) = compliance.cases
    assert (case.total, str(case.opened.business_day)) == (12_000 * DOLLARS, day)


def test_cash_on_a_saturday_counts_on_the_business_day_of_monday(compliance: Compliance) -> None:
    monday = "2026-11-16"
    compliance.posts(
        posted("2026-11-14T20:00:00Z", business_day=monday),
        posted("2026-11-16T18:00:00Z", 5_000 * DOLLARS, business_day=monday),
    )

    (case,) = compliance.cases
    assert (case.rule, case.total, str(case.opened.business_day)) == ("cash_of_one_day", 11_000 * DOLLARS, monday)


def test_a_branch_that_closes_after_midnight_counts_cash_on_the_day_before(compliance: Compliance) -> None:
    compliance.posts(posted("2026-03-03T00:30:00-05:00", business_day="2026-03-02"))
    compliance.posts(posted("2026-03-02T12:00:00-05:00", business_day="2026-03-02"))

    assert compliance.day(2) == (12_000 * DOLLARS, 2)


# Guards: only the bank knows its business day. Two senders with different offsets must not split a day.
def test_without_a_business_day_the_day_in_utc_is_assumed(compliance: Compliance) -> None:
    compliance.posts(posted("2026-03-02T15:00:00-08:00"), posted("2026-03-02T17:00:00-08:00"))

    assert (compliance.day(2), compliance.day(3)) == ((6_000 * DOLLARS, 1), (6_000 * DOLLARS, 1))


@pytest.mark.parametrize("day", ["2025-03-02", "2026-02-28", "2026-03-17", "2062-03-02"])
def test_a_business_day_far_from_the_posting_is_rejected(day: str) -> None:
    with pytest.raises(
        ContractBroken, match=rf"business_day \({day}\) must be from 1 day before to 14 days after"
    ) as no:
        read(posted_at="2026-03-02T00:30:00+05:00", business_day=day)
    assert "posted_at (2026-03-02)" in str(no.value)


def test_structuring_is_counted_in_business_days(compliance: Compliance) -> None:
    days = ["2026-03-02", "2026-03-09"]  # posted within seven days, but seven business days apart
    compliance.posts(*(posted("2026-03-03T12:00:00Z", 9_500 * DOLLARS, business_day=day) for day in days))

    assert compliance.cases == []


# --- reporting currency -----------------------------------------------------------------------------------------------


def test_cash_in_two_currencies_counts_together_at_the_transactions_rate(compliance: Compliance) -> None:
    compliance.posts(
        cash(6_000 * DOLLARS), cash(5_000_00, currency="EUR", reporting_rate="1.0843", authorisation_id="A-EUR")
    )

    (case,) = compliance.cases
    assert (case.rule, case.total) == ("cash_of_one_day", 1_142_150)
    assert case.sums == {"USD": 6_000 * DOLLARS, "EUR": 5_000_00}
    assert compliance.missing_rates == []


def test_cash_in_two_currencies_counts_together_at_the_loaded_rate(compliance: Compliance) -> None:
    compliance.converts(a_rate("0.0067", "JPY"))
    compliance.posts(cash(6_000 * DOLLARS), cash(800_000, currency="JPY"))

    (case,) = compliance.cases
    assert (case.total, case.sums) == (1_136_000, {"USD": 600_000, "JPY": 800_000})


def test_one_deposit_above_the_threshold_after_conversion_is_reported(compliance: Compliance) -> None:
    compliance.converts(a_rate("3.2611", "KWD"))
    compliance.posts(cash(3_066_400, currency="KWD"), cash(3_066_480, currency="KWD", day=12))

    (case,) = compliance.cases
    assert (case.rule, case.total, case.opened.business_day) == ("cash_over_threshold", 1_000_010, on(12).date())


def test_small_amounts_in_two_currencies_are_structuring_together(compliance: Compliance) -> None:
    compliance.posts(cash(9_500 * DOLLARS, day=2), cash(8_800_00, currency="EUR", reporting_rate="1.08", day=3))

    (case,) = compliance.cases
    assert (case.rule, case.sums) == ("structuring", {"USD": 9_500 * DOLLARS, "EUR": 8_800_00})


def test_the_rate_of_the_business_day_applies(compliance: Compliance) -> None:
    compliance.converts(a_rate("1.2", valid_from="2026-03-05"), a_rate("1.1", valid_from="2026-03-02"))
    for day in (2, 4, 5):
        compliance.posts(cash(10_000_00, currency="EUR", day=day))

    reported = [case for case in compliance.cases if case.rule == "cash_over_threshold"]
    assert [case.total for case in reported] == [1_100_000, 1_100_000, 1_200_000]


@pytest.mark.parametrize("revisions", [(1, 2), (2, 1)])
def test_the_highest_revision_of_a_rate_applies_in_any_order(
    compliance: Compliance, revisions: tuple[int, int]
) -> None:
    compliance.converts(*(a_rate(f"1.{revision}", revision=revision) for revision in revisions))
    compliance.posts(cash(10_000_00, currency="EUR"))

    assert [case.total for case in compliance.cases] == [1_200_000]


# Guards: without a rate, cash still counts by itself. The event is emitted once, not for each transaction.
def test_a_missing_rate_is_reported_once_for_each_currency_and_business_day(compliance: Compliance) -> None:
    compliance.sets(a_threshold("CAD", amount=13_000_00, margin=0))
    compliance.posts(*(cash(7_000_00, currency="CAD", hour=hour) for hour in (1, 2)))
    compliance.posts(cash(1, currency="CHF"), cash(1, currency="CHF"), cash(1, currency="CAD", day=3))

    (case,) = compliance.cases
    assert (case.rule, case.total, case.opened.threshold) == (
        "cash_of_one_day",
        14_000_00,
        Sum(amount=13_000_00, currency="CAD"),
    )
    assert compliance.missing_rates == [("CAD", "2026-03-02"), ("CAD", "2026-03-03"), ("CHF", "2026-03-02")]


def test_a_rate_before_its_first_day_is_missing(compliance: Compliance) -> None:
    compliance.converts(a_rate("1.1", valid_from="2026-03-05"))
    compliance.posts(cash(10_000_00, currency="EUR", day=4))

    assert compliance.missing_rates == [("EUR", "2026-03-04")]


def test_a_rate_of_the_reporting_currency_is_rejected() -> None:
    with pytest.raises(ValidationError, match="USD is the reporting currency, which needs no rate"):
        a_rate("1", "USD")


def test_dollars_need_no_rate(compliance: Compliance) -> None:
    compliance.posts(cash(6_000 * DOLLARS, reporting_rate="2"))

    assert (compliance.day(2), compliance.missing_rates) == ((6_000 * DOLLARS, 1), [])


@pytest.mark.parametrize(
    ("amount", "currency", "rate", "value"),
    [
        (1, "EUR", "1", 1),
        (5_000_00, "EUR", "1.0843", 542_150),
        (1, "JPY", "0.0067", 1),  # 0.67 cents
        (1, "JPY", "0.0049", 0),  # 0.49 cents
        (1, "JPY", "0.005", 1),  # half a cent is rounded up
        (1_000, "KWD", "3.2611", 326),
        (2**53 - 1, "EUR", "999999999.999999999999", 9_007_199_254_740_990_999_990_993),
    ],
)
def test_amounts_are_converted_exactly(amount: int, currency: str, rate: str, value: int) -> None:
    assert converted(amount, currency, rate) == value


@pytest.mark.parametrize("rate", ["0", "0.0", "-1", "1,08", "1e3", "", ".5", "01.5", "NaN", "1.0000000000001"])
def test_a_rate_that_is_not_a_positive_decimal_is_rejected(rate: str) -> None:
    with pytest.raises(ContractBroken, match="reporting_rate"):
        read(currency="EUR", reporting_rate=rate)


# --- cash that one person conducts for others -------------------------------------------------------------------------


def test_one_person_who_pays_into_accounts_of_two_customers_has_one_case(compliance: Compliance) -> None:
    compliance.posts(
        cash(6_000 * DOLLARS, customer_id="cus-1", conducted_by="cus-9"),
        cash(5_000 * DOLLARS, customer_id="cus-2", conducted_by="cus-9", account_id="acc-2"),
    )

    (case,) = compliance.cases
    assert (case.rule, case.total, case.opened.customer_id) == ("cash_of_one_day", 11_000 * DOLLARS, "cus-9")


def test_own_cash_and_cash_for_another_customer_count_together(compliance: Compliance) -> None:
    compliance.posts(
        cash(6_000 * DOLLARS, customer_id="cus-9"), cash(5_000 * DOLLARS, customer_id="cus-2", conducted_by="cus-9")
    )

    assert [case.opened.customer_id for case in compliance.cases] == ["cus-9"]


def test_several_persons_who_pay_into_one_account_are_a_case_of_its_owner(compliance: Compliance) -> None:
    for person in ("cus-7", "cus-8", "cus-9"):
        compliance.posts(cash(4_000 * DOLLARS, customer_id="cus-1", conducted_by=person))

    (case,) = compliance.cases
    assert (case.opened.customer_id, case.total) == ("cus-1", 12_000 * DOLLARS)


# Guards: the owner's case contains the same transactions, so a second case would only repeat it.
def test_cash_that_one_person_conducts_for_one_owner_is_only_the_owners_case(compliance: Compliance) -> None:
    compliance.posts(cash(12_000 * DOLLARS, customer_id="cus-1", conducted_by="cus-9"))
    compliance.posts(*(cash(9_500 * DOLLARS, day=day, customer_id="cus-1", conducted_by="cus-9") for day in (3, 4)))

    assert {case.opened.customer_id for case in compliance.cases} == {"cus-1"}


def test_one_person_who_splits_cash_over_customers_and_days_is_structuring(compliance: Compliance) -> None:
    compliance.posts(
        *(cash(9_500 * DOLLARS, day=day, customer_id=f"cus-{day}", conducted_by="cus-9") for day in (2, 4))
    )

    (case,) = compliance.cases
    assert (case.rule, case.opened.customer_id, case.total) == ("structuring", "cus-9", 19_000 * DOLLARS)


def test_a_reversal_subtracts_from_the_owner_and_the_conductor(compliance: Compliance) -> None:
    reversed_ = cash(6_000 * DOLLARS, customer_id="cus-1", conducted_by="cus-9")
    compliance.posts(reversed_)
    compliance.reverses(reversed_)
    compliance.posts(
        cash(5_000 * DOLLARS, customer_id="cus-2", conducted_by="cus-9"), cash(5_000 * DOLLARS, customer_id="cus-1")
    )

    assert compliance.cases == []
