"""Events of shipments."""

from pydantic import Field

from daybook.contracts.contract import Event
from events.orders import ArticleLine, OrderPlaced
from events.values import Carrier, Customer, OrderId, ShipTo, TrackingNumber


class ShipmentRequested(Event, opens="shipment/{order_id}"):
    """An order is to be packed and sent. The warehouse subscribes to it."""

    order_id: OrderId
    recipient: Customer
    lines: tuple[ArticleLine, ...] = Field(min_length=1, description="The articles of the order.")
    ship_to: ShipTo = None

    example = {
        "order_id": "1001",
        "recipient": OrderPlaced.example["customer"],
        "lines": OrderPlaced.example["lines"],
        "ship_to": OrderPlaced.example["ship_to"],
    }


class ShipmentDispatched(Event, continues="shipment/{order_id}", sources=("warehouse.dispatch",)):
    """The carrier has the shipment. Comes from outside: the warehouse sends it."""

    order_id: OrderId
    carrier: Carrier
    tracking_number: TrackingNumber

    example = {"order_id": "1001", "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}
