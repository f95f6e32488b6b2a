"""Inventory."""

from constructs import Construct

from events.inventory import StockReceived
from events.orders import OrderPlaced
from stacks.service import Service
from stacks.stage import Stage


class Inventory(Service):
    """What is on the shelf, and what is put aside for whom."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "inventory", stage=stage)
        stock, reservations = self.table("stock"), self.table("reservations")
        self.reaction("reserve_stock", OrderPlaced, reads=[stock], changes=[stock], saves=[reservations])
        self.reaction("receive_stock", StockReceived, changes=[stock])
