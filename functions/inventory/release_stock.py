"""Release the reserved pieces of a cancelled order."""

from daybook.consumers.failure import NonRetryable
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.orders import OrderCancelled
from functions.inventory.stock import Reservation, StockItem


@reaction(OrderCancelled)
def handler(order: OrderCancelled, work: Work) -> None:
    reservation = work.read(Reservation, order.order_id)
    if reservation.stage == "committed":
        raise NonRetryable("the reserved pieces of the cancelled order have left the stock")
    if reservation.stage == "released":
        return
    work.save(reservation.evolve(stage="released"))
    for sku, quantity in reservation.pieces.items():
        work.change(StockItem(sku=sku), available=quantity, reserved=-quantity)
