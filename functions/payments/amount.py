"""Amounts in Stripe's units, which are not always the minor units of ISO 4217."""

from decimal import Decimal
from typing import Final

from daybook.contracts.values import MINOR_UNIT_DIGITS, Money

# https://docs.stripe.com/currencies#zero-decimal
_WITHOUT_DECIMALS: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
# https://docs.stripe.com/currencies#three-decimal: the last of the three digits must be 0.
_WITH_THREE: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


class NotChargeable(ValueError):
    """Stripe cannot charge or refund exactly this amount in this currency."""


def stripe_amount(money: Money) -> int:
    """The amount for Stripe's API. Raises NotChargeable if it would have to be rounded.

    Stripe uses two decimals for all currencies except those above, also for ISK and UGX, which have none
    (https://docs.stripe.com/currencies#special-cases).
    """
    digits = 0 if money.currency in _WITHOUT_DECIMALS else 3 if money.currency in _WITH_THREE else 2
    exact = Decimal(money.amount).scaleb(digits - MINOR_UNIT_DIGITS[money.currency])
    if exact != exact.to_integral_value() or (money.currency in _WITH_THREE and exact % 10):
        raise NotChargeable("the payment provider cannot charge or refund exactly this amount in this currency")
    return int(exact)
