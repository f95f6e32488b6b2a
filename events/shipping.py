"""What happens to parcels."""

from daybook.contracts.contract import Event
from events.orders import OrderLines, OrderPlaced
from events.values import Carrier, Customer, OrderId, ShipTo, TrackingNumber


class ShipmentRequested(Event, opens="shipment/{order_id}"):
    """An order's goods are to be packed and sent. The warehouse listens."""

    order_id: OrderId
    recipient: Customer
    lines: OrderLines
    ship_to: ShipTo = None

    example = {
        "order_id": "1001",
        "recipient": OrderPlaced.example["customer"],
        "lines": OrderPlaced.example["lines"],
        "ship_to": OrderPlaced.example["ship_to"],
    }


class ShipmentDispatched(Event, continues="shipment/{order_id}", sources=("warehouse.dispatch",)):
    """A parcel was handed to its carrier. Comes from outside: the warehouse's dispatch sends it."""

    order_id: OrderId
    carrier: Carrier
    tracking_number: TrackingNumber

    example = {"order_id": "1001", "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}
