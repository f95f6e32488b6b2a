"""What has moved on accounts, as the analytics keep it: by account and day, by merchant and day, by minute."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from daybook.operate.connection import Connection
from daybook.operate.tables import DeployedTable
from functions.analytics import tallies

When = TypeVar("When", bound=date)

# A function that was given all the tables.
_COUNTS = "tally-transaction"


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


def of_account(connection: Connection, account_id: str, days: Iterable[date]) -> dict[date, list[Total]]:
    """What has moved on an account on each of the days, as far as anything is known, read consistently."""
    return _totals(connection, "account-days", {tallies.account_day(account_id, day): day for day in days})


def of_merchant(connection: Connection, merchant_id: str, days: Iterable[date]) -> dict[date, list[Total]]:
    """What has moved at a merchant on each of the days, as far as anything is known, read consistently."""
    rows = {shard: day for day in days for shard in tallies.MERCHANT_DAY.all(tallies.merchant_day(merchant_id, day))}
    return _totals(connection, "merchant-days", rows)


def of_minutes(connection: Connection, minutes: Iterable[datetime]) -> dict[datetime, list[Total]]:
    """What has moved on all accounts in each of the minutes, as far as anything is known, read consistently."""
    rows = {shard: minute for minute in minutes for shard in tallies.MINUTE.all(tallies.minute_of(minute))}
    return _totals(connection, "minutes", rows)


def _totals(connection: Connection, table: str, rows: Mapping[str, When]) -> dict[When, list[Total]]:
    """The sums of all rows of a time, by time and by currency, in order."""
    sums: dict[When, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for key, row in DeployedTable.of_view(connection, table, function=_COUNTS).rows(rows).items():
        for name, value in row.items():
            if told := tallies.told_by(name):
                currency, what = told
                sums[rows[key]][currency][what] += value
    return {when: [Total(currency, **sums[when][currency]) for currency in sorted(sums[when])] for when in sorted(sums)}
