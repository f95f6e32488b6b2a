"""Take what is put aside for a confirmed order off the shelf: it will be sent."""

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderConfirmed
from functions.inventory.stock import Reservation, StockItem


@reaction(OrderConfirmed)
def handler(order: OrderConfirmed, work: Work) -> None:
    reservation = work.read(Reservation, order.order_id)
    if reservation.stage == "none":
        msg = "nothing is put aside for the order yet"
        raise RetryLater(msg)
    if reservation.stage == "released":
        msg = "what was put aside for the order is free again; nothing is left to send"
        raise NonRetryable(msg)
    if reservation.stage == "reserved":
        work.save(reservation.evolve(stage="committed"))
        for sku, quantity in reservation.pieces.items():
            work.change(StockItem(sku=sku), reserved=-quantity)
