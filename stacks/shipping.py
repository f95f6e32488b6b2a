"""Shipping."""

from constructs import Construct

from events.orders import OrderConfirmed
from stacks.service import Service
from stacks.stage import Stage


class Shipping(Service):
    """Parcels, from the wish to send them to the carrier."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "shipping", stage=stage)
        self.reaction("prepare_shipment", OrderConfirmed)
