"""Types for contracts of any business: identifiers, texts, money and times, with their limits."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer

from daybook.contracts import clock
from daybook.contracts.contract import Part

# Part of stream names and keys, so it contains no slash, no hash and no space.
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

# Controls (Unicode's category Cc), and the embeddings, overrides and isolates of the bidirectional algorithm
# (https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters), which make a text read as another one
# (https://trojansource.codes). Right-to-left marks and joiners remain: names in Arabic, Hebrew and Persian have them.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _check_plain(text: str) -> str:
    if _HIDDEN.search(text):
        msg = "has a control character, or one that overrides the direction of writing: remove it"
        raise ValueError(msg)
    return text


def check_visible(text: str) -> str:
    """The text, if all its characters can be seen, and a space is the only space. For a validator: raises ValueError.

    Controls, directions, zero-width characters, other spaces and unassigned characters cannot (str.isprintable).
    """
    if not text.isprintable():
        msg = "has a character that nobody sees, such as a control or a zero-width space: remove it"
        raise ValueError(msg)
    return text


# One line that people read, such as a name. A fact is stored as it was sent, so such a text is rejected, not repaired.
PlainText = Annotated[str, AfterValidator(_check_plain)]

_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
    "MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
    "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
    "VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
# By the month of withdrawal: ISO 4217 list three since 2000, without codes that are in use again.
# https://www.six-group.com/en/products-services/financial-information/market-reference-data/data-standards.html
_WITHDRAWN = {
    "2000-02": "AON AOR",
    "2000-09": "ECS ECV",
    "2001-01": "BYB",
    "2001-04": "TJR",
    "2002-03": "ATS BEF DEM ESP FIM FRF GRD IEP ITL LUF NLG PTE",
    "2002-11": "TPE",
    "2003-01": "AFA",
    "2003-07": "ADP YUM",
    "2003-11": "BGL",
    "2003-12": "SRG",
    "2004-01": "RUR",
    "2004-11": "CHC",
    "2004-12": "MGF",
    "2005-06": "ROL",
    "2005-12": "AZM TRL",
    "2006-06": "MZM",
    "2006-09": "ZWN",
    "2006-10": "CSD",
    "2007-01": "SIT",
    "2007-06": "GHP",
    "2007-07": "SDD",
    "2008-01": "CYP GHC MTL VEB",
    "2008-08": "ZWD",
    "2009-01": "SKK TMM",
    "2009-06": "ZWR",
    "2011-01": "EEK",
    "2012-12": "ZMK",
    "2014-01": "LVL",
    "2014-03": "USS",
    "2014-12": "LTL",
    "2017-01": "BYR",
    "2017-12": "MRO STD",
    "2018-08": "VEF",
    "2021-06": "CUC",
    "2023-01": "HRK",
    "2023-12": "SLL",
    "2024-09": "ZWL",
    "2025-03": "ANG",
    "2026-01": "BGN",
}
# List three has no minor units; these withdrawn currencies had none, the others had two digits (the data of
# java.util.Currency: https://github.com/openjdk/jdk/blob/master/src/java.base/share/data/currency/currency.properties).
_WITHDRAWN_WITHOUT_DIGITS = "ADP BEF BYB BYR ESP GRD ITL LUF MGF PTE TPE TRL"
_WITHDRAWAL_MONTH = {code: month for month, codes in _WITHDRAWN.items() for code in codes.split()}

# Decimal digits of the minor unit, by currency: ISO 4217 list one, without precious metals, funds and test codes.
MINOR_UNIT_DIGITS: Final = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}
# The same for the currencies that recorded events may have: with those that were withdrawn.
RECORDED_MINOR_UNIT_DIGITS: Final = MINOR_UNIT_DIGITS | {
    code: 0 if code in _WITHDRAWN_WITHOUT_DIGITS.split() else 2 for code in _WITHDRAWAL_MONTH
}


def currency_problem(code: str, day: date | None = None) -> str | None:
    """Why the currency cannot be used on this day, or None. Without a day, only current currencies can be used.

    Coins and notes of a withdrawn currency are used until the end of the month that ISO 4217 gives.
    """
    if code in MINOR_UNIT_DIGITS:
        return None
    month = _WITHDRAWAL_MONTH.get(code)
    if month is None:
        return "must be the ISO 4217 code of a currency that has a minor unit, in capital letters: EUR"
    if day is not None and f"{day:%Y-%m}" <= month:
        return None
    return f"{code} was withdrawn in {month} (ISO 4217, list three); send the currency that replaced it"


def _current_currency(code: str) -> str:
    if problem := currency_problem(code):
        raise ValueError(problem)
    return code


def _recorded_currency(code: str) -> str:
    return code if code in _WITHDRAWAL_MONTH else _current_currency(code)


Currency = Annotated[str, AfterValidator(_current_currency), Field(description="ISO 4217 code: EUR.")]
RecordedCurrency = Annotated[
    str,
    AfterValidator(_recorded_currency),
    Field(description="ISO 4217 code: EUR. A currency that was withdrawn is allowed for times before its withdrawal."),
]

# The largest integer that every JSON reader represents exactly (RFC 8259, section 6).
MAX_AMOUNT: Final = 2**53 - 1


class SignedMoney(Part):
    """An amount of money that may be negative: whole minor units of one currency. Never a float."""

    amount: int = Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT, description="Minor units of the currency: -500 is -5.00 EUR.")
    currency: Currency


class Money(SignedMoney):
    """An amount of money: whole minor units of one currency (cents; for JPY, which has none, yen). Never a float."""

    amount: int = Field(ge=0, le=MAX_AMOUNT, description="Minor units of the currency: 1250 is 12.50 EUR.")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        msg = "out of range in UTC"
        raise ValueError(msg) from error


UtcTime = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(clock.timestamp, return_type=str, when_used="json"),
    Field(description="RFC 3339 with a time zone; stored in UTC."),
]


def _in_range(moment: datetime) -> datetime:
    _in_utc(moment)
    return moment


OffsetTime = Annotated[
    AwareDatetime,
    AfterValidator(_in_range),
    PlainSerializer(clock.offset_timestamp, return_type=str, when_used="json"),
    Field(description="RFC 3339 with a time zone; keeps the sender's UTC offset, so that its date is the sender's."),
]
