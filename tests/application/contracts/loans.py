"""What happens to loans."""

from typing import Annotated

from pydantic import Field

from daybook.contracts.contract import PERSONAL, Event, Part
from daybook.contracts.values import Identifier


class Reader(Part):
    """A person who borrows books."""

    name: Annotated[str, PERSONAL] = Field(min_length=1, max_length=200, repr=False)
    email: Annotated[str, PERSONAL] = Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", repr=False)
    language: str = Field(default="en", max_length=35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")


class Copies(Part):
    """Some copies of one book."""

    isbn: Identifier
    copies: int = Field(ge=1, le=1_000_000)


class LoanRequested(Event, opens="loan/{loan_id}", sources=("library.desk",)):
    """A reader wants to borrow books. Comes from outside: the library's desk sends it."""

    loan_id: Identifier
    reader: Reader
    books: tuple[Copies, ...] = Field(min_length=1, max_length=50)
    card: str = Field(default="", max_length=255, pattern=r"^[\x21-\x7e]*$")

    def copies(self) -> dict[str, int]:
        """The number of copies by book."""
        return {book.isbn: sum(each.copies for each in self.books if each.isbn == book.isbn) for book in self.books}

    example = {
        "loan_id": "1001",
        "reader": {"name": "Ada Lovelace", "email": "ada@example.com", "language": "en-GB"},
        "books": [{"isbn": "emma", "copies": 1}],
    }


class LoanConfirmed(Event, continues="loan/{loan_id}"):
    """The reader has the books."""

    loan_id: Identifier
    reader: Reader

    example = {"loan_id": "1001", "reader": {"name": "Ada Lovelace", "email": "ada@example.com", "language": "en"}}


class LoanExtended(Event, continues="loan/{loan_id}", sources=("library.desk",)):
    """A reader keeps the books for longer. Comes from outside, and continues a stream."""

    loan_id: Identifier
    extension_id: Identifier
    days: int = Field(ge=1)

    example = {"loan_id": "1001", "extension_id": "E-1", "days": 14}
