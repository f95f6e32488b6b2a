"""What compliance finds in a bank's transactions, and what it judges them by. No name stands in any of it."""

from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import LARGEST_AMOUNT, Currency, Identifier, Money, UtcTime
from events.accounts import Amount, AuthorisationId, CustomerId

MOST_TRANSACTIONS: Final = 50  # that a case names
MOST_MATCHES: Final = 10  # entries of the list that a case names
MOST_PARTS: Final = 90  # in which a list's content is kept: few enough to be read in one call beside other rows

# Of what its matter is made of: the rule, the customer and all that tells it from others. Colons stand in no part.
CaseId = Annotated[
    str,
    Field(
        max_length=128,
        pattern=r"^[a-z-]+(:[A-Za-z0-9][A-Za-z0-9._-]*){3,4}$",
        description="Names one matter: currency:cus-19b2:credit:USD:2026-03-01.",
    ),
]
Rule = Literal["cash_over_threshold", "cash_of_one_day", "structuring", "sanctioned_name"]
RuleThatApplied = Annotated[Rule, Field(description="By which rule it was opened.")]
BusinessDay = Annotated[date, Field(description="In UTC, the day on which it was posted.")]
Percent = Annotated[int, Field(ge=50, le=100, description="How alike two names are; 100 is the same.")]
Revision = Annotated[
    int, Field(ge=1, le=2**53 - 1, description="The sender's version: a later one wins, whichever comes first.")
]
ListVersion = Annotated[Identifier, Field(description="Names one load of the list.")]
Entry = Annotated[int, Field(ge=1, le=2**53 - 1, description="The entry's number in the list: ent_num.")]


class Threshold(Part):
    """Above which amount cash is reported, and what looks as if somebody kept below it. Minor units of a currency."""

    amount: Amount = Field(description="Cash of more than this on one business day is reported; this itself is not.")
    margin: int = Field(ge=0, le=LARGEST_AMOUNT, description="From so much below it on, one is just below it.")
    days: int = Field(ge=1, le=31, description="Several just below it are looked at together within so many days.")

    @model_validator(mode="after")
    def _leaves_something_below(self) -> Self:
        if self.margin >= self.amount:
            msg = "margin must be less than amount"
            raise ValueError(msg)
        return self


class ReportingThresholdSet(Event, Threshold, joins="threshold/{currency}", sources=("bank.compliance",)):
    """From a business day on, a threshold holds for cash of a currency. Comes from outside: compliance sends it."""

    currency: Currency
    holds_from: date = Field(description="The first business day that is judged by it.")
    revision: Revision

    example = {
        "currency": "JPY",
        "holds_from": "2026-04-01",
        "amount": 1_500_000,
        "margin": 150_000,
        "days": 7,
        "revision": 1,
    }


class Sum(Part):
    """What amounts of one currency come to, in minor units. It may be larger than any one amount."""

    amount: int = Field(ge=0)
    currency: Currency


class Basis(Part):
    """The transactions that a case rests on."""

    sums: tuple[Sum, ...] = Field(max_length=200, description="What they come to, one for each currency.")
    count: int = Field(ge=0, description="How many they are.")
    transactions: tuple[AuthorisationId, ...] = Field(
        max_length=MOST_TRANSACTIONS, description="Which they are; of more than can be named, those that came first."
    )


class Match(Part):
    """An entry of the sanctions list that a counterparty's name is like."""

    entry: Entry
    likeness: Percent


_CASE: Final = "currency:cus-19b2:credit:USD:2026-03-01"
_DEPOSITS: Final = {
    "sums": [{"amount": 1_200_000, "currency": "USD"}],
    "count": 2,
    "transactions": ["A-90017", "A-90018"],
}


class ComplianceCaseOpened(Event, opens="case/{case_id}"):
    """Somebody must look into a matter. There is one case for each, however many transactions it rests on."""

    case_id: CaseId
    rule: RuleThatApplied
    legal_source: str = Field(max_length=300, description="Where that rule is written.")
    customer_id: CustomerId
    business_day: BusinessDay = Field(description="The day of the matter; of structuring, the first of what opened it.")
    direction: Literal["debit", "credit"] | None = Field(
        default=None, description="Cash out or cash in: the law counts them apart."
    )
    threshold: Money | None = Field(default=None, description="Of cash: the threshold that held on that day.")
    matches: tuple[Match, ...] = Field(
        default=(), max_length=MOST_MATCHES, description="Of a sanctioned name: the entries, the most alike first."
    )
    list_version: ListVersion | None = Field(
        default=None, description="Of a sanctioned name: by which load of the list."
    )
    basis: Basis

    example = {
        "case_id": _CASE,
        "rule": "cash_of_one_day",
        "legal_source": "31 CFR 1010.313(b)",
        "customer_id": "cus-19b2",
        "business_day": "2026-03-01",
        "direction": "credit",
        "threshold": {"amount": 1_000_000, "currency": "USD"},
        "basis": _DEPOSITS,
    }


class ComplianceCaseChanged(Event, continues="case/{case_id}"):
    """A case rests on more than before, or part of it was taken back. It stays open: people close cases."""

    case_id: CaseId
    rule: RuleThatApplied
    customer_id: CustomerId
    basis: Basis = Field(description="What it rests on now.")

    example = {"case_id": _CASE, "rule": "cash_of_one_day", "customer_id": "cus-19b2", "basis": _DEPOSITS}


class TransactionNotScreened(Event, opens="screening/{authorisation_id}"):
    """There was nothing to judge a transaction by. Set a threshold or load a list; this transaction stays unjudged."""

    authorisation_id: AuthorisationId
    customer_id: CustomerId
    because: Literal["no_threshold", "no_list"] = Field(
        description="Of cash, none holds; of a transfer, none is loaded."
    )

    example = {"authorisation_id": "A-90017", "customer_id": "cus-19b2", "because": "no_threshold"}


class SanctionsListLoaded(
    Event,
    joins="sanctions/{list_version}",
    sources=("bank.operations",),
    happened="loaded_at",
    identified_by="list_version",
):
    """A sanctions list is there in whole, and may come into force. Comes from outside: `daybook sanctions load`."""

    list_version: ListVersion
    loaded_at: UtcTime = Field(description="The list that was loaded last is in force, whichever is told of first.")
    entries: int = Field(ge=1, description="How many persons, organisations and things stand in it.")
    names: int = Field(ge=1, description="Under how many names.")
    parts: int = Field(ge=1, le=MOST_PARTS, description="In how many rows its content is kept, under its version.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the content, to tell whether it is all there.")
    least_likeness: Percent = Field(description="From which likeness on a name counts as one of the list's.")

    example = {
        "list_version": "20260301T120000Z-9f86d081",
        "loaded_at": "2026-03-01T12:00:00.000000Z",
        "entries": 8_000,
        "names": 20_000,
        "parts": 5,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "least_likeness": 88,
    }
