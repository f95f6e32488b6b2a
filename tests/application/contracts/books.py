"""What happens to books."""

from pydantic import Field

from daybook.contracts.contract import Event
from daybook.contracts.values import Identifier


class BooksReceived(Event, joins="book/{isbn}", sources=("library.receiving",)):
    """The library has bought copies of a book."""

    isbn: Identifier
    copies: int = Field(ge=1, le=1_000_000)
    delivery_id: Identifier

    example = {"isbn": "emma", "copies": 40, "delivery_id": "D-2207"}


class BooksReserved(Event, opens="reservation/{loan_id}"):
    """All books of a loan are reserved."""

    loan_id: Identifier

    example = {"loan_id": "1001"}


class BooksUnavailable(Event, opens="reservation/{loan_id}"):
    """A loan needs more copies than there are. None is reserved."""

    loan_id: Identifier
    isbns: tuple[Identifier, ...] = Field(min_length=1)

    example = {"loan_id": "1001", "isbns": ["emma"]}


class BooksCounted(Event, joins="book/{isbn}", sources=("library.desk",), identified_by="count_id"):
    """Somebody has counted the copies of a book. A field has the producer's id of the event."""

    count_id: Identifier
    isbn: Identifier
    copies: int = Field(ge=0)

    example = {"count_id": "C-1", "isbn": "emma", "copies": 3}
