"""Shipping."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.orders import OrderConfirmed


class Shipping(Service):
    """Parcels, from the wish to send them to the carrier."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "shipping", stage=stage)
        self.reaction("prepare_shipment", OrderConfirmed)
