"""The currencies and amounts that Stripe accepts: docs.stripe.com/currencies."""

from __future__ import annotations

from typing import Final

from daybook.local.provider.server.refusal import invalid


def _codes(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_SUPPORTED: Final = _codes(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf "
    "clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils "
    "inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk "
    "mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp "
    "sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw"
)
_ZERO_DECIMAL: Final = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
_THREE_DECIMAL: Final = _codes("bhd jod kwd omr tnd")
# Whole units only, written as two-decimal amounts that end in 00 ("special cases" of the page).
_ENDING_IN_00: Final = _codes("isk ugx")
# In minor units: "minimum charge amount" of the page. For other currencies, Stripe requires the value of the minimum of
# the account's payout currency at the current rate. The stand-in has no rates and accepts any amount.
_SMALLEST: Final = {
    **dict.fromkeys(_codes("usd ars aud brl cad chf cop eur idr ils inr jpy krw nzd php rub sgd zar"), 50),
    **dict.fromkeys(_codes("aed myr pln ron"), 200),
    **dict.fromkeys(_codes("nok sek"), 300),
    **dict.fromkeys(_codes("mxn thb"), 1000),
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
}
# "The amount value supports up to eight digits": docs.stripe.com/api/payment_intents/create. The page on currencies
# allows most cards twelve; the stricter rule holds for every payment method.
_LARGEST: Final = 99_999_999
_SIGNS: Final = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def known(currency: str) -> str:
    """Return the currency. Rejects one that Stripe does not support. The page requires lower case."""
    if currency not in _SUPPORTED:
        supported = ", ".join(_SUPPORTED)
        raise invalid(
            None, f"Invalid currency: {currency}. Stripe currently supports these currencies: {supported}", "currency"
        )
    return currency


def chargeable(amount: int, currency: str) -> int:
    """Return the amount, in minor units. Rejects one that is too small, too large or not a multiple of the smallest
    unit.
    """
    smallest = _SMALLEST.get(currency, 1)
    if amount < smallest:
        raise invalid("amount_too_small", f"Amount must be at least {money(smallest, currency)} {currency}", "amount")
    if amount > _LARGEST:
        raise invalid("amount_too_large", f"Amount must be no more than {money(_LARGEST, currency)}", "amount")
    return whole(amount, currency)


def whole(amount: int, currency: str) -> int:
    """Return the amount. Rejects a fraction that this currency does not allow.

    Three-decimal amounts must end in 0, amounts in ISK and UGX in 00.
    """
    step = 10 if currency in _THREE_DECIMAL else 100 if currency in _ENDING_IN_00 else 1
    if amount % step:
        raise invalid(
            "invalid_charge_amount",
            f"Invalid amount: {amount}. Amounts in {currency} must be divisible by {step}.",
            "amount",
        )
    return amount


def money(amount: int, currency: str) -> str:
    """The amount in the format of Stripe's messages: $10.00."""
    digits = 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2
    figure = f"{amount / 10**digits:,.{digits}f}"
    return f"{_SIGNS[currency]}{figure}" if currency in _SIGNS else f"{figure} {currency}"
