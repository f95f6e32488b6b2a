"""Cancel an order that exceeds the stock."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.inventory import OutOfStock
from events.orders import OrderCancelled
from functions.orders.order import cancel


@reaction(OutOfStock, emits=(OrderCancelled,))
def handler(stock: OutOfStock, work: Work) -> None:
    cancel(work, stock.order_id, "out_of_stock", stock.skus)
