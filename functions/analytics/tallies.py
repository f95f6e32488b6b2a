"""How money that has moved is counted: the names of rows and fields, alike where it is counted and where it is read.

Days and minutes are those of UTC in which the bank has posted it.
"""

from datetime import date, datetime
from typing import Final

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

# Numbers of transactions, and minor units.
SUMS: Final = ("debit_count", "debited", "credit_count", "credited")

_MINUTE = len("2026-03-01T12:00")


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


def told_by(name: str) -> tuple[str, str] | None:
    """The currency of a field, and which of the sums it is; None if it is none of them."""
    currency, _, what = name.partition(":")
    return (currency, what) if what in SUMS else None
