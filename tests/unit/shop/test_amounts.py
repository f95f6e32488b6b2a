"""Amounts in the units of the payment provider, from its documentation: https://docs.stripe.com/currencies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.contracts.values import MINOR_UNIT_DIGITS
from functions.payments.amount import NotChargeable, stripe_amount
from tests.unit.shop.builders import money

# https://docs.stripe.com/currencies#zero-decimal
ZERO_DECIMAL = ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
# https://docs.stripe.com/currencies#three-decimal
THREE_DECIMAL = ["BHD", "JOD", "KWD", "OMR", "TND"]
# https://docs.stripe.com/currencies#special-cases: two decimals in the API, though the currency has none.
ALWAYS_TWO = ["ISK", "UGX"]


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1099, "USD", 1099),  # 10.99
        (1099, "EUR", 1099),
        (500, "JPY", 500),  # 500 yen
        (5120, "KWD", 5120),  # 5.120
        (5000, "ISK", 500_000),  # 5,000 crowns
        (5, "ISK", 500),
        (5000, "UGX", 500_000),  # 5,000 shillings
        (500_000, "MGA", 5000),  # 5,000.00 ariary
        (1000, "HUF", 1000),  # 10.00; only payouts must be whole forints
        (1000, "TWD", 1000),
        (0, "EUR", 0),
        (2**53 - 1, "EUR", 2**53 - 1),
    ],
)
def test_an_amount_is_converted_to_the_units_of_the_provider(amount: int, currency: str, expected: int) -> None:
    assert stripe_amount(money(amount, currency)) == expected


@pytest.mark.parametrize(("amount", "currency"), [(5124, "KWD"), (1, "BHD"), (999, "TND"), (150, "MGA"), (1, "MGA")])
def test_an_amount_that_would_have_to_be_rounded_cannot_be_charged(amount: int, currency: str) -> None:
    with pytest.raises(NotChargeable, match="cannot charge or refund exactly") as raised:
        stripe_amount(money(amount, currency))
    assert str(amount) not in str(raised.value)


@given(amount=st.integers(0, 10**15), currency=st.sampled_from(sorted(MINOR_UNIT_DIGITS)))
def test_no_amount_changes_by_the_conversion(amount: int, currency: str) -> None:
    decimals = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    try:
        converted = stripe_amount(money(amount, currency))
    except NotChargeable:
        return
    assert converted * 10 ** MINOR_UNIT_DIGITS[currency] == amount * 10**decimals
    assert currency not in THREE_DECIMAL or converted % 10 == 0


@given(amount=st.integers(0, 10**15))
@pytest.mark.parametrize("currency", ["EUR", "USD", "JPY", "KRW", *ALWAYS_TWO])
def test_every_amount_in_a_common_currency_can_be_charged(currency: str, amount: int) -> None:
    stripe_amount(money(amount, currency))
