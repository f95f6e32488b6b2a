"""Types for contracts of any business: identifiers, money and times, with their limits."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer

from daybook.contracts import clock
from daybook.contracts.contract import Part

# Part of stream names and keys, so it contains no slash, no hash and no space.
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

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
# Decimal digits of the minor unit, by currency: ISO 4217 list one, without precious metals, funds and test codes.
MINOR_UNIT_DIGITS: Final = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}


def _known_currency(code: str) -> str:
    if code not in MINOR_UNIT_DIGITS:
        msg = "must be the ISO 4217 code of a currency that has a minor unit"
        raise ValueError(msg)
    return code


Currency = Annotated[str, AfterValidator(_known_currency), Field(description="ISO 4217 code: EUR.")]

# The largest integer that every JSON reader represents exactly (RFC 8259, section 6).
LARGEST_AMOUNT: Final = 2**53 - 1


class Money(Part):
    """An amount of money: whole minor units of one currency (cents; for JPY, which has none, yen). Never a float."""

    amount: int = Field(ge=0, le=LARGEST_AMOUNT, description="Minor units of the currency: 1250 is 12.50 EUR.")
    currency: Currency

    def times(self, quantity: int) -> "Money":
        """The amount, multiplied by `quantity`."""
        return Money(amount=self.amount * quantity, currency=self.currency)


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
