"""How money that has moved is counted: the names of rows and fields, alike where it is counted and where it is read.

Days and minutes are those of UTC in which the bank has posted it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final

from daybook.contracts import clock
from daybook.store.shards import Shards, enough

# The share of transactions that may have to be tried again. No source: the house's own.
MOST_CONFLICTS: Final = 0.1
# Seconds that one is under way. AWS names none; it can be seen as SuccessfulRequestLatency of TransactWriteItems.
UNDER_WAY: Final = 0.02
# Transactions in a second: all that a function with ten batches at a time can commit, each under way for so long.
BANKS_RATE: Final = 500
# Of the busiest merchant, a fifth of them. No source: assumed until a bank has measured it.
MERCHANTS_RATE: Final = 100

MINUTE: Final = Shards(enough(rate=BANKS_RATE, seconds=UNDER_WAY, conflicts=MOST_CONFLICTS))
MERCHANT_DAY: Final = Shards(enough(rate=MERCHANTS_RATE, seconds=UNDER_WAY, conflicts=MOST_CONFLICTS))

_MINUTE = len("2026-03-01T12:00")


@dataclass(frozen=True, slots=True)
class Total:
    """What has moved in one currency: numbers of transactions, and minor units.

    Both are less than zero while something was taken back that has not come yet.
    """

    currency: str
    debit_count: int = 0
    debited: int = 0
    credit_count: int = 0
    credited: int = 0

    @property
    def count(self) -> int:
        """How many transactions there were in all."""
        return self.debit_count + self.credit_count

    def __add__(self, other: "Total") -> "Total":
        return Total(self.currency, *(getattr(self, what) + getattr(other, what) for what in SUMS))


SUMS: Final = tuple(each.name for each in fields(Total) if each.name != "currency")


def minute_of(moment: datetime) -> str:
    """The minute of a moment, which is the name of its row but for the shard: `2026-03-01T12:00`."""
    return clock.timestamp(moment)[:_MINUTE]


def account_day(account_id: str, day: date) -> str:
    """The row of an account and a day: `acc-7f3e#2026-03-01`."""
    return f"{account_id}#{day.isoformat()}"


def merchant_day(merchant_id: str, day: date) -> str:
    """The row of a merchant and a day, but for the shard: `m-881#2026-03-01`."""
    return f"{merchant_id}#{day.isoformat()}"


def field(currency: str, what: str) -> str:
    """The field for one of the sums in one currency: `EUR:debited`."""
    return f"{currency}:{what}"


def totals(values: Mapping[str, Any]) -> list[Total]:
    """The sums in the fields of a row, by currency."""
    sums: dict[str, dict[str, int]] = {}
    for name, value in values.items():
        currency, _, what = name.partition(":")
        if what in SUMS:
            sums.setdefault(currency, {})[what] = value
    return [Total(currency, **sums[currency]) for currency in sorted(sums)]
