"""Grant a refund that the service desk claims: each refund once, and never more in total than was paid."""

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import RefundClaimed, RefundRequested
from functions.orders.order import Order


@reaction(RefundClaimed, emits=(RefundRequested,))
def handler(claim: RefundClaimed, work: Work) -> None:
    order = work.read(Order, claim.order_id)
    purchase = order.known_purchase
    if order.stage == "placed":
        raise RetryLater("the order is neither paid nor cancelled yet")
    left, claimed = order.refundable, claim.amount
    if claimed.currency != left.currency:
        msg = f"the claim is not in {left.currency}, the currency of the order"
        raise NonRetryable(msg)
    if (granted := order.refunds.get(claim.refund_id)) is not None:
        if granted != claimed.amount:
            raise NonRetryable("a refund with this id was granted with another amount: use a new id for each refund")
        return
    if claim.refund_id in order.refunds_failed:
        raise NonRetryable("the refund with this id has failed: use a new id to claim the amount again")
    if left.amount < claimed.amount <= left.amount + order.undecided:
        raise RetryLater("the rest of the payment is claimed by refunds that the provider has not made yet")
    if not 0 < claimed.amount <= left.amount:
        msg = f"the amount must be above 0, and at most {left.amount} minor units of {left.currency} can be refunded"
        raise NonRetryable(msg)
    work.save(order.evolve(refunds={**order.refunds, claim.refund_id: claimed.amount}))
    work.emit(
        RefundRequested(
            order_id=order.order_id,
            refund_id=claim.refund_id,
            payment_id=order.payment_id,
            amount=claimed,
            reason="service_desk",
            customer=purchase.customer,
        )
    )
