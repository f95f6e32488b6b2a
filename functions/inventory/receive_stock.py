"""Add delivered pieces to the stock."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.inventory import StockReceived
from functions.inventory.stock import StockItem


@reaction(StockReceived)
def handler(delivery: StockReceived, work: Work) -> None:
    work.change(StockItem(sku=delivery.sku), available=delivery.quantity)
