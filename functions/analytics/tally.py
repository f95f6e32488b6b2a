"""What people see of the money that moves: exact sums and numbers by account and day, merchant and day, and minute.

Sums are only ever added to, so they are exact in whatever order events come; one that was taken back before it came
leaves them below zero for so long.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from daybook.consumers.view import Add, view
from daybook.store.state import State
from events.accounts import Transaction, TransactionPosted, TransactionReversed
from functions.analytics import tallies

# By direction: the field for the number of transactions, and the one for their amounts.
_FIELDS: Final = {"debit": ("debit_count", "debited"), "credit": ("credit_count", "credited")}


class Tally(State, table="", key="place"):
    """What has moved, by currency. A row of each table of the service is one.

    In its item there are four attributes for each currency, named by it, so that each can be added to:
    `EUR:debit_count` and `EUR:credit_count`, numbers of transactions; `EUR:debited` and `EUR:credited`, minor units.
    """

    place: str
    totals: tuple[tallies.Total, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        return super().from_values({**values, "totals": tallies.totals(values)})


class AccountDay(Tally, table="account-days", key="place"):
    """What has moved on an account in one day."""


class MerchantDay(Tally, table="merchant-days", key="place"):
    """What has moved at a merchant in one day: one shard of it."""


class Minute(Tally, table="minutes", key="place"):
    """What has moved on all accounts in one minute: one shard of it."""


@view(TransactionPosted)
def tally_transaction(transaction: TransactionPosted) -> list[Add]:
    """Count what has moved."""
    return tally(transaction, times=1)


@view(TransactionReversed)
def tally_reversal(reversal: TransactionReversed) -> list[Add]:
    """Count what was taken back no more."""
    return tally(reversal, times=-1)


def tally(transaction: Transaction, times: Literal[1, -1]) -> list[Add]:
    """What a transaction adds, or takes back, wherever it counts: all of it under the moment at which it was posted."""
    count, amount = _FIELDS[transaction.direction]
    differences = {
        tallies.field(transaction.currency, count): times,
        tallies.field(transaction.currency, amount): times * transaction.amount,
    }
    name, day = transaction.authorisation_id, transaction.posted_at.date()
    changes = [
        Add(AccountDay, tallies.account_day(transaction.account_id, day), differences),
        Add(Minute, tallies.MINUTE.one(tallies.minute_of(transaction.posted_at), name), differences),
    ]
    if transaction.merchant:
        row = tallies.merchant_day(transaction.merchant.merchant_id, day)
        changes.append(Add(MerchantDay, tallies.MERCHANT_DAY.one(row, name), differences))
    return changes
