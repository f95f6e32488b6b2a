"""The values that this application's contracts share: ids, quantities, customers, addresses."""

from typing import Annotated, Final

from pydantic import Field

from daybook.contracts.contract import PERSONAL, Part
from daybook.contracts.values import Identifier

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
