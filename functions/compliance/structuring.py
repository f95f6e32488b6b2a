"""Structuring: cash that is split within some days, so that no part of it is reported."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from daybook.consumers.work import Work
from daybook.contracts.contract import Part
from daybook.store.state import State
from events.compliance import ComplianceCaseOpened, Threshold
from functions.compliance.case import LEGAL_SOURCES, basis, update_case
from functions.compliance.cash_group import CashGroup
from functions.compliance.counted_cash import CountedCash

_MIN_TRANSACTIONS: Final = 2  # in a case
_MIN_DAYS: Final = 2  # for a sum over several days
_MAX_TRANSACTIONS: Final = 500  # kept of one group: the newest ones, so that its row cannot grow without limit


class RecentTransaction(Part):
    """A transaction that is not above the threshold, and its case if it belongs to one."""

    day: date
    value: int  # minor units of the group's currency
    currency: str
    amount: int  # minor units of `currency`, as paid
    owner: str
    near_from: int  # from here to `limit`, an amount or the sum of a day is just below the threshold of the day
    limit: int
    case_id: str = ""

    def is_near(self, value: int) -> bool:
        """Whether an amount, or the sum of the day, is just below the threshold of the day."""
        return self.near_from <= value <= self.limit

    def in_case(self, case_id: str) -> "RecentTransaction":
        """The transaction as part of a case. If it belongs to a case already, it stays there."""
        return RecentTransaction.model_validate({**dict(self), "case_id": self.case_id or case_id})


class RecentCash(State, table="recent-cash", key="group"):
    """The recent transactions of one group that are not above the threshold, by their authorisation ids."""

    group: str
    transactions: dict[str, RecentTransaction] = {}


Recent = Mapping[str, RecentTransaction]


def add_transaction(
    work: Work, group: CashGroup, authorisation_id: str, cash: CountedCash, threshold: Threshold
) -> None:
    """Add a transaction that is not above the threshold. With others of the same days it opens or changes a case."""
    row = work.read(RecentCash, group.key)
    added = RecentTransaction(
        day=cash.day,
        value=cash.value,
        currency=cash.currency,
        amount=cash.amount,
        owner=cash.customer_id,
        near_from=threshold.amount - threshold.margin,
        limit=threshold.amount,
    )
    recent = _kept({**row.transactions, authorisation_id: added}, threshold)
    suspicious = _suspicious(group, recent, cash.day, threshold)
    if suspicious:
        existing = {recent[each].case_id for each in suspicious if recent[each].case_id}
        case_id = min(existing) if existing else _case_id(group, min(recent[each].day for each in suspicious))
        recent |= {each: recent[each].in_case(case_id) for each in suspicious}
        update_case(work, _opening(group, case_id, recent, threshold), may_open=True)
    work.save(row.evolve(transactions=recent))


def remove_transaction(work: Work, group: CashGroup, authorisation_id: str) -> None:
    """Remove a reversed transaction, if it is kept, and change its case."""
    row = work.read(RecentCash, group.key)
    removed = row.transactions.get(authorisation_id)
    if removed is None:
        return
    left = {each: one for each, one in row.transactions.items() if each != authorisation_id}
    work.save(row.evolve(transactions=left))
    if removed.case_id:
        update_case(work, _opening(group, removed.case_id, left), may_open=False)


def _kept(recent: Recent, threshold: Threshold) -> dict[str, RecentTransaction]:
    """The transactions to keep, by day: those in cases, and those of the last two windows, for late transactions."""
    oldest = max(one.day for one in recent.values()) - timedelta(days=2 * threshold.days)
    kept = [(each, one) for each, one in recent.items() if one.case_id or one.day >= oldest]
    return dict(sorted(kept, key=lambda pair: pair[1].day)[-_MAX_TRANSACTIONS:])


def _suspicious(group: CashGroup, recent: Recent, day: date, threshold: Threshold) -> set[str]:
    """The transactions of all windows around `day` that look like one sum in parts.

    In a window, either several amounts or days that are just below the threshold exceed it together, or the cash of
    several days exceeds the limit for a sum over days.
    """
    found: set[str] = set()
    for back in range(threshold.days):
        first = day - timedelta(days=back)
        window = {each: one for each, one in recent.items() if 0 <= (one.day - first).days < threshold.days}
        near = _near(window)
        if len(near) >= _MIN_TRANSACTIONS and _value(near) > threshold.amount:
            found |= near.keys() if group.has_own_case(_owners(near)) else set()
        if len({one.day for one in window.values()}) >= _MIN_DAYS and _value(window) > threshold.max_sum:
            found |= window.keys() if group.has_own_case(_owners(window)) else set()
    return found


def _near(window: Recent) -> Recent:
    """The transactions that are just below the threshold, alone or together with all others of their day."""
    days: defaultdict[date, int] = defaultdict(int)
    for one in window.values():
        days[one.day] += one.value
    return {each: one for each, one in window.items() if one.is_near(one.value) or one.is_near(days[one.day])}


def _value(transactions: Recent) -> int:
    return sum(one.value for one in transactions.values())


def _owners(transactions: Recent) -> set[str]:
    return {one.owner for one in transactions.values()}


def _case_id(group: CashGroup, first_day: date) -> str:
    return f"structuring:{group.day_key(first_day)}"


def _opening(
    group: CashGroup, case_id: str, recent: Recent, threshold: Threshold | None = None
) -> ComplianceCaseOpened:
    own = {each: one for each, one in recent.items() if one.case_id == case_id}
    sums: Counter[str] = Counter()
    for one in own.values():
        sums[one.currency] += one.amount
    return ComplianceCaseOpened(
        case_id=case_id,
        rule="structuring",
        legal_source=LEGAL_SOURCES["structuring"],
        customer_id=group.person,
        business_day=date.fromisoformat(case_id.rpartition(":")[2]),
        direction=group.direction,
        threshold=group.limit(threshold),
        basis=basis(sums, own, count=len(own), total=group.sum(_value(own))),
    )
