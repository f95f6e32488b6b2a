"""Totals of transactions: the keys and fields of their rows, for the functions that write and the queries that read.

Days and minutes are in UTC, by the time at which the bank posted a transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final

from daybook.contracts import clock
from daybook.store.shards import Shards, shards_needed

# Share of transactions that may conflict and are retried. Our own choice, without a source.
MAX_CONFLICT_SHARE: Final = 0.1
# Duration of a transaction, in seconds. AWS publishes none; see SuccessfulRequestLatency of TransactWriteItems.
TRANSACTION_SECONDS: Final = 0.02
# What a function with ten concurrent batches can commit, at that duration.
TRANSACTIONS_PER_SECOND: Final = 500
# At the busiest merchant: a fifth of all. An assumption, without a source, until a bank measures it.
MERCHANT_TRANSACTIONS_PER_SECOND: Final = 100


def _shards(rate: int) -> Shards:
    return Shards(shards_needed(rate=rate, seconds=TRANSACTION_SECONDS, conflicts=MAX_CONFLICT_SHARE))


MINUTE_SHARDS: Final = _shards(TRANSACTIONS_PER_SECOND)
MERCHANT_DAY_SHARDS: Final = _shards(MERCHANT_TRANSACTIONS_PER_SECOND)

_MINUTE = len("2026-03-01T12:00")


@dataclass(frozen=True, slots=True)
class Total:
    """Numbers of transactions and sums of amounts (minor units) in one currency.

    All can be negative for a while, if a reversal arrives before its transaction.
    """

    currency: str
    debit_count: int = 0
    debited: int = 0
    credit_count: int = 0
    credited: int = 0

    @property
    def count(self) -> int:
        """Number of debits and credits."""
        return self.debit_count + self.credit_count

    def __add__(self, other: "Total") -> "Total":
        return Total(self.currency, *(getattr(self, name) + getattr(other, name) for name in SUMS))


SUMS: Final = tuple(each.name for each in fields(Total) if each.name != "currency")


def minute_key(moment: datetime) -> str:
    """The key of a minute's row, without the shard: `2026-03-01T12:00`."""
    return clock.timestamp(moment)[:_MINUTE]


def account_day_key(account_id: str, day: date) -> str:
    """The key of the row of an account and a day: `acc-7f3e#2026-03-01`."""
    return f"{account_id}#{day.isoformat()}"


def merchant_day_key(merchant_id: str, day: date) -> str:
    """The key of the row of a merchant and a day, without the shard: `m-881#2026-03-01`."""
    return f"{merchant_id}#{day.isoformat()}"


def field(currency: str, name: str) -> str:
    """The field of one sum in one currency: `EUR:debited`."""
    return f"{currency}:{name}"


def read_totals(values: Mapping[str, Any]) -> list[Total]:
    """The totals in the fields of a row, by currency."""
    sums: dict[str, dict[str, int]] = {}
    for key, value in values.items():
        currency, _, name = key.partition(":")
        if name in SUMS:
            sums.setdefault(currency, {})[name] = value
    return [Total(currency, **sums[currency]) for currency in sorted(sums)]
