"""Make the amount of a failed refund refundable again."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.payments import RefundFailed
from functions.orders.order import Order


@reaction(RefundFailed)
def handler(refund: RefundFailed, work: Work) -> None:
    order = work.read(Order, refund.order_id)
    if amount := order.refunds.get(refund.refund_id):
        work.save(
            order.evolve(
                refunds={
                    refund_id: other for refund_id, other in order.refunds.items() if refund_id != refund.refund_id
                },
                refunds_made=tuple(refund_id for refund_id in order.refunds_made if refund_id != refund.refund_id),
                refunds_failed={**order.refunds_failed, refund.refund_id: amount},
            )
        )
