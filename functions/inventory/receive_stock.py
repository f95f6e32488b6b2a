"""Put goods that have arrived on the shelf."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.inventory import StockReceived
from functions.inventory.stock import StockItem


@reaction(StockReceived)
def handler(goods: StockReceived, work: Work) -> None:
    work.change(StockItem(sku=goods.sku), available=goods.quantity)
