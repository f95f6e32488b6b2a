"""Take back what a reversed transaction of cash has added. That somebody dealt with a sanctioned name stays so."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.accounts import TransactionReversed
from events.compliance import ComplianceCaseChanged
from functions.compliance.cash import take_back


@reaction(TransactionReversed, emits=(ComplianceCaseChanged,))
def handler(reversal: TransactionReversed, work: Work) -> None:
    if reversal.channel == "cash":
        take_back(work, reversal)
