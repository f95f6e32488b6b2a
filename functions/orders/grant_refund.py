"""Grant what the service desk asks to be paid back: each refund once, and never more than was paid."""

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import RefundAsked, RefundRequested
from functions.orders.order import Order


@reaction(RefundAsked, emits=(RefundRequested,))
def handler(asked: RefundAsked, work: Work) -> None:
    order = work.read(Order, asked.order_id)
    bought = order.bought
    wanted = asked.amount
    if order.stage == "placed":
        msg = "the order is neither paid nor cancelled yet"
        raise RetryLater(msg)
    left = order.refundable
    if wanted.currency != left.currency:
        msg = f"the order was paid in {left.currency}"
        raise NonRetryable(msg)
    if (granted := order.refunds.get(asked.refund_id)) is not None:
        if granted != wanted.amount:
            msg = "this refund was granted before, with another amount; give each refund an id of its own"
            raise NonRetryable(msg)
        return
    if not 0 < wanted.amount <= left.amount:
        msg = f"of what was paid, {left.amount} minor units of {left.currency} can be paid back"
        raise NonRetryable(msg)
    work.save(order.evolve(refunds={**order.refunds, asked.refund_id: wanted.amount}))
    work.emit(
        RefundRequested(
            order_id=order.order_id,
            refund_id=asked.refund_id,
            payment_id=order.payment_id,
            amount=wanted,
            because="service_desk",
            customer=bought.customer,
        )
    )
