"""What compliance finds in bank transactions, and the rules that it applies. No event contains a person's name."""

from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from daybook.contracts.contract import NUMERIC_ID, PERSONAL, Event, Part
from daybook.contracts.values import MAX_AMOUNT, Identifier, RecordedCurrency, UtcTime
from events.accounts import REPORTING_CURRENCY, Amount, AuthorisationId, CustomerId, ReportingRate, Transaction

MAX_CASE_TRANSACTIONS: Final = 50  # listed in one case
MAX_MATCHES: Final = 10  # entries of a sanctions list in one case
MAX_PARTS: Final = 90  # of a sanctions list: one call (100 keys) reads them and some other rows

# Of a counterparty: made from its name and account number, which cannot be read from it. Who guesses both can check it.
CounterpartyKey = Annotated[
    str,
    NUMERIC_ID,
    Field(pattern=r"^[0-9a-f]{16}$", description="A pseudonym of the counterparty: the last part of the case id."),
]
# The rule, the customer, and the parts that distinguish this case from others, joined by colons. No part has a colon.
CaseId = Annotated[
    str,
    NUMERIC_ID,
    Field(
        max_length=128,
        pattern=r"^[a-z-]+(:[A-Za-z0-9][A-Za-z0-9._-]*){3,4}$",
        description="Identifies the case: currency:cus-19b2:credit:USD:2026-03-01.",
    ),
]
Rule = Literal["cash_over_threshold", "cash_of_one_day", "structuring", "sanctioned_name"]
CaseRule = Annotated[Rule, Field(description="The rule that opened the case.")]
NotScreenedReason = Annotated[
    Literal["no_threshold", "no_list", "name_not_comparable"],
    Field(
        description="Cash without a threshold for its currency; a transfer before any list was loaded; or a name "
        "without a match that cannot be compared reliably: no characters, or a script such as Arabic or Chinese."
    ),
]
BusinessDay = Annotated[
    date, Field(description="The bank's business day; the day in UTC if the bank did not send its own.")
]
Percent = Annotated[int, Field(ge=50, le=100, description="Similarity of two names; 100 means equal.")]
Revision = Annotated[
    int,
    Field(ge=1, le=2**53 - 1, description="The sender's version. The highest one applies."),
]
LIST_NAME: Final = r"^[a-z][a-z0-9-]{0,15}$"  # part of a case id, so it is short
ListName = Annotated[
    str,
    Field(
        pattern=LIST_NAME,
        description="The sanctions list. Lists with different names are loaded and compared independently.",
    ),
]
DEFAULT_LIST: Final = "sdn"  # OFAC's Specially Designated Nationals
ListVersion = Annotated[Identifier, Field(description="Identifies one load of the list.")]
Entry = Annotated[
    int, Field(ge=1, le=2**53 - 1, description="The entry's number in the list: ent_num or Entity_LogicalId.")
]


class Threshold(Part):
    """The amount above which cash is reported, and the limits for structuring. Amounts are minor units."""

    amount: Amount = Field(description="Cash of more than this on one business day is reported.")
    margin: int = Field(ge=0, le=MAX_AMOUNT, description="From `amount - margin` on, cash is just below.")
    days: int = Field(ge=1, le=31, description="Structuring is looked for within this many business days.")
    sum_over_days: Amount | None = Field(
        default=None,
        description="Cash of several days that adds up to more than this is structuring, even if no amount is just "
        "below. By default twice the amount.",
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.margin >= self.amount:
            msg = f"margin ({self.margin}) must be less than amount ({self.amount})"
            raise ValueError(msg)
        if self.sum_over_days is not None and self.sum_over_days < self.amount:
            msg = f"sum_over_days ({self.sum_over_days}) must be at least amount ({self.amount})"
            raise ValueError(msg)
        return self

    @property
    def max_sum(self) -> int:
        """The sum over several days above which cash is structuring."""
        return self.sum_over_days or 2 * self.amount


class ReportingThresholdSet(Event, Threshold, joins="threshold/{currency}", sources=("bank.compliance",)):
    """A threshold for cash in one currency is set, from a business day on. The compliance department sends it."""

    currency: RecordedCurrency
    valid_from: date = Field(description="The first business day to which it applies.")
    revision: Revision

    example = {
        "currency": "JPY",
        "valid_from": "2026-04-01",
        "amount": 1_500_000,
        "margin": 150_000,
        "days": 7,
        "revision": 1,
    }


class ExchangeRateSet(Event, joins="rate/{currency}", sources=("bank.compliance",)):
    """A rate from a currency into the reporting currency, from a business day on. A transaction's own rate precedes."""

    currency: RecordedCurrency
    valid_from: date = Field(description="The first business day to which it applies.")
    rate: ReportingRate
    revision: Revision

    @field_validator("currency")
    @classmethod
    def _check_currency(cls, currency: str) -> str:
        if currency == REPORTING_CURRENCY:
            msg = f"{currency} is the reporting currency, which needs no rate; send the rate of another currency"
            raise ValueError(msg)
        return currency

    example = {"currency": "EUR", "valid_from": "2026-03-02", "rate": "1.0843", "revision": 1}


class Sum(Part):
    """The sum of amounts in one currency, in minor units. It may be larger than the limit of a single amount."""

    amount: int = Field(ge=0)
    currency: RecordedCurrency


class Basis(Part):
    """The transactions of a case."""

    sums: tuple[Sum, ...] = Field(max_length=200, description="Their sum in each currency.")
    total: Sum | None = Field(default=None, description="For cash: their sum in the currency of the threshold.")
    count: int = Field(ge=0, description="Number of transactions.")
    transactions: tuple[AuthorisationId, ...] = Field(
        max_length=MAX_CASE_TRANSACTIONS, description="Their ids; only the first ones if there are more."
    )


class Match(Part):
    """An entry of a sanctions list that is similar to a counterparty's name."""

    list_name: ListName = DEFAULT_LIST
    entry: Entry
    similarity: Percent


_CASE: Final = "currency:cus-19b2:credit:USD:2026-03-01"
_DEPOSITS: Final = {
    "sums": [{"amount": 1_200_000, "currency": "USD"}],
    "total": {"amount": 1_200_000, "currency": "USD"},
    "count": 2,
    "transactions": ["A-90017", "A-90018"],
}


class ComplianceCaseOpened(Event, opens="case/{case_id}"):
    """A person must examine these transactions. Later transactions of the same kind change this case."""

    case_id: CaseId
    rule: CaseRule
    legal_source: str = Field(max_length=300, description="The regulation that the rule implements.")
    customer_id: CustomerId = Field(
        description="The person: the owner of the account, or who conducted cash for others."
    )
    business_day: BusinessDay = Field(description="For structuring, the first day.")
    direction: Literal["debit", "credit"] | None = Field(
        default=None, description="For cash: in or out. The law adds them up separately."
    )
    threshold: Sum | None = Field(default=None, description="For cash: the threshold on that day.")
    matches: tuple[Match, ...] = Field(
        default=(), max_length=MAX_MATCHES, description="For a sanctioned name: the entries, most similar first."
    )
    list_name: ListName | None = Field(default=None, description="For a sanctioned name: the list of all matches.")
    list_version: ListVersion | None = Field(
        default=None, description="For a sanctioned name: the version of the list."
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
    """The transactions of a case have changed. The case stays open: only people close cases."""

    case_id: CaseId
    rule: CaseRule
    customer_id: CustomerId
    basis: Basis = Field(description="The transactions now.")

    example = {"case_id": _CASE, "rule": "cash_of_one_day", "customer_id": "cus-19b2", "basis": _DEPOSITS}


class TransactionNotScreened(Event, opens="screening/{authorisation_id}"):
    """A transaction was not checked. Set a threshold or load a list.

    A transfer is compared with the first list when that is loaded. Cash is not checked again.
    """

    authorisation_id: AuthorisationId
    customer_id: CustomerId
    reason: NotScreenedReason

    example = {"authorisation_id": "A-90017", "customer_id": "cus-19b2", "reason": "no_threshold"}

    @classmethod
    def of(cls, transaction: Transaction, reason: NotScreenedReason) -> Self:
        """The event for this transaction."""
        return cls(authorisation_id=transaction.authorisation_id, customer_id=transaction.customer_id, reason=reason)


class ExchangeRateMissing(Event, joins="rate/{currency}"):
    """Cash was counted in its own currency only, because there is no rate into the reporting currency.

    Once for each currency and business day. Send ExchangeRateSet: cash that is screened after it is converted.
    """

    currency: RecordedCurrency
    business_day: BusinessDay

    example = {"currency": "CAD", "business_day": "2026-03-02"}


ReversedField = Literal["amount", "channel", "currency", "customer_id", "direction"]


class ReversalNotApplied(Event, opens="reversal/{authorisation_id}"):
    """A reversal has other data than its cash transaction. The transaction still counts in full; a person must check.

    The end is the same in any order of arrival.
    """

    authorisation_id: AuthorisationId
    customer_id: CustomerId = Field(description="The owner of the account, by the transaction.")
    differences: tuple[ReversedField, ...] = Field(min_length=1, description="The fields with other values.")
    transaction: Sum = Field(description="The transaction's amount.")
    reversal: Sum = Field(description="The reversal's amount.")

    example = {
        "authorisation_id": "A-90017",
        "customer_id": "cus-19b2",
        "differences": ["amount"],
        "transaction": {"amount": 1_500_000, "currency": "USD"},
        "reversal": {"amount": 100_000, "currency": "USD"},
    }


class SanctionsListLoaded(
    Event,
    joins="sanctions/{list_version}",
    sources=("bank.operations",),
    occurred_at="loaded_at",
    identified_by="list_version",
):
    """A sanctions list is completely written and can become active. `daybook sanctions load` sends it."""

    list_name: ListName = DEFAULT_LIST
    list_version: ListVersion
    loaded_at: UtcTime = Field(description="The version loaded last is active, in any order of arrival.")
    entries: int = Field(ge=1, description="Number of persons, organisations and vessels.")
    names: int = Field(ge=1, description="Number of names of all entries.")
    parts: int = Field(ge=1, le=MAX_PARTS, description="Number of rows with its content.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the content, to check that it is complete.")
    min_similarity: Percent = Field(description="Names match from this similarity on.")
    screen_again_days: int = Field(
        default=30,
        ge=0,
        le=366,
        description="Counterparties of the last so many days are compared with it. With the first list, all are.",
    )

    example = {
        "list_version": "20260301T120000Z-9f86d081",
        "loaded_at": "2026-03-01T12:00:00.000000Z",
        "entries": 8_000,
        "names": 20_000,
        "parts": 5,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "min_similarity": 88,
    }


class ScreeningDue(Event, joins="screening-again/{screening}", timer=True):
    """It is time to compare counterparties of earlier transfers with a new list: those of one block."""

    screening: str = Field(
        max_length=70,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*:\d+$",
        description="Identifies the sequence of blocks: the version of the list and the shard.",
    )
    list_name: ListName = DEFAULT_LIST
    shard: int = Field(ge=0, le=999, description="The part of all counterparties.")
    block: int | None = Field(default=None, ge=0, description="The number of the block; without it, the last one.")
    since: date | None = Field(default=None, description="Only counterparties with transfers on this day or later.")

    example = {"screening": "20260301T120000Z-9f86d081:3", "shard": 3, "block": 7, "since": "2026-01-30"}


class SanctionsMatchDecided(
    Event, joins="sanctions-match/{counterparty}", sources=("bank.compliance",), occurred_at="decided_at"
):
    """A person has decided whether a counterparty is a listed person. `daybook sanctions decide` sends it.

    After `not_this_person`, transfers with this counterparty open no case because of this entry.
    """

    case_id: CaseId
    counterparty: CounterpartyKey
    list_name: ListName = DEFAULT_LIST
    entry: Entry
    decision: Literal["not_this_person", "this_person"] = Field(description="The decision made last applies.")
    reason: Annotated[str, PERSONAL] = Field(min_length=1, max_length=500, repr=False, description="Why, in words.")
    decided_by: Identifier = Field(description="The bank's own id of the person who decided.")
    decided_at: UtcTime

    example = {
        "case_id": "sanctions:cus-19b2:9001:9f86d081884c7d65",
        "counterparty": "9f86d081884c7d65",
        "entry": 9001,
        "decision": "not_this_person",
        "reason": "Born in 1987, the listed person in 1954; passport checked.",
        "decided_by": "S-2041",
        "decided_at": "2026-03-02T09:00:00.000000Z",
    }
