"""Check each transaction: cash against the thresholds, a transfer against the sanctions lists."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.accounts import TransactionPosted
from events.compliance import (
    ComplianceCaseChanged,
    ComplianceCaseOpened,
    ExchangeRateMissing,
    ReversalNotApplied,
    TransactionNotScreened,
)
from functions.compliance.cash import add_transaction
from functions.compliance.sanctions import screen


@reaction(
    TransactionPosted,
    emits=(
        ComplianceCaseOpened,
        ComplianceCaseChanged,
        TransactionNotScreened,
        ExchangeRateMissing,
        ReversalNotApplied,
    ),
)
def handler(transaction: TransactionPosted, work: Work) -> None:
    if transaction.channel == "cash":
        add_transaction(work, transaction)
    elif transaction.channel == "transfer" and transaction.counterparty:
        screen(work, transaction)
