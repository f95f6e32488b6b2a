"""Events of bank accounts. The bank's core system sends them; any service may subscribe."""

import re
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from daybook.contracts.card_numbers import is_card_number
from daybook.contracts.contract import NUMERIC_ID, PERSONAL, Event, Part
from daybook.contracts.values import (
    MAX_AMOUNT,
    Identifier,
    OffsetTime,
    PlainText,
    RecordedCurrency,
    UtcTime,
    currency_problem,
)
from events.account_numbers import bare, is_iban

# ISO 8583, field 37: twelve digits, of which the first four are a digit of the year and the day of the year. They may
# look like one of the rare card numbers with twelve digits.
_RETRIEVAL_REFERENCE: Final = re.compile(r"\d{12}")

# The business day in days after the date of `posted_at`. It may be the day before (branches that close after midnight),
# or later (weekends and holidays). Our own choice, without a source: it finds wrong years.
_BUSINESS_DAYS: Final = range(-1, 15)


def _check_token(token: str) -> str:
    """Reject a card number or an IBAN: ids are in keys and logs. Raises ValueError, which does not quote the number."""
    plain = bare(token)
    if is_iban(plain):
        msg = "is an IBAN: its country, its length and its check digits match; send the bank's own token instead"
        raise ValueError(msg)
    if is_card_number(plain):
        msg = (
            "is a card number: its issuer, its length and its check digit match; send the bank's own token instead; "
            "if this is the token, add a prefix to it: id-"
        )
        raise ValueError(msg)
    return token


def _check_authorisation(token: str) -> str:
    return token if _RETRIEVAL_REFERENCE.fullmatch(token) else _check_token(token)


# Numeric ids for admit, because the checks here know more about them.
Token = Annotated[Identifier, AfterValidator(_check_token), NUMERIC_ID]
AccountId = Annotated[Token, Field(description="The bank's own token for the account, never its number.")]
CustomerId = Annotated[Token, Field(description="The bank's own token for the owner of the account.")]
AuthorisationId = Annotated[
    Identifier,
    AfterValidator(_check_authorisation),
    NUMERIC_ID,
    Field(description="Identifies one transaction. The same id with other content is rejected."),
]
# Merchant ids are numbers by nature (ISO 8583, field 42), so some would look like card numbers. They identify no card.
MerchantId = Annotated[
    Identifier, NUMERIC_ID, Field(description="The acquirer's id of the merchant. It may be a number.")
]
Amount = Annotated[
    int, Field(ge=1, le=MAX_AMOUNT, description="Minor units of the currency, always positive: see `direction`.")
]
# 31 CFR 1010.311 and .313 are in US dollars, for the currency of any country (1010.100(m)).
REPORTING_CURRENCY: Final = "USD"
ReportingRate = Annotated[
    str,
    Field(
        pattern=r"^(0\.\d{0,11}[1-9]\d{0,11}|[1-9]\d{0,8}(\.\d{1,12})?)$",
        description=f"Units of the reporting currency, {REPORTING_CURRENCY}, for one unit of this currency: 1.0843.",
    ),
]
Degrees = Annotated[float, Field(allow_inf_nan=False, description="Decimal degrees, WGS 84.")]


class Place(Part):
    """Where something happened."""

    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2: AT.")
    city: PlainText = Field(default="", max_length=100)
    latitude: Degrees | None = Field(default=None, ge=-90, le=90)
    longitude: Degrees | None = Field(default=None, ge=-180, le=180)

    @model_validator(mode="after")
    def _check_coordinates(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            msg = "latitude and longitude must both be given, or neither"
            raise ValueError(msg)
        return self


class Merchant(Part):
    """The shop or company that received a card payment."""

    merchant_id: MerchantId
    mcc: str = Field(pattern=r"^\d{4}$", description="Merchant category code, ISO 18245: 5411.")
    place: Place


class Counterparty(Part):
    """The sender or the recipient of a transfer."""

    name: Annotated[PlainText, PERSONAL] = Field(min_length=1, max_length=200, repr=False)
    account: Annotated[str, PERSONAL, NUMERIC_ID] = Field(
        default="", max_length=64, repr=False, description="Account number, if known."
    )
    country: str = Field(default="", pattern=r"^([A-Z]{2})?$", description="ISO 3166-1 alpha-2, if known.")
    born_on: Annotated[date | None, PERSONAL] = Field(
        default=None, repr=False, description="The birth date of a person, if known."
    )


class Transaction(Part):
    """A movement of money on an account, with everything that a consumer needs."""

    authorisation_id: AuthorisationId
    account_id: AccountId
    customer_id: CustomerId
    opened_on: date = Field(description="The day on which the account was opened.")
    direction: Literal["debit", "credit"] = Field(description="`debit`: from the account. `credit`: to the account.")
    amount: Amount
    currency: RecordedCurrency
    reporting_rate: ReportingRate | None = Field(
        default=None, description="For cash in another currency: the bank's rate. Without it, the loaded rate is used."
    )
    channel: Literal["card", "cash", "transfer"] = Field(description="How the money moved.")
    merchant: Merchant | None = Field(default=None, description="Required for a card transaction.")
    place: Place | None = Field(default=None, description="Required for cash: the branch or the cash machine.")
    counterparty: Counterparty | None = Field(default=None, description="Required for a transfer.")
    card_present: bool | None = Field(
        default=None,
        description="For a card transaction. `true`: the card, or a phone that replaces it, was at the merchant's "
        "terminal. `false`: it was not, as online, by phone, or with a stored card. Absent: the bank does not know; "
        "then a merchant with coordinates counts as visited, and one without as online.",
    )
    conducted_by: Token | None = Field(
        default=None,
        description="For cash: the bank's own token for the person who paid in or took out, if not the owner.",
    )
    posted_at: OffsetTime = Field(
        description="Time of the transaction, by the bank's clock, with the bank's UTC offset."
    )
    business_day: date | None = Field(
        default=None, description="The bank's business day, 31 CFR 1010.100(d). Without it, the day in UTC is assumed."
    )

    @model_validator(mode="after")
    def _check_transaction(self) -> Self:
        needed = {"card": self.merchant, "transfer": self.counterparty, "cash": self.place}[self.channel]
        if needed is None:
            msg = "a card transaction needs `merchant`, a transfer needs `counterparty`, cash needs `place`"
            raise ValueError(msg)
        posted = self.posted_at.date()  # in the bank's offset, as opened_on and business_day
        if posted < self.opened_on:
            msg = f"posted_at is on {posted}, before opened_on ({self.opened_on}); check the UTC offset of posted_at"
            raise ValueError(msg)
        if problem := currency_problem(self.currency, posted):
            msg = f"currency: {problem}"
            raise ValueError(msg)
        if self.business_day and (self.business_day - posted).days not in _BUSINESS_DAYS:
            msg = (
                f"business_day ({self.business_day}) must be from {-_BUSINESS_DAYS[0]} day before to "
                f"{_BUSINESS_DAYS[-1]} days after posted_at ({posted})"
            )
            raise ValueError(msg)
        return self

    @property
    def in_person(self) -> bool:
        """Whether the customer was at `location`, as far as is known: see `card_present`. False for a transfer."""
        where = self.location
        if where is None or (self.channel == "card" and self.card_present is False):
            return False
        return self.channel == "cash" or self.card_present is True or where.latitude is not None

    @property
    def location(self) -> Place | None:
        """Where the transaction happened; None for a transfer."""
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
    "card_present": True,
    "posted_at": "2026-03-01T12:00:00.000000Z",
}


class TransactionPosted(
    Event,
    Transaction,
    joins="account/{account_id}",
    sources=("bank.core",),
    occurred_at="posted_at",
    identified_by="authorisation_id",
):
    """Money has moved on an account. The bank's core system sends it and does not wait for any consumer."""

    example = _PURCHASE


class TransactionReversed(
    Event,
    Transaction,
    joins="account/{account_id}",
    sources=("bank.core",),
    occurred_at="reversed_at",
    identified_by="authorisation_id",
):
    """A whole transaction was reversed. It repeats the transaction's data, so it may arrive before the transaction.

    Compliance does not apply a reversal with another amount, currency, direction, channel or customer.
    """

    reversed_at: UtcTime = Field(description="Time of the reversal, by the bank's clock.")

    example = {**_PURCHASE, "reversed_at": "2026-03-02T08:30:00.000000Z"}
