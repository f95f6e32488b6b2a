"""Fulfil an order whose shipment was dispatched."""

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderFulfilled
from events.shipping import ShipmentDispatched
from functions.orders.order import Order


@reaction(ShipmentDispatched, emits=(OrderFulfilled,))
def handler(shipment: ShipmentDispatched, work: Work) -> None:
    order = work.read(Order, shipment.order_id)
    purchase = order.known_purchase
    if order.stage == "placed":
        raise RetryLater("the order is not confirmed yet")
    if order.stage == "cancelled":
        raise NonRetryable("the shipment of a cancelled order was dispatched: ask the carrier to return it")
    if order.stage == "confirmed":
        work.save(order.evolve(stage="fulfilled"))
        work.emit(
            OrderFulfilled(
                order_id=order.order_id,
                purchase=purchase,
                carrier=shipment.carrier,
                tracking_number=shipment.tracking_number,
            )
        )
