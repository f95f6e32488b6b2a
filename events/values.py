"""Values that contracts share: ids, quantities, customers, addresses."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from daybook.contracts.contract import NUMERIC_ID, PERSONAL, NumericId, Part
from daybook.contracts.values import PlainText, check_visible

# Printable ASCII, because keys and headers of e-mails contain it. @ begins the keys of a view's own rows.
_NUMBER: Final = re.compile(r"(?![ @])[ -~]{1,64}(?<! )")


def _check_number(value: str) -> str:
    if not _NUMBER.fullmatch(value):
        msg = (
            f"{value!a} is not a number as shops write it: 1 to 64 printable characters of ASCII, "
            "without a space at either end, and not beginning with @: #1001, 2026/15, DE-1001.A"
        )
        raise ValueError(msg)
    return value


Number = Annotated[str, AfterValidator(_check_number), Field(min_length=1, max_length=64)]

OrderId = Annotated[Number, Field(description="The number of the order, which the customer sees: #1001, 2026/15.")]
# A GTIN, such as an EAN, has at most 14 digits.
Sku = Annotated[Number, NumericId(max_digits=14), Field(description="The stock keeping unit of the article.")]

Quantity = Annotated[int, Field(ge=1, le=1_000_000, description="Pieces.")]

PaymentMethod = Annotated[
    str,
    Field(
        max_length=255, pattern=r"^[\x21-\x7e]*$", description="The payment provider's token for the payment method."
    ),
]

# Ids at the payment provider: `pi_3MtwBwLkdIwHu7ix28a3tqPa`.
_PROVIDER_ID: Final = r"^[\x21-\x7e]*$"
PaymentId = Annotated[
    str,
    Field(
        max_length=255, pattern=_PROVIDER_ID, description="The id at the payment provider; empty if the order is free."
    ),
]
RefundId = Annotated[Number, Field(description="The id of a refund of the order. The same id means the same refund.")]
Carrier = Annotated[
    PlainText, Field(min_length=1, max_length=64, description="The company that delivers the shipment.")
]
TrackingNumber = Annotated[
    str,
    NUMERIC_ID,
    Field(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$", description="The carrier's number of the shipment."),
]

# The order id and the reason to write. If there may be several, a colon and the id of this one follow. It is the value
# of a header, for which SES allows 870 characters of ASCII
# (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html).
EmailId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="The id of an e-mail: #1001.confirmed, #1001.refunded:R-1.",
    ),
]


class Address(Part):
    """The address of a shipment. Everything except the country is personal data."""

    lines: Annotated[tuple[Annotated[PlainText, Field(max_length=200)], ...], PERSONAL] = Field(
        min_length=1, max_length=4, repr=False, description="Street and house number, as on the label."
    )
    postal_code: Annotated[PlainText, PERSONAL] = Field(default="", max_length=16, repr=False)
    city: Annotated[PlainText, PERSONAL] = Field(min_length=1, max_length=100, repr=False)
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2: AT.")


ShipTo = Annotated[Address | None, Field(description="The address of the shipment; none if nothing is shipped.")]


# The structure only; whether an internationalised domain is valid is known when it is converted for SES.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")  # the dots of domains: RFC 3490, section 3.1


def _check_email(value: str) -> str:
    check_visible(value.replace("\N{ZERO WIDTH JOINER}", "").replace("\N{ZERO WIDTH NON-JOINER}", ""))  # RFC 5892, A.1
    local, _, domain = value.rpartition("@")
    if not local.isascii():
        raise ValueError(
            "the part before the @ has characters other than ASCII, and SES cannot send to it: use another address "
            "of the customer. Only the domain may have such characters"
        )
    labels = _DOTS.split(domain)
    if not _EMAIL.fullmatch(value) or len(labels) == 1 or not all(labels):
        raise ValueError("not an e-mail address: write it as name@example.com")
    return value


# Subtags of 1 to 8 letters and digits (RFC 5646, section 2.1), which some systems separate by underscores.
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z0-9]{1,8}([_-][A-Za-z0-9]{1,8})*")


def _check_language(value: str) -> str:
    if not _LANGUAGE_TAG.fullmatch(value):
        msg = "not a language tag of RFC 5646: write it as de or de-AT"
        raise ValueError(msg)
    return value


class Customer(Part):
    """A customer. Everything except the language is personal data."""

    name: Annotated[PlainText, PERSONAL] = Field(min_length=1, max_length=200, repr=False)
    email: Annotated[str, PERSONAL, AfterValidator(_check_email)] = Field(
        max_length=254,  # RFC 5321, section 4.5.3.1.3
        repr=False,
        description="ASCII before the @; the domain may be internationalised: bücher.example.",
    )
    language: Annotated[str, AfterValidator(_check_language)] = Field(
        default="en",
        max_length=255,  # RFC 5646, section 4.4: at least 35; tags have no maximum length
        description="A language tag of RFC 5646, in any case: de-AT, en-US-u-mu-celsius. de_AT is accepted too.",
    )
