"""The row of each compliance case: its rule and its transactions."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from daybook.consumers.work import Work
from daybook.store.state import State
from events.compliance import MAX_CASE_TRANSACTIONS, Basis, ComplianceCaseChanged, ComplianceCaseOpened, Rule, Sum

LEGAL_SOURCES: Final[Mapping[Rule, str]] = {
    "cash_over_threshold": "31 CFR 1010.311: each transaction in currency of more than $10,000 is reported",
    "cash_of_one_day": "31 CFR 1010.313(b): cash in, or out, by or for one person on one business day counts together",
    "structuring": "31 CFR 1010.314(c): nobody may structure transactions in order to evade reports of them",
    "sanctioned_name": "31 CFR 501.603: property that is blocked by a sanctions program of chapter V is reported",
}


class Case(State, table="cases", key="case_id"):
    """A case. Without a rule it was not opened yet. People close cases; functions never do."""

    case_id: str
    rule: Rule | None = None
    customer_id: str = ""
    business_day: date | None = None
    basis: Basis | None = None


def basis(sums: Mapping[str, int], transactions: Iterable[str], *, count: int, total: Sum | None = None) -> Basis:
    """The basis of a case: minor units by currency, the first transactions, and the number of all of them."""
    return Basis(
        sums=tuple(Sum(amount=amount, currency=currency) for currency, amount in sums.items()),
        total=total,
        count=count,
        transactions=tuple(transactions)[:MAX_CASE_TRANSACTIONS],
    )


def update_case(work: Work, opening: ComplianceCaseOpened, *, may_open: bool) -> None:
    """Give the case the basis of `opening`. A case that does not exist yet is opened only if `may_open` is true."""
    case = work.read(Case, opening.case_id)
    if case.rule is None:
        if may_open:
            names = ("case_id", "rule", "customer_id", "business_day", "basis")
            work.save(Case(**{name: getattr(opening, name) for name in names}))
            work.emit(opening)
    elif case.basis != opening.basis:
        work.save(case.evolve(basis=opening.basis))
        work.emit(
            ComplianceCaseChanged(
                case_id=case.case_id, rule=case.rule, customer_id=case.customer_id, basis=opening.basis
            )
        )
