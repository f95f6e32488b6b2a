"""The values that contracts are made of: ids, quantities, money and times, each a type with its limits."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer

from backbone import clock
from backbone.contract import PERSONAL, Part

_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

# Part of a stream's name and of keys: no slash, no hash, no space.
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=_ID)]
OrderId = Annotated[Identifier, Field(description="The order's number, as the shop's customers see it.")]
Sku = Annotated[Identifier, Field(description="The article: its stock keeping unit.")]

Quantity = Annotated[int, Field(ge=1, le=1_000_000, description="Pieces.")]

PaymentMethod = Annotated[
    str, Field(max_length=255, pattern=r"^[\x21-\x7e]*$", description="The payment provider's token for it.")
]

# The provider's own ids: `pi_3MtwBwLkdIwHu7ix28a3tqPa`.
_PROVIDERS_ID: Final = r"^[\x21-\x7e]*$"
PaymentId = Annotated[
    str, Field(max_length=255, pattern=_PROVIDERS_ID, description="The payment provider's id; empty if none was asked.")
]
RefundId = Annotated[Identifier, Field(description="Names one refund of an order: the same id is the same refund.")]
Carrier = Annotated[str, Field(min_length=1, max_length=64, description="Who takes the parcel to its receiver.")]
TrackingNumber = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$", description="The carrier's number of the parcel."),
]

# An order's id and what the letter is about, together; behind a colon, which of several.
LetterId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=192,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="Names one letter: 1001.confirmed, 1001.refunded:R-1.",
    ),
]

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
# Decimal digits of the minor unit, by currency: ISO 4217 list one, without metals, funds and test codes.
MINOR_UNIT_DIGITS: Final = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}


def _known_currency(code: str) -> str:
    if code not in MINOR_UNIT_DIGITS:
        msg = "not the ISO 4217 code of a currency that has a minor unit"
        raise ValueError(msg)
    return code


Currency = Annotated[str, AfterValidator(_known_currency), Field(description="ISO 4217 code: EUR.")]

# Largest whole number that every JSON reader keeps exact (RFC 8259, section 6).
LARGEST_AMOUNT: Final = 2**53 - 1


class Money(Part):
    """An amount: whole minor units (cents, or yen, which have none) of one currency. Never a float."""

    amount: int = Field(ge=0, le=LARGEST_AMOUNT, description="Minor units of the currency: 1250 is 12.50 EUR.")
    currency: Currency

    def times(self, quantity: int) -> "Money":
        """So many of it."""
        return Money(amount=self.amount * quantity, currency=self.currency)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        msg = "outside of the calendar in UTC"
        raise ValueError(msg) from error


UtcTime = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(clock.timestamp, return_type=str, when_used="json"),
    Field(description="RFC 3339 with a zone; kept in UTC."),
]


class Address(Part):
    """Where a parcel goes. All but the country is about a person."""

    lines: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], PERSONAL] = Field(
        min_length=1, max_length=4, repr=False, description="Street and house, as they stand on the label."
    )
    postal_code: Annotated[str, PERSONAL] = Field(default="", max_length=16, repr=False)
    city: Annotated[str, PERSONAL] = Field(min_length=1, max_length=100, repr=False)
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2: AT.")


ShipTo = Annotated[Address | None, Field(description="Where the parcel goes; nowhere, if nothing is sent.")]


class Customer(Part):
    """Who has ordered. All of it is about a person."""

    name: Annotated[str, PERSONAL] = Field(min_length=1, max_length=200, repr=False)
    email: Annotated[str, PERSONAL] = Field(
        max_length=254,  # RFC 5321, section 4.5.3.1.3
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        repr=False,
        description="Where to write to.",
    )
    language: str = Field(
        default="en",
        max_length=35,  # RFC 5646, section 4.4.1
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        description="BCP 47: de-AT.",
    )
