"""Reserve the books of a loan: all of them, or none."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from tests.application.contracts.books import BooksReserved, BooksUnavailable
from tests.application.contracts.loans import LoanRequested
from tests.application.services.books.book import Book


@reaction(LoanRequested, emits=(BooksReserved, BooksUnavailable))
def handler(request: LoanRequested, work: Work) -> None:
    wanted = request.copies()
    books = work.read_all(Book, wanted)
    if missing := tuple(isbn for isbn, copies in wanted.items() if books[isbn].available < copies):
        work.emit(BooksUnavailable(loan_id=request.loan_id, isbns=missing))
        return
    for isbn, copies in wanted.items():
        work.change(books[isbn], available=-copies, reserved=copies, at_least=0)
    work.emit(BooksReserved(loan_id=request.loan_id))
