"""What has moved on accounts, as the analytics keep it: by account and day, by merchant and day, by minute."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TypeVar

from daybook.operate.connection import Connection
from daybook.operate.tables import DeployedTable
from functions.analytics import tallies
from functions.analytics.tallies import Total
from functions.analytics.tally import AccountDay, MerchantDay, Minute, Tally

When = TypeVar("When", bound=date)


def of_account(connection: Connection, account_id: str, days: Iterable[date]) -> dict[date, list[Total]]:
    """What has moved on an account on each of the days, as far as anything is known, read consistently."""
    return _totals(connection, AccountDay, {tallies.account_day(account_id, day): day for day in days})


def of_merchant(connection: Connection, merchant_id: str, days: Iterable[date]) -> dict[date, list[Total]]:
    """What has moved at a merchant on each of the days, as far as anything is known, read consistently."""
    rows = {shard: day for day in days for shard in tallies.MERCHANT_DAY.all(tallies.merchant_day(merchant_id, day))}
    return _totals(connection, MerchantDay, rows)


def of_minutes(connection: Connection, minutes: Iterable[datetime]) -> dict[datetime, list[Total]]:
    """What has moved on all accounts in each of the minutes, as far as anything is known, read consistently."""
    rows = {shard: minute for minute in minutes for shard in tallies.MINUTE.all(tallies.minute_of(minute))}
    return _totals(connection, Minute, rows)


def _totals(connection: Connection, state: type[Tally], rows: Mapping[str, When]) -> dict[When, list[Total]]:
    """The sums of all rows of a time, by time and by currency, in order."""
    sums: dict[When, dict[str, Total]] = defaultdict(dict)
    for key, row in DeployedTable.of_view(connection, state).rows(rows).items():
        of_time = sums[rows[key]]
        for total in row.totals:
            of_time[total.currency] = of_time.get(total.currency, Total(total.currency)) + total
    return {when: [sums[when][currency] for currency in sorted(sums[when])] for when in sorted(sums)}
