"""Reserve stock for a placed order: all of it, or none."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts import clock
from events.inventory import OutOfStock, StockReserved
from events.orders import OrderPlaced
from functions.inventory.stock import Reservation, StockItem


@reaction(OrderPlaced, emits=(StockReserved, OutOfStock))
def handler(order: OrderPlaced, work: Work) -> None:
    wanted = order.quantities()
    work.prefetch((Reservation, [order.order_id]), (StockItem, wanted))
    if work.read(Reservation, order.order_id).stage == "released":  # the cancellation was processed first
        return
    stock = work.read_all(StockItem, wanted)
    if missing := tuple(sku for sku, quantity in wanted.items() if stock[sku].available < quantity):
        work.emit(OutOfStock(order_id=order.order_id, skus=missing))
        return
    for sku, quantity in wanted.items():
        work.change(stock[sku], available=-quantity, reserved=quantity, at_least=0)
    work.save(Reservation.of(order))
    work.emit(
        StockReserved(
            order_id=order.order_id,
            total=order.total,
            payment_method=order.payment_method,
            pay_by=order.pay_by(clock.moment(work.cause.recorded_at)),
        )
    )
