"""Schedule the first check of a refund that was made."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.payments import PaymentRefunded, RefundCheckDue
from functions.payments.refund_checks import PAUSES


@reaction(PaymentRefunded, emits=(RefundCheckDue,))
def handler(refund: PaymentRefunded, work: Work) -> None:
    work.schedule(RefundCheckDue(**refund.details, paid_out=True, checks=1), work.now + PAUSES[0])
