"""Read totals of transactions by account and day, by merchant and day, or by minute. Reads are consistent."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TypeVar

from daybook.operate.connection import Connection
from daybook.operate.tables import DeployedTable
from functions.analytics import totals
from functions.analytics.tally import AccountDay, MerchantDay, Minute, Tally
from functions.analytics.totals import Total

When = TypeVar("When", bound=date)


def of_account(connection: Connection, account_id: str, days: Iterable[date]) -> dict[date, list[Total]]:
    """The totals of an account on each of the days. Days without transactions are missing."""
    return _totals(connection, AccountDay, {totals.account_day_key(account_id, day): day for day in days})


def of_merchant(connection: Connection, merchant_id: str, days: Iterable[date]) -> dict[date, list[Total]]:
    """The totals of a merchant on each of the days. Days without transactions are missing."""
    rows = {
        shard: day
        for day in days
        for shard in totals.MERCHANT_DAY_SHARDS.all_ids(totals.merchant_day_key(merchant_id, day))
    }
    return _totals(connection, MerchantDay, rows)


def of_minutes(connection: Connection, minutes: Iterable[datetime]) -> dict[datetime, list[Total]]:
    """The totals of all accounts in each of the minutes. Minutes without transactions are missing."""
    rows = {shard: minute for minute in minutes for shard in totals.MINUTE_SHARDS.all_ids(totals.minute_key(minute))}
    return _totals(connection, Minute, rows)


def _totals(connection: Connection, state: type[Tally], rows: Mapping[str, When]) -> dict[When, list[Total]]:
    """The sums of all shards, ordered by time and currency."""
    sums: dict[When, dict[str, Total]] = defaultdict(dict)
    for key, row in DeployedTable.of_view(connection, state).rows(rows).items():
        of_time = sums[rows[key]]
        for total in row.totals:
            of_time[total.currency] = of_time.get(total.currency, Total(total.currency)) + total
    return {when: [sums[when][currency] for currency in sorted(sums[when])] for when in sorted(sums)}
