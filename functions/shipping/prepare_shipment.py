"""Request the shipment of a confirmed order."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderConfirmed, articles
from events.shipping import ShipmentRequested


@reaction(OrderConfirmed, emits=(ShipmentRequested,))
def handler(order: OrderConfirmed, work: Work) -> None:
    customer, lines = order.purchase.customer, articles(order.purchase.lines)
    work.emit(ShipmentRequested(order_id=order.order_id, recipient=customer, lines=lines, ship_to=order.ship_to))
