"""The stack of inventory."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.inventory import StockReceived
from events.orders import OrderCancelled, OrderConfirmed, OrderPlaced


class Inventory(Service):
    """The stock of each article, and the reservations of orders."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "inventory", stage=stage)
        stock, reservations = self.table("stock"), self.table("reservations")
        both = [stock, reservations]
        self.reaction("reserve_stock", OrderPlaced, reads=both, changes=[stock], saves=[reservations])
        self.reaction("commit_stock", OrderConfirmed, reads=[reservations], changes=[stock], saves=[reservations])
        self.reaction("release_stock", OrderCancelled, reads=[reservations], changes=[stock], saves=[reservations])
        self.reaction("receive_stock", StockReceived, changes=[stock])
