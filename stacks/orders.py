"""Orders."""

from constructs import Construct

from events.inventory import OutOfStock, StockReserved
from events.orders import OrderPlaced
from stacks.service import Service
from stacks.stage import Stage


class Orders(Service):
    """One row decides about each order; a view says where it is."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "orders", stage=stage)
        orders, status = self.table("orders"), self.table("order-status")
        self.reaction("place_order", OrderPlaced, saves=[orders])
        self.view("order_status_placed", OrderPlaced, rows=status)
        self.view("order_status_reserved", StockReserved, rows=status)
        self.view("order_status_out_of_stock", OutOfStock, rows=status)
