"""Open the loan that a reader has requested."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from tests.application.contracts.loans import LoanRequested
from tests.application.services.loans.loan import Loan


@reaction(LoanRequested)
def handler(request: LoanRequested, work: Work) -> None:
    work.save(Loan.requested(request))
