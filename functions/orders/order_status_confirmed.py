"""Order status: confirmed."""

from daybook.consumers.view import SetIfNewer, view
from events.orders import OrderConfirmed
from functions.orders.order_status import Milestone, reached


@view(OrderConfirmed)
def handler(order: OrderConfirmed) -> SetIfNewer:
    return reached(order.order_id, Milestone.CONFIRMED)
