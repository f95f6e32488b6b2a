"""What looks like fraud on accounts. A suspicion is an opinion, with all that it rests on: a person decides."""

from typing import Annotated, Literal

from pydantic import Field

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import Currency, UtcTime
from events.accounts import AccountId, Amount, AuthorisationId, CustomerId

ReasonName = Literal["velocity", "unusual_amount", "impossible_travel", "new_country", "card_testing"]
Weight = Annotated[int, Field(ge=1, le=100, description="How much the reason adds to the score.")]


class Figure(Part):
    """A number that a reason rests on."""

    what: str = Field(min_length=1, max_length=64, description="What is counted or measured, in words.")
    value: int = Field(description="Whole numbers of the unit.")
    unit: str = Field(min_length=1, max_length=32, description="km/h, seconds, times …")


class Reason(Part):
    """Why a transaction looks like fraud."""

    name: ReasonName
    weight: Weight
    rests_on: tuple[Figure, ...] = Field(min_length=1, max_length=8)


class FraudSuspected(Event, joins="suspicion/{account_id}"):
    """A transaction looks like fraud, for one reason or several. It has been posted all the same."""

    authorisation_id: AuthorisationId
    account_id: AccountId
    customer_id: CustomerId
    amount: Amount
    currency: Currency
    channel: Literal["card", "cash", "transfer"] = Field(description="How the money moved.")
    country: str = Field(pattern=r"^([A-Z]{2})?$", description="Where, by ISO 3166-1; empty for a transfer.")
    posted_at: UtcTime = Field(description="When it happened, by the bank's own clock.")
    score: int = Field(ge=1, le=1_000, description="The sum of the reasons' weights.")
    threshold: int = Field(ge=1, le=1_000, description="What was enough: less, after another suspicion.")
    reasons: tuple[Reason, ...] = Field(min_length=1, max_length=8, description="The heaviest first.")

    example = {
        "authorisation_id": "A-90018",
        "account_id": "acc-7f3e",
        "customer_id": "cus-19b2",
        "amount": 89900,
        "currency": "EUR",
        "channel": "card",
        "country": "BR",
        "posted_at": "2026-03-01T13:00:00.000000Z",
        "score": 70,
        "threshold": 60,
        "reasons": [
            {
                "name": "impossible_travel",
                "weight": 45,
                "rests_on": [
                    {"what": "speed", "value": 9914, "unit": "km/h"},
                    {"what": "distance", "value": 9914, "unit": "km"},
                    {"what": "time between", "value": 3600, "unit": "seconds"},
                ],
            },
            {
                "name": "new_country",
                "weight": 25,
                "rests_on": [{"what": "countries known before", "value": 1, "unit": "countries"}],
            },
        ],
    }
