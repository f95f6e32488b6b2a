"""Order status: its goods are put aside."""

from daybook.consumers.view import SetIfNewer, view
from events.inventory import StockReserved
from functions.orders.order_status import Milestone, reached


@view(StockReserved)
def handler(stock: StockReserved) -> SetIfNewer:
    return reached(stock.order_id, Milestone.RESERVED)
