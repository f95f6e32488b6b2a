"""Put goods that have arrived on the shelf."""

from backbone.consumer import reaction
from backbone.work import Work
from events.inventory import StockReceived
from functions.inventory.stock import StockItem


@reaction(StockReceived)
def handler(goods: StockReceived, work: Work) -> None:
    work.change(StockItem(sku=goods.sku), available=goods.quantity)
