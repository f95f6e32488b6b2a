"""Cash of one customer: what it comes to on a business day, and what of it is just below the threshold.

Cash in and cash out are counted apart, as 31 CFR 1010.313(b) does, all branches and accounts together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Final, Literal, Self

from daybook.consumers.work import Work
from daybook.contracts.contract import Part
from daybook.contracts.values import Money
from daybook.store.state import State
from events.accounts import Transaction
from events.compliance import MOST_TRANSACTIONS, ComplianceCaseOpened, Rule, Threshold, TransactionNotScreened
from functions.compliance.case import LEGAL_SOURCES, Case, basis, keep_case
from functions.compliance.thresholds import ThresholdRow, in_force

# That many are several. Those that are just below a threshold pass it together.
_SEVERAL: Final = 2
# Of one purse the newest so many are looked at together, so that its row has a bound.
_MOST_NEAR: Final = 500


class CashTransaction(State, table="cash-transactions", key="authorisation_id"):
    """What became of a transaction of cash. It may be reversed before it is posted here, and then never counts."""

    authorisation_id: str
    stage: Literal["unknown", "counted", "reversed"] = "unknown"


class CashDay(State, table="cash-days", key="day"):
    """The cash of one purse on one business day. `transactions` are those that came first, if they are many."""

    day: str
    total: int = 0
    count: int = 0
    transactions: tuple[str, ...] = ()


class Near(Part):
    """A transaction just below the threshold, and the case that rests on it, if one does."""

    day: date
    amount: int
    case_id: str = ""

    def in_case(self, case_id: str) -> "Near":
        """The same as part of a case; it stays in the one that it is in already."""
        return Near(day=self.day, amount=self.amount, case_id=self.case_id or case_id)


class NearThreshold(State, table="near-threshold", key="purse"):
    """The transactions of one purse that are just below the threshold, by their ids."""

    purse: str
    near: dict[str, Near] = {}


@dataclass(frozen=True, slots=True)
class Purse:
    """The cash of one customer in one currency, in one direction."""

    customer_id: str
    direction: Literal["debit", "credit"]
    currency: str

    @classmethod
    def of(cls, transaction: Transaction) -> Self:
        """The purse that the transaction is counted in."""
        return cls(transaction.customer_id, transaction.direction, transaction.currency)

    @property
    def key(self) -> str:
        """Its key: no part of it holds a colon."""
        return f"{self.customer_id}:{self.direction}:{self.currency}"

    def on(self, day: date) -> str:
        """The key of one of its days."""
        return f"{self.key}:{day}"


def business_day(transaction: Transaction) -> date:
    """The day, in UTC, on which the bank has posted it. That is a bank's business day by 31 CFR 1010.100; nothing here
    knows a branch's closing time, weekends and holidays, of which the bank's own posting must take care.
    """
    return transaction.posted_at.astimezone(UTC).date()


def count(work: Work, transaction: Transaction) -> None:
    """Add the transaction to its day, and see what that makes grave. One that was reversed before adds nothing."""
    _prefetch(work, transaction, (ThresholdRow, [transaction.currency]))
    known = work.read(CashTransaction, transaction.authorisation_id)
    if known.stage != "unknown":
        return
    work.save(known.evolve(stage="counted"))
    purse, day = Purse.of(transaction), business_day(transaction)
    before = work.read(CashDay, purse.on(day))
    ids = (*before.transactions, transaction.authorisation_id)
    today = before.evolve(
        total=before.total + transaction.amount, count=before.count + 1, transactions=ids[:MOST_TRANSACTIONS]
    )
    work.save(today)
    threshold = in_force(work.read(ThresholdRow, transaction.currency), day)
    if threshold is None:
        work.emit(
            TransactionNotScreened(
                authorisation_id=transaction.authorisation_id,
                customer_id=transaction.customer_id,
                because="no_threshold",
            )
        )
        return
    rule: Rule = "cash_over_threshold" if transaction.amount > threshold.amount else "cash_of_one_day"
    keep_case(work, _report(purse, day, today, rule=rule, threshold=threshold), grave=today.total > threshold.amount)
    if threshold.amount - threshold.margin <= transaction.amount <= threshold.amount:
        _count_near(work, purse, transaction.authorisation_id, Near(day=day, amount=transaction.amount), threshold)


def take_back(work: Work, transaction: Transaction) -> None:
    """Take the transaction's part back, whether it was counted already or not. Cases that rest on it stay open."""
    _prefetch(work, transaction)
    known = work.read(CashTransaction, transaction.authorisation_id)
    if known.stage == "reversed":
        return
    work.save(known.evolve(stage="reversed"))
    if known.stage == "unknown":
        return
    purse, day = Purse.of(transaction), business_day(transaction)
    before = work.read(CashDay, purse.on(day))
    ids = tuple(each for each in before.transactions if each != transaction.authorisation_id)
    today = before.evolve(total=before.total - transaction.amount, count=before.count - 1, transactions=ids)
    work.save(today)
    keep_case(work, _report(purse, day, today, rule="cash_of_one_day"), grave=False)
    row = work.read(NearThreshold, purse.key)
    taken = row.near.get(transaction.authorisation_id)
    if taken:
        left = {each: near for each, near in row.near.items() if each != transaction.authorisation_id}
        work.save(row.evolve(near=left))
        if taken.case_id:
            keep_case(work, _structuring(purse, taken.case_id, left), grave=False)


def _prefetch(work: Work, transaction: Transaction, *more: tuple[type[State], list[str]]) -> None:
    """Read in one call what every transaction of cash may change, and more."""
    purse, day = Purse.of(transaction), business_day(transaction)
    work.prefetch(
        (CashTransaction, [transaction.authorisation_id]),
        (CashDay, [purse.on(day)]),
        (NearThreshold, [purse.key]),
        (Case, [_report_id(purse, day)]),
        *more,
    )


def _count_near(work: Work, purse: Purse, authorisation_id: str, new: Near, threshold: Threshold) -> None:
    """Keep what is just below the threshold. With others of its time it is a case, or part of one."""
    row = work.read(NearThreshold, purse.key)
    near = dict(sorted({**row.near, authorisation_id: new}.items(), key=lambda each: each[1].day)[-_MOST_NEAR:])
    together = _together(near, new.day, threshold)
    if together:
        known = {near[each].case_id for each in together if near[each].case_id}
        # By the earliest of its days, or as it was named when it was opened.
        case_id = min(known) if known else f"structuring:{purse.on(min(near[each].day for each in together))}"
        near |= {each: near[each].in_case(case_id) for each in together}
        keep_case(work, _structuring(purse, case_id, near, threshold=threshold), grave=True)
    work.save(row.evolve(near=near))


def _together(near: Mapping[str, Near], day: date, threshold: Threshold) -> set[str]:
    """Those that stand with that day within so many days in which several pass the threshold; none, if none do."""
    found: set[str] = set()
    for back in range(threshold.days):
        first = day - timedelta(days=back)
        within = {each for each, one in near.items() if 0 <= (one.day - first).days < threshold.days}
        if len(within) >= _SEVERAL and sum(near[each].amount for each in within) > threshold.amount:
            found |= within
    return found


def _report_id(purse: Purse, day: date) -> str:
    """A day of a purse is reported once, whether one transaction passes the threshold or several together."""
    return f"currency:{purse.on(day)}"


def _report(
    purse: Purse, day: date, today: CashDay, *, rule: Rule, threshold: Threshold | None = None
) -> ComplianceCaseOpened:
    return ComplianceCaseOpened(
        case_id=_report_id(purse, day),
        rule=rule,
        legal_source=LEGAL_SOURCES[rule],
        customer_id=purse.customer_id,
        business_day=day,
        direction=purse.direction,
        threshold=_money(purse, threshold),
        basis=basis({purse.currency: today.total}, today.transactions, count=today.count),
    )


def _structuring(
    purse: Purse, case_id: str, near: Mapping[str, Near], *, threshold: Threshold | None = None
) -> ComplianceCaseOpened:
    own = {each: one for each, one in near.items() if one.case_id == case_id}
    return ComplianceCaseOpened(
        case_id=case_id,
        rule="structuring",
        legal_source=LEGAL_SOURCES["structuring"],
        customer_id=purse.customer_id,
        business_day=date.fromisoformat(case_id.rpartition(":")[2]),
        direction=purse.direction,
        threshold=_money(purse, threshold),
        basis=basis({purse.currency: sum(one.amount for one in own.values())}, own, count=len(own)),
    )


def _money(purse: Purse, threshold: Threshold | None) -> Money | None:
    return Money(amount=threshold.amount, currency=purse.currency) if threshold else None
