"""Subtract a reversed cash transaction. A transfer with a sanctioned name stays in its case, even if it is reversed."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.accounts import TransactionReversed
from events.compliance import ComplianceCaseChanged, ReversalNotApplied
from functions.compliance.cash import reverse_transaction


@reaction(TransactionReversed, emits=(ComplianceCaseChanged, ReversalNotApplied))
def handler(reversal: TransactionReversed, work: Work) -> None:
    reverse_transaction(work, reversal)
