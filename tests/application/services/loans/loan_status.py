"""Where is my loan? A view of all loans, for people to read."""

from daybook.consumers.view import SetIfNewer, view
from daybook.store.state import State
from tests.application.contracts.books import BooksReserved, BooksUnavailable
from tests.application.contracts.loans import LoanRequested


class LoanStatus(State, table="loan-status", key="loan_id"):
    """One loan. A later status replaces an earlier one, in whatever order the events arrive."""

    loan_id: str
    status: str = "unknown"
    books: int = 0
    missing: tuple[str, ...] = ()


@view(LoanRequested)
def loan_status_requested(request: LoanRequested) -> SetIfNewer:
    return _set(1, LoanStatus(loan_id=request.loan_id, status="requested", books=sum(request.copies().values())))


@view(BooksUnavailable)
def loan_status_unavailable(unavailable: BooksUnavailable) -> SetIfNewer:
    return _set(2, LoanStatus(loan_id=unavailable.loan_id, status="unavailable", missing=unavailable.isbns))


@view(BooksReserved)
def loan_status_reserved(reserved: BooksReserved) -> SetIfNewer:
    return _set(3, LoanStatus(loan_id=reserved.loan_id, status="reserved"))


def _set(order: int, row: LoanStatus) -> SetIfNewer:
    return SetIfNewer(LoanStatus, row.loan_id, order=order, fields=row.given)
