"""Put back on the shelf what is put aside for a cancelled order."""

from daybook.consumers.failure import NonRetryable
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderCancelled
from functions.inventory.stock import Reservation, StockItem


@reaction(OrderCancelled)
def handler(order: OrderCancelled, work: Work) -> None:
    reservation = work.read(Reservation, order.order_id)
    if reservation.stage == "committed":
        msg = "the order's goods have left the shelf"
        raise NonRetryable(msg)
    if reservation.stage == "released":
        return
    work.save(reservation.evolve(stage="released"))
    for sku, quantity in reservation.pieces.items():
        work.change(StockItem(sku=sku), available=quantity, reserved=-quantity)
