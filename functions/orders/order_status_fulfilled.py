"""Order status: its parcel is on its way."""

from daybook.consumers.view import SetIfNewer, view
from events.orders import OrderFulfilled
from functions.orders.order_status import Milestone, reached


@view(OrderFulfilled)
def handler(order: OrderFulfilled) -> SetIfNewer:
    parcel = {"carrier": order.carrier, "tracking_number": order.tracking_number}
    return reached(order.order_id, Milestone.FULFILLED, **parcel)
