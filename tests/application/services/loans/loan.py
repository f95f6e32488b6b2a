"""The state of a loan."""

from typing import Literal, Self

from daybook.store.state import State
from tests.application.contracts.loans import LoanRequested


class Loan(State, table="loans", key="loan_id"):
    """One loan, and the number of copies by book."""

    loan_id: str
    stage: Literal["unknown", "requested", "confirmed"] = "unknown"
    copies: dict[str, int] = {}

    @classmethod
    def requested(cls, request: LoanRequested) -> Self:
        """The loan that this event opens."""
        return cls(loan_id=request.loan_id, stage="requested", copies=request.copies())
