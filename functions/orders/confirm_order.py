"""Confirm an order that is paid. If the order was cancelled before, request a refund."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderConfirmed, RefundRequested
from events.payments import PaymentSucceeded
from functions.orders.order import Order

# The id of the one refund that the shop makes without a claim.
_REFUND = "cancelled"


@reaction(PaymentSucceeded, emits=(OrderConfirmed, RefundRequested))
def handler(payment: PaymentSucceeded, work: Work) -> None:
    order = work.read(Order, payment.order_id)
    purchase = order.known_purchase
    paid = order.evolve(payment_id=payment.payment_id, paid=payment.amount.amount)
    if order.stage == "placed":
        work.save(paid.evolve(stage="confirmed"))
        work.emit(OrderConfirmed(order_id=order.order_id, purchase=purchase, ship_to=order.ship_to))
    elif (
        order.stage == "cancelled"
        and payment.amount.amount
        and _REFUND not in {**order.refunds, **order.refunds_failed}
    ):
        work.save(paid.evolve(refunds={_REFUND: payment.amount.amount}))
        work.emit(
            RefundRequested(
                order_id=order.order_id,
                refund_id=_REFUND,
                payment_id=payment.payment_id,
                amount=payment.amount,
                reason="paid_after_cancellation",
                customer=purchase.customer,
            )
        )
