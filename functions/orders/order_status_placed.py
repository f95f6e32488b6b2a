"""Order status: placed."""

from daybook.consumers.view import SetIfNewer, view
from events.orders import OrderPlaced
from functions.orders.order_status import Milestone, reached


@view(OrderPlaced)
def handler(order: OrderPlaced) -> SetIfNewer:
    total = order.total
    return reached(order.order_id, Milestone.PLACED, total=total.amount, currency=total.currency)
