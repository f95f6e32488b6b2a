"""Add copies that the library has bought."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from tests.application.contracts.books import BooksReceived
from tests.application.services.books.book import Book


@reaction(BooksReceived)
def handler(received: BooksReceived, work: Work) -> None:
    work.change(Book(isbn=received.isbn), available=received.copies)
