"""Order status: so much was paid back."""

from daybook.consumers.view import Add, view
from events.payments import PaymentRefunded
from functions.orders.order_status import OrderStatus


@view(PaymentRefunded)
def handler(refund: PaymentRefunded) -> Add:
    return Add(OrderStatus, refund.order_id, {"refunded": refund.amount.amount})
