"""Have a confirmed order packed and sent."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderConfirmed
from events.shipping import ShipmentRequested


@reaction(OrderConfirmed, emits=(ShipmentRequested,))
def handler(order: OrderConfirmed, work: Work) -> None:
    bought = order.purchase
    work.emit(
        ShipmentRequested(order_id=order.order_id, recipient=bought.customer, lines=bought.lines, ship_to=order.ship_to)
    )
