"""Open the row that decides about a placed order."""

from backbone.consumer import reaction
from backbone.work import Work
from events.orders import OrderPlaced
from functions.orders.order import Order


@reaction(OrderPlaced)
def handler(order: OrderPlaced, work: Work) -> None:
    work.save(Order.placed(order))
