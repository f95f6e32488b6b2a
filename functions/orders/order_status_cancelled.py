"""Order status: cancelled."""

from daybook.consumers.view import SetIfNewer, view
from events.orders import OrderCancelled
from functions.orders.order_status import Milestone, reached


@view(OrderCancelled)
def handler(order: OrderCancelled) -> SetIfNewer:
    return reached(order.order_id, Milestone.CANCELLED, cancelled_because=order.because)
