"""Save a placed order, and schedule the end of the time to pay for it."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts import clock
from events.orders import OrderPlaced, PaymentWindowEnded
from functions.orders.order import Order


@reaction(OrderPlaced, emits=(PaymentWindowEnded,))
def handler(order: OrderPlaced, work: Work) -> None:
    work.save(Order.placed(order))
    pay_by = order.pay_by(clock.moment(work.cause.recorded_at))
    work.schedule(PaymentWindowEnded(order_id=order.order_id), pay_by)
