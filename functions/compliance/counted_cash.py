"""How one cash transaction was counted, so that its reversal subtracts exactly that."""

from datetime import date
from typing import Literal, Self, get_args

from daybook.contracts.contract import Part
from daybook.store.state import State
from events.accounts import REPORTING_CURRENCY, Transaction
from events.compliance import ReversalNotApplied, ReversedField, Sum
from functions.compliance.cash_group import CashGroup, business_day
from functions.compliance.rates import converted


class Essentials(Part):
    """What a reversal must repeat of its transaction."""

    customer_id: str
    channel: str
    direction: Literal["debit", "credit"]
    amount: int  # minor units
    currency: str

    @classmethod
    def of(cls, transaction: Transaction) -> "Essentials":
        """The essentials of a transaction, or of the transaction that a reversal describes."""
        return Essentials.model_validate({name: getattr(transaction, name) for name in Essentials.model_fields})

    @property
    def sum(self) -> Sum:
        """The amount as it was paid."""
        return Sum(amount=self.amount, currency=self.currency)

    def differences(self, other: "Essentials") -> tuple[ReversedField, ...]:
        """The fields with different values, by name."""
        return tuple(name for name in get_args(ReversedField) if getattr(self, name) != getattr(other, name))


class CountedCash(Essentials):
    """A cash transaction as it counts: its persons, its business day, and its value in one currency."""

    conducted_by: str
    day: date
    value: int  # minor units of `value_currency`
    value_currency: str

    @classmethod
    def at_rate(cls, transaction: Transaction, rate: str | None) -> Self:
        """The transaction in the reporting currency; in its own currency without a rate."""
        paid = Essentials.of(transaction)
        return cls(
            **dict(paid),
            conducted_by=transaction.conducted_by or transaction.customer_id,
            day=business_day(transaction),
            value=converted(paid.amount, paid.currency, rate) if rate else paid.amount,
            value_currency=REPORTING_CURRENCY if rate else paid.currency,
        )

    @property
    def groups(self) -> list[CashGroup]:
        """The groups in which it counts: that of the owner, and that of another person who conducted it."""
        persons = dict.fromkeys((self.customer_id, self.conducted_by))
        return [CashGroup(person, self.direction, self.value_currency) for person in persons]


class CashTransaction(State, table="cash-transactions", key="authorisation_id"):
    """What has arrived for an authorisation id: the cash that counts, and a reversal of any channel.

    With both, the reversal has other data than the transaction and does not apply. A transaction whose reversal has the
    same data does not count, whichever arrives first.
    """

    authorisation_id: str
    counted: CountedCash | None = None
    reversal: Essentials | None = None


def not_applied(authorisation_id: str, transaction: Essentials, reversal: Essentials) -> ReversalNotApplied:
    """The event about a reversal with other data than its transaction."""
    return ReversalNotApplied(
        authorisation_id=authorisation_id,
        customer_id=transaction.customer_id,
        differences=transaction.differences(reversal),
        transaction=transaction.sum,
        reversal=reversal.sum,
    )
