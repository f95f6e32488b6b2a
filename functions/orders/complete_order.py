"""Fulfil an order whose parcel is on its way."""

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderFulfilled
from events.shipping import ShipmentDispatched
from functions.orders.order import Order


@reaction(ShipmentDispatched, emits=(OrderFulfilled,))
def handler(parcel: ShipmentDispatched, work: Work) -> None:
    order = work.read(Order, parcel.order_id)
    bought = order.bought
    if order.stage == "placed":
        msg = "the order is not confirmed yet"
        raise RetryLater(msg)
    if order.stage == "cancelled":
        msg = "a parcel was sent for an order that is cancelled; have it stopped"
        raise NonRetryable(msg)
    if order.stage == "confirmed":
        work.save(order.evolve(stage="fulfilled"))
        work.emit(
            OrderFulfilled(
                order_id=order.order_id,
                purchase=bought,
                carrier=parcel.carrier,
                tracking_number=parcel.tracking_number,
            )
        )
