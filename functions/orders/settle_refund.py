"""Note that a refund was made."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.payments import PaymentRefunded
from functions.orders.order import Order


@reaction(PaymentRefunded)
def handler(refund: PaymentRefunded, work: Work) -> None:
    order = work.read(Order, refund.order_id)
    if refund.refund_id in order.refunds and refund.refund_id not in order.refunds_made:
        work.save(order.evolve(refunds_made=(*order.refunds_made, refund.refund_id)))
