"""The views of transactions: exact totals by account and day, by merchant and day, and by minute.

Events only add to totals, so these are exact in any order of arrival. If a reversal arrives before its transaction,
totals are negative until the transaction arrives.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final, Literal, Self

from daybook.consumers.view import Add, view
from daybook.store.state import State
from events.accounts import Transaction, TransactionPosted, TransactionReversed
from functions.analytics.totals import (
    MERCHANT_DAY_SHARDS,
    MINUTE_SHARDS,
    Total,
    account_day_key,
    field,
    merchant_day_key,
    minute_key,
    read_totals,
)

# By direction: the fields for the number and the sum of transactions.
_FIELDS: Final = {"debit": ("debit_count", "debited"), "credit": ("credit_count", "credited")}


class Tally(State, table="", key="row_key"):
    """Totals by currency: a row of any table of the service.

    An item has four attributes for each currency, so that a write can add to each of them: `EUR:debit_count` and
    `EUR:credit_count` (numbers of transactions), `EUR:debited` and `EUR:credited` (minor units).
    """

    row_key: str
    totals: tuple[Total, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        return super().from_values({**values, "totals": read_totals(values)})


class AccountDay(Tally, table="account-days", key="row_key"):
    """Totals of one account on one day."""


class MerchantDay(Tally, table="merchant-days", key="row_key"):
    """Totals of one merchant on one day: one shard of them."""


class Minute(Tally, table="minutes", key="row_key"):
    """Totals of all accounts in one minute: one shard of them."""


@view(TransactionPosted)
def tally_transaction(transaction: TransactionPosted) -> list[Add]:
    return tally(transaction, times=1)


@view(TransactionReversed)
def tally_reversal(reversal: TransactionReversed) -> list[Add]:
    return tally(reversal, times=-1)


def tally(transaction: Transaction, times: Literal[1, -1]) -> list[Add]:
    """The changes of all rows for a transaction or its reversal, both at the time of posting."""
    count, amount = _FIELDS[transaction.direction]
    differences = {
        field(transaction.currency, count): times,
        field(transaction.currency, amount): times * transaction.amount,
    }
    authorisation, day = transaction.authorisation_id, transaction.posted_at.astimezone(UTC).date()
    changes = [
        Add(AccountDay, account_day_key(transaction.account_id, day), differences),
        Add(Minute, MINUTE_SHARDS.shard_id(minute_key(transaction.posted_at), authorisation), differences),
    ]
    if transaction.merchant:
        row = merchant_day_key(transaction.merchant.merchant_id, day)
        changes.append(Add(MerchantDay, MERCHANT_DAY_SHARDS.shard_id(row, authorisation), differences))
    return changes
