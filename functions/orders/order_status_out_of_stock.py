"""Order status: out of stock."""

from daybook.consumers.view import SetIfNewer, view
from events.inventory import OutOfStock
from functions.orders.order_status import Milestone, reached


@view(OutOfStock)
def handler(stock: OutOfStock) -> SetIfNewer:
    return reached(stock.order_id, Milestone.OUT_OF_STOCK, missing=stock.skus)
