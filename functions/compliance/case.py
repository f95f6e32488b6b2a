"""The one row of each case: whether there is one of a matter, and what it rests on."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from daybook.consumers.work import Work
from daybook.store.state import State
from events.compliance import MOST_TRANSACTIONS, Basis, ComplianceCaseChanged, ComplianceCaseOpened, Rule, Sum

LEGAL_SOURCES: Final[Mapping[Rule, str]] = {
    "cash_over_threshold": "31 CFR 1010.311: each transaction in currency of more than $10,000 is reported",
    "cash_of_one_day": "31 CFR 1010.313(b): cash in, or cash out, of one person on one business day counts together",
    "structuring": "31 CFR 1010.314(c): nobody may structure transactions in order to evade reports of them",
    "sanctioned_name": "31 CFR 501.603: property that is blocked by a sanctions program of chapter V is reported",
}


class Case(State, table="cases", key="case_id"):
    """A case, once there is one. People close cases; functions never do."""

    case_id: str
    rule: Rule | None = None
    customer_id: str = ""
    business_day: date | None = None
    basis: Basis | None = None


def basis(sums: Mapping[str, int], transactions: Iterable[str], *, count: int) -> Basis:
    """What a case rests on: what it comes to by currency, and its transactions, as many as a case can name."""
    return Basis(
        sums=tuple(Sum(amount=amount, currency=currency) for currency, amount in sums.items()),
        count=count,
        transactions=tuple(transactions)[:MOST_TRANSACTIONS],
    )


def keep_case(work: Work, opening: ComplianceCaseOpened, *, grave: bool) -> None:
    """Let the case of this matter rest on what the opening says. If there is none yet, a grave matter opens it."""
    case = work.read(Case, opening.case_id)
    if case.rule is None and grave:
        told = {name: getattr(opening, name) for name in ("case_id", "rule", "customer_id", "business_day", "basis")}
        work.save(Case(**told))
        work.emit(opening)
    elif case.rule is not None and case.basis != opening.basis:
        work.save(case.evolve(basis=opening.basis))
        work.emit(
            ComplianceCaseChanged(
                case_id=case.case_id, rule=case.rule, customer_id=case.customer_id, basis=opening.basis
            )
        )
