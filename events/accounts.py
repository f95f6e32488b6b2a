"""What happens on accounts. The bank's own system sends all of it; whoever wants to know, listens."""

import re
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from daybook.contracts.contract import PERSONAL, Event, Part
from daybook.contracts.values import LARGEST_AMOUNT, Currency, Identifier, UtcTime

_CARD: Final = re.compile(r"\d{12,19}")  # ISO/IEC 7812-1, with the shorter numbers that are in use
_IBAN: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")  # ISO 13616
_TEN: Final = 10


def _is_no_number(token: str) -> str:
    """Refuse what a card or an account is known by outside of the bank: ids stand in keys and logs."""
    bare = token.replace("-", "").replace(".", "").upper()
    if _IBAN.fullmatch(bare) or (_CARD.fullmatch(bare) and _passes_luhn(bare)):
        msg = "a card's or an account's number; send the bank's own token for it"
        raise ValueError(msg)
    return token


def _passes_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: the check digit of card numbers."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number >= _TEN else number for number in doubled) % _TEN == 0


Token = Annotated[Identifier, AfterValidator(_is_no_number)]
AccountId = Annotated[Token, Field(description="The bank's own token for the account, never its number.")]
CustomerId = Annotated[Token, Field(description="The bank's own token for whose account it is.")]
AuthorisationId = Annotated[
    Token, Field(description="Names one transaction. The same id with other content is refused.")
]
Amount = Annotated[
    int, Field(ge=1, le=LARGEST_AMOUNT, description="Minor units of the currency, always positive: see direction.")
]
Degrees = Annotated[float, Field(allow_inf_nan=False, description="Decimal degrees, WGS 84.")]


class Place(Part):
    """Where something happened."""

    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2: AT.")
    city: str = Field(default="", max_length=100)
    latitude: Degrees | None = Field(default=None, ge=-90, le=90)
    longitude: Degrees | None = Field(default=None, ge=-180, le=180)

    @model_validator(mode="after")
    def _is_a_point_or_none(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            msg = "latitude and longitude belong together"
            raise ValueError(msg)
        return self


class Merchant(Part):
    """Who was paid at, or with."""

    merchant_id: Token
    mcc: str = Field(pattern=r"^\d{4}$", description="Merchant category code, ISO 18245: 5411.")
    place: Place


class Counterparty(Part):
    """The other side of a transfer."""

    name: Annotated[str, PERSONAL] = Field(min_length=1, max_length=200, repr=False)
    account: Annotated[str, PERSONAL] = Field(
        default="", max_length=64, repr=False, description="Its number, if known."
    )
    country: str = Field(default="", pattern=r"^([A-Z]{2})?$", description="ISO 3166-1 alpha-2, if known.")


class Transaction(Part):
    """Money that has moved on an account: all that whoever listens needs to know of it."""

    authorisation_id: AuthorisationId
    account_id: AccountId
    customer_id: CustomerId
    opened_on: date = Field(description="Since when there is the account.")
    direction: Literal["debit", "credit"] = Field(description="From the account, or to it.")
    amount: Amount
    currency: Currency
    channel: Literal["card", "cash", "transfer"] = Field(description="How the money moved.")
    merchant: Merchant | None = Field(default=None, description="Of a card's transaction.")
    place: Place | None = Field(default=None, description="Of cash: the branch, or the machine.")
    counterparty: Counterparty | None = Field(default=None, description="Of a transfer.")
    posted_at: UtcTime = Field(description="When it happened, by the bank's own clock.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needed = {"card": self.merchant, "transfer": self.counterparty, "cash": self.place}[self.channel]
        if needed is None:
            msg = "a card's transaction needs its merchant, a transfer its counterparty, cash its place"
            raise ValueError(msg)
        if self.posted_at.date() < self.opened_on:
            msg = "posted_at lies before there was the account"
            raise ValueError(msg)
        return self

    @property
    def where(self) -> Place | None:
        """Where it happened, as far as that is a place."""
        return self.merchant.place if self.merchant else self.place


_PURCHASE = {
    "authorisation_id": "A-90017",
    "account_id": "acc-7f3e",
    "customer_id": "cus-19b2",
    "opened_on": "2019-04-01",
    "direction": "debit",
    "amount": 4250,
    "currency": "EUR",
    "channel": "card",
    "merchant": {
        "merchant_id": "m-881",
        "mcc": "5411",
        "place": {"country": "AT", "city": "Wien", "latitude": 48.2082, "longitude": 16.3738},
    },
    "posted_at": "2026-03-01T12:00:00.000000Z",
}


class TransactionPosted(
    Event,
    Transaction,
    joins="account/{account_id}",
    sources=("bank.core",),
    happened="posted_at",
    identified_by="authorisation_id",
):
    """Money has moved on an account. Comes from outside: the bank's core system sends it, and waits for nobody."""

    example = _PURCHASE


class TransactionReversed(
    Event,
    Transaction,
    joins="account/{account_id}",
    sources=("bank.core",),
    happened="reversed_at",
    identified_by="authorisation_id",
):
    """A transaction is taken back, whole. It says again what it takes back, so that it may come before that."""

    reversed_at: UtcTime = Field(description="When it was taken back, by the bank's own clock.")

    example = {**_PURCHASE, "reversed_at": "2026-03-02T08:30:00.000000Z"}
