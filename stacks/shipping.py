"""The stack of shipping."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.orders import OrderConfirmed


class Shipping(Service):
    """Requests to the warehouse to pack and send orders."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "shipping", stage=stage)
        self.reaction("prepare_shipment", OrderConfirmed)
