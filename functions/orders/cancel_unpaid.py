"""Cancel an order whose payment has failed."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderCancelled
from events.payments import PaymentFailed
from functions.orders.order import cancel


@reaction(PaymentFailed, emits=(OrderCancelled,))
def handler(payment: PaymentFailed, work: Work) -> None:
    late = payment.reason == "not_paid_in_time"
    cancel(work, payment.order_id, "not_paid_in_time" if late else "payment_failed")
