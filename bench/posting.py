"""How many transactions per second the whole system processes, and whether its totals are exact."""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bench.commits import ends, put
from bench.flow import NotIdle
from daybook.contracts import clock
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from events.accounts import TransactionPosted
from functions.analytics.queries import of_account

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.targets import Target
    from daybook.local.progress import Progress

_CONSUMERS = ("tally-transaction", "score-transaction", "screen-transaction")
_CURRENCIES = ("EUR", "USD", "JPY", "KWD")
_WARM_UP = 20  # transactions
_A_TENTH = 10

# By account and day: the debited minor units in each currency.
Sums = dict[tuple[str, date], Counter[str]]


def measure(progress: Progress, *, transactions: int, accounts: int) -> list[Target]:
    """Send transactions at once, a tenth of them twice; wait until all three services have processed each.

    Raises NotIdle if that takes too long, or if the totals are wrong.
    """
    with up(progress) as cloud:
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        with progress.step("warming up"):
            _post(connection, _entries(_WARM_UP, accounts))
        entries = _entries(transactions, accounts)
        with progress.step(f"sending {transactions} transactions on {accounts} accounts"):
            seconds = _post(connection, entries)
        with progress.step("checking the totals"):
            _compare(connection, entries)
    progress.say(f"  {transactions / seconds:6.1f} transactions per second, each counted, scored and screened")
    progress.say("  the totals of all accounts and days equal the sums of the transactions")
    return []


def _post(connection: Connection, entries: Sequence[dict[str, Any]]) -> float:
    """Returns the seconds from the first event's sending to the last commit."""
    began = datetime.now(UTC)
    ids = put(connection, [*entries, *entries[::_A_TENTH]])
    return (max(ends(connection, ids, *_CONSUMERS)) - began).total_seconds()


def _entries(transactions: int, accounts: int) -> list[dict[str, Any]]:
    run, now = uuid.uuid4().hex[:6], datetime.now(UTC)
    rng = random.Random(transactions)  # noqa: S311 - the same transactions in each run
    source, *_ = TransactionPosted.contract.sources
    return [
        {
            "Source": source,
            "DetailType": TransactionPosted.contract.type,
            "Detail": {
                "data": {
                    **TransactionPosted.example,
                    "authorisation_id": f"{run}-{number}",
                    "account_id": f"{run}-acc-{number % accounts}",
                    "amount": rng.randrange(1, 10_000_000),
                    "currency": rng.choice(_CURRENCIES),
                    "posted_at": clock.timestamp(now - timedelta(seconds=rng.randrange(172_800))),
                }
            },
        }
        for number in range(transactions)
    ]


def _compare(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    """Raises NotIdle unless every account has the right total for every day."""
    for (account, day), sums in _recomputed(entry["Detail"]["data"] for entry in entries).items():
        counted = {total.currency: total.debited for total in of_account(connection, account, [day]).get(day, [])}
        if counted != dict(sums):
            msg = f"the total of {account} on {day} is {counted}; expected {dict(sums)}"
            raise NotIdle(msg)


def _recomputed(posted: Any) -> Mapping[tuple[str, date], Counter[str]]:
    sums: Sums = defaultdict(Counter)
    for data in posted:
        sums[data["account_id"], clock.moment(data["posted_at"]).date()][data["currency"]] += data["amount"]
    return sums
