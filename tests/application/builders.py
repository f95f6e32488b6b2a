"""Events of the library and their messages, with defaults for everything that a test does not name."""

from collections.abc import Iterable
from typing import Any

from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.store.event_store import Draft
from daybook.testing import messages
from daybook.testing.messages import NOON, Message, a_change_of_the_store, from_the_bus, metadata_of
from tests.application.contracts.books import BooksReceived, BooksReserved, BooksUnavailable
from tests.application.contracts.loans import LoanConfirmed, LoanRequested

DESK = "library.desk"

__all__ = ["NOON", "Message", "a_change_of_the_store", "from_the_bus", "metadata_of"]


def loan_data(loan_id: str = "1001", books: Iterable[tuple[str, int]] = (("emma", 1),), **other: Any) -> dict[str, Any]:
    """The data of a LoanRequested. `books` are ISBNs and numbers of copies."""
    return {
        "loan_id": loan_id,
        "reader": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "books": [{"isbn": isbn, "copies": copies} for isbn, copies in books],
        **other,
    }


def a_loan(loan_id: str = "1001", books: Iterable[tuple[str, int]] = (("emma", 1),), **other: Any) -> LoanRequested:
    return LoanRequested.model_validate(loan_data(loan_id, books, **other))


def a_confirmation(loan: LoanRequested | None = None) -> LoanConfirmed:
    loan = loan or a_loan()
    return LoanConfirmed(loan_id=loan.loan_id, reader=loan.reader)


def received_books(isbn: str = "emma", copies: int = 10) -> BooksReceived:
    return BooksReceived(isbn=isbn, copies=copies, delivery_id="D-1")


def a_reservation(loan_id: str = "1001") -> BooksReserved:
    return BooksReserved(loan_id=loan_id)


def a_shortage(loan_id: str = "1001", isbns: tuple[str, ...] = ("emma",)) -> BooksUnavailable:
    return BooksUnavailable(loan_id=loan_id, isbns=isbns)


def a_draft(event: Event | None = None, **fields: Any) -> Draft:
    """An event before it is appended to the store, by default a loan. `fields` replace fields of the draft."""
    return messages.a_draft(event or a_loan(), **({"producer": DESK} | fields))


def recorded(
    event: Event | None = None, *, after: Envelope | None = None, now: str | None = None, **fields: Any
) -> Envelope:
    """The event as the store records it, by default a loan: first in its stream, or next after `after`."""
    return messages.recorded(event or a_loan(), after=after, now=now, **({"producer": DESK} | fields))


def sent(
    data: object = None,
    *,
    type: str = "LoanRequested",  # noqa: A002 - the event's word
    source: str = DESK,
    metadata: object = None,
    **envelope: Any,
) -> str:
    """The body of a message in admit's queue: an event of a producer, by default a loan."""
    data = loan_data() if data is None else data
    return messages.sent_data(type, data, source=source, metadata=metadata, **envelope)
