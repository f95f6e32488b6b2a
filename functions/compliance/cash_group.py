"""Which cash transactions count together."""

from dataclasses import dataclass
from datetime import UTC, date
from typing import Literal

from events.accounts import Transaction
from events.compliance import Sum, Threshold


@dataclass(frozen=True, slots=True)
class CashGroup:
    """The cash of one person in one direction, over all accounts and branches, in the currency of one threshold.

    31 CFR 1010.313(b) adds up what is paid in (or out) by or on behalf of any person. So a transaction counts for the
    owner of the account, and for the person who conducted it.
    """

    person: str
    direction: Literal["debit", "credit"]
    currency: str

    @property
    def key(self) -> str:
        """`cus-19b2:credit:USD`. No part contains a colon."""
        return f"{self.person}:{self.direction}:{self.currency}"

    def day_key(self, day: date) -> str:
        """`cus-19b2:credit:USD:2026-03-01`."""
        return f"{self.key}:{day}"

    def sum(self, amount: int) -> Sum:
        """An amount in the group's currency."""
        return Sum(amount=amount, currency=self.currency)

    def limit(self, threshold: Threshold | None) -> Sum | None:
        """The amount of a threshold in the group's currency."""
        return self.sum(threshold.amount) if threshold else None

    def has_own_case(self, owners: set[str]) -> bool:
        """Whether cash of these owners needs a case of this person: not if one other person owns all of it, because
        that person's case contains the same transactions.
        """
        return self.person in owners or len(owners) > 1


def business_day(transaction: Transaction) -> date:
    """The business day that the bank sent, else the day of posting in UTC.

    By 31 CFR 1010.100(d) a business day is the day on which the bank routinely posts transactions to accounts. Closing
    times, weekends and holidays are not known here: the bank considers them.
    """
    return transaction.business_day or transaction.posted_at.astimezone(UTC).date()
