"""Look at each transaction: at cash by what it comes to, at a transfer by whom it is with."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.accounts import TransactionPosted
from events.compliance import ComplianceCaseChanged, ComplianceCaseOpened, TransactionNotScreened
from functions.compliance.cash import count
from functions.compliance.sanctions import screen


@reaction(TransactionPosted, emits=(ComplianceCaseOpened, ComplianceCaseChanged, TransactionNotScreened))
def handler(transaction: TransactionPosted, work: Work) -> None:
    if transaction.channel == "cash":
        count(work, transaction)
    elif transaction.channel == "transfer" and transaction.counterparty:
        screen(work, transaction, transaction.counterparty)
