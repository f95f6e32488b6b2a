"""Cash, added up by person and business day: all branches and accounts together, cash in and out separately."""

from collections import Counter
from collections.abc import Mapping
from datetime import date

from daybook.consumers.work import Work
from daybook.store.state import State
from events.accounts import REPORTING_CURRENCY, Transaction
from events.compliance import MAX_CASE_TRANSACTIONS, ComplianceCaseOpened, Rule, Threshold, TransactionNotScreened
from functions.compliance import structuring
from functions.compliance.case import LEGAL_SOURCES, Case, basis, update_case
from functions.compliance.cash_group import CashGroup, business_day
from functions.compliance.counted_cash import CashTransaction, CountedCash, Essentials, not_applied
from functions.compliance.rates import rate_of, report_missing
from functions.compliance.structuring import RecentCash
from functions.compliance.thresholds import ThresholdRow, threshold_on


class CashDay(State, table="cash-days", key="day"):
    """The cash of one group on one business day.

    `transactions` holds the first ids if there are too many, and `owners` the number of transactions of the first
    owners of accounts.
    """

    day: str
    total: int = 0  # minor units of the group's currency
    count: int = 0
    sums: dict[str, int] = {}  # minor units by the currency that was paid
    owners: dict[str, int] = {}
    transactions: tuple[str, ...] = ()

    def plus(self, authorisation_id: str, cash: CountedCash) -> "CashDay":
        """The day with one more transaction."""
        ids = (*self.transactions, authorisation_id)[:MAX_CASE_TRANSACTIONS]
        return self._with(ids, cash, times=1)

    def minus(self, authorisation_id: str, cash: CountedCash) -> "CashDay":
        """The day without a transaction."""
        return self._with(tuple(each for each in self.transactions if each != authorisation_id), cash, times=-1)

    def _with(self, ids: tuple[str, ...], cash: CountedCash, *, times: int) -> "CashDay":
        owners = _added(self.owners, cash.customer_id, times)
        return self.evolve(
            total=self.total + times * cash.value,
            count=self.count + times,
            sums=_added(self.sums, cash.currency, times * cash.amount),
            owners=dict(list(owners.items())[:MAX_CASE_TRANSACTIONS]),
            transactions=ids,
        )


def add_transaction(work: Work, transaction: Transaction) -> None:
    """Add a transaction to its days, and open or change cases. Nothing happens if it was counted or reversed before.

    If a reversal with other data arrived before, the transaction counts, and ReversalNotApplied says so.
    """
    authorisation_id = transaction.authorisation_id
    rate = rate_of(work, transaction, business_day(transaction))
    cash = CountedCash.at_rate(transaction, rate)
    _prefetch(work, authorisation_id, cash, (ThresholdRow, [cash.value_currency]))
    known = work.read(CashTransaction, authorisation_id)
    if known.counted or (known.reversal and not cash.differences(known.reversal)):
        return
    work.save(known.evolve(counted=cash))
    if known.reversal:
        work.emit(not_applied(authorisation_id, cash, known.reversal))
    if cash.value_currency != REPORTING_CURRENCY:
        report_missing(work, cash.value_currency, cash.day)
    threshold = threshold_on(work.read(ThresholdRow, cash.value_currency), cash.day)
    for group in cash.groups:
        day = work.read(CashDay, group.day_key(cash.day)).plus(authorisation_id, cash)
        work.save(day)
        if threshold:
            _check(work, group, authorisation_id, cash, day, threshold)
    if threshold is None:
        work.emit(TransactionNotScreened.of(transaction, "no_threshold"))


def _check(
    work: Work, group: CashGroup, authorisation_id: str, cash: CountedCash, day: CashDay, threshold: Threshold
) -> None:
    rule: Rule = "cash_over_threshold" if cash.value > threshold.amount else "cash_of_one_day"
    may_open = day.total > threshold.amount and group.has_own_case(set(day.owners))
    update_case(work, _report(group, cash.day, day, rule, threshold), may_open=may_open)
    if cash.value <= threshold.amount:
        structuring.add_transaction(work, group, authorisation_id, cash, threshold)


def reverse_transaction(work: Work, reversal: Transaction) -> None:
    """Subtract a transaction that was counted, or prevent that it is counted later. Its cases stay open.

    A reversal with other data than its transaction does not apply, and ReversalNotApplied says so.
    """
    authorisation_id, essentials = reversal.authorisation_id, Essentials.of(reversal)
    # The rate that was loaded is not known here: then the second call reads the rows of the group that counted it.
    _prefetch(work, authorisation_id, CountedCash.at_rate(reversal, reversal.reporting_rate))
    known = work.read(CashTransaction, authorisation_id)
    if known.reversal:
        return
    counted = known.counted
    if counted and counted.differences(essentials):
        work.save(known.evolve(reversal=essentials))
        work.emit(not_applied(authorisation_id, counted, essentials))
        return
    work.save(known.evolve(counted=None, reversal=essentials))
    if counted is None:
        return
    _prefetch(work, authorisation_id, counted)
    for group in counted.groups:
        day = work.read(CashDay, group.day_key(counted.day)).minus(authorisation_id, counted)
        work.save(day)
        update_case(work, _report(group, counted.day, day, "cash_of_one_day"), may_open=False)
        structuring.remove_transaction(work, group, authorisation_id)


def _prefetch(work: Work, authorisation_id: str, cash: CountedCash, *more: tuple[type[State], list[str]]) -> None:
    """Read in one call all rows that a cash transaction may change, and more."""
    work.prefetch(
        (CashTransaction, [authorisation_id]),
        (CashDay, [group.day_key(cash.day) for group in cash.groups]),
        (RecentCash, [group.key for group in cash.groups]),
        (Case, [_report_id(group, cash.day) for group in cash.groups]),
        *more,
    )


def _report_id(group: CashGroup, day: date) -> str:
    """One case for each day of a group, whether one transaction or several together exceed the threshold."""
    return f"currency:{group.day_key(day)}"


def _report(
    group: CashGroup, day: date, cash: CashDay, rule: Rule, threshold: Threshold | None = None
) -> ComplianceCaseOpened:
    return ComplianceCaseOpened(
        case_id=_report_id(group, day),
        rule=rule,
        legal_source=LEGAL_SOURCES[rule],
        customer_id=group.person,
        business_day=day,
        direction=group.direction,
        threshold=group.limit(threshold),
        basis=basis(cash.sums, cash.transactions, count=cash.count, total=group.sum(cash.total)),
    )


def _added(sums: Mapping[str, int], key: str, number: int) -> dict[str, int]:
    """The sums with a number added to one of them; without sums that are not positive."""
    return dict(+Counter({**sums, key: sums.get(key, 0) + number}))
