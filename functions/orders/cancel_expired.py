"""Cancel an order that was not paid in time."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderCancelled, PaymentWindowEnded
from functions.orders.order import cancel


@reaction(PaymentWindowEnded, emits=(OrderCancelled,))
def handler(window: PaymentWindowEnded, work: Work) -> None:
    cancel(work, window.order_id, "not_paid_in_time")
