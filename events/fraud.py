"""Suspected fraud on accounts. A suspicion stops nothing: it gives its reasons, and a person decides."""

from typing import Annotated, Literal

from pydantic import Field

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import RecordedCurrency, UtcTime
from events.accounts import AccountId, Amount, AuthorisationId, CustomerId

ReasonName = Literal[
    "velocity",
    "unusual_amount",
    "impossible_travel",
    "new_country",
    "card_testing",
    "new_web_merchants",
    "new_payee",
    "money_passed_on",
]
Weight = Annotated[int, Field(ge=1, le=100, description="What the reason adds to the score.")]


class Figure(Part):
    """A number that supports a reason."""

    name: str = Field(min_length=1, max_length=64, description="What is counted or measured.")
    value: int = Field(description="Whole number of the unit.")
    unit: str = Field(min_length=1, max_length=32, description="km/h, seconds, times …")


class Reason(Part):
    """Why a transaction looks like fraud."""

    name: ReasonName
    weight: Weight
    figures: tuple[Figure, ...] = Field(min_length=1, max_length=8)


class FraudSuspected(Event, joins="suspicion/{account_id}"):
    """A transaction looks like fraud, for one or more reasons. It was posted nevertheless."""

    authorisation_id: AuthorisationId
    account_id: AccountId
    customer_id: CustomerId
    amount: Amount
    currency: RecordedCurrency
    channel: Literal["card", "cash", "transfer"] = Field(description="How the money moved.")
    country: str = Field(pattern=r"^([A-Z]{2})?$", description="ISO 3166-1 alpha-2; empty for a transfer.")
    posted_at: UtcTime = Field(description="Time of the transaction, by the bank's clock.")
    score: int = Field(ge=1, le=1_000, description="The sum of the reasons' weights.")
    threshold: int = Field(ge=1, le=1_000, description="The score needed; lower after another suspicion.")
    reasons: tuple[Reason, ...] = Field(min_length=1, max_length=8, description="Highest weight first.")

    example = {
        "authorisation_id": "A-90018",
        "account_id": "acc-7f3e",
        "customer_id": "cus-19b2",
        "amount": 89900,
        "currency": "EUR",
        "channel": "card",
        "country": "BR",
        "posted_at": "2026-03-01T13:00:00.000000Z",
        "score": 65,
        "threshold": 60,
        "reasons": [
            {
                "name": "impossible_travel",
                "weight": 45,
                "figures": [
                    {"name": "speed", "value": 9914, "unit": "km/h"},
                    {"name": "distance", "value": 9914, "unit": "km"},
                    {"name": "time between", "value": 3600, "unit": "seconds"},
                ],
            },
            {
                "name": "new_country",
                "weight": 20,
                "figures": [{"name": "countries known before", "value": 1, "unit": "countries"}],
            },
        ],
    }
