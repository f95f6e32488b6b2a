"""Sums are made anew, deployed, while transactions keep coming in."""

from tests.deployed.deployed import Deployed, unique
from tests.deployed.test_analytics import a_minute, a_purchase, entry
from tests.deployed.test_commands import daybook
from tests.deployed.test_rebuilding import coming_in, damage, found_among, table_of
from tests.local.processes import until

DAYS = ("account-days", "tally-transaction")


def test_sums_that_were_made_anew_under_load_count_each_transaction_once(system: Deployed) -> None:
    account, minute = unique("acc"), a_minute()
    system.receives(*(entry(a_purchase(account, "m-881", minute, amount=n)) for n in range(1, 31)))
    day = f"{account}#{minute:%Y-%m-%d}"
    damage(system, table_of(system, *DAYS), day, {"EUR:debited": 7})

    with coming_in(lambda: system.sends(entry(a_purchase(account, "m-881", minute, amount=1000)))) as sent:
        until(lambda: sent, what="transactions come in")
        rebuilt = daybook(system, "rebuild", "account-days", "--apply")
    assert rebuilt.returncode == 0, rebuilt.stderr
    system.finishes(*sent)

    row = table_of(system, *DAYS).row(day) or {}
    assert (row["EUR:debit_count"], row["EUR:debited"]) == (30 + len(sent), sum(range(1, 31)) + 1000 * len(sent))
    assert not found_among(system, "account-days", day)
