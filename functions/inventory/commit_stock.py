"""Remove the reserved pieces of a confirmed order from the stock."""

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderConfirmed
from functions.inventory.stock import Reservation, StockItem


@reaction(OrderConfirmed)
def handler(order: OrderConfirmed, work: Work) -> None:
    reservation = work.read(Reservation, order.order_id)
    if reservation.stage == "none":
        raise RetryLater("no stock is reserved for the order yet")
    if reservation.stage == "released":
        raise NonRetryable("the reservation of the confirmed order was released: no stock is reserved for it")
    if reservation.stage == "reserved":
        work.save(reservation.evolve(stage="committed"))
        for sku, quantity in reservation.pieces.items():
            work.change(StockItem(sku=sku), reserved=-quantity)
