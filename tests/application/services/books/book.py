"""The state of a book."""

from daybook.store.state import State


class Book(State, table="books", key="isbn"):
    """The copies of one book."""

    isbn: str
    available: int = 0
    reserved: int = 0
