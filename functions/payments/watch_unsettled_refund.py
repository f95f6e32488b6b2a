"""Schedule the next check of a refund that may still fail."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.payments import RefundCheckDue, RefundUnsettled
from functions.payments.refund_checks import PAUSES


@reaction(RefundUnsettled, emits=(RefundCheckDue,))
def handler(refund: RefundUnsettled, work: Work) -> None:
    due = RefundCheckDue(**refund.details, paid_out=refund.paid_out, checks=refund.checks + 1)
    work.schedule(due, work.now + PAUSES[refund.checks])
