"""What happens to stock."""

from pydantic import Field

from daybook.contracts.contract import Event
from daybook.contracts.values import Identifier, Money, UtcTime
from events.values import OrderId, PaymentMethod, Quantity, Sku


class StockReceived(Event, joins="stock/{sku}", sources=("warehouse.receiving",)):
    """Goods have arrived. Comes from outside: the warehouse's receiving desk sends it."""

    sku: Sku
    quantity: Quantity
    delivery_id: Identifier = Field(description="The delivery note's number.")

    example = {"sku": "mug", "quantity": 40, "delivery_id": "D-2207"}


class StockReserved(Event, opens="reservation/{order_id}"):
    """All that an order wants is put aside for it."""

    order_id: OrderId
    total: Money = Field(description="What the order costs.")
    payment_method: PaymentMethod = ""
    pay_by: UtcTime | None = Field(default=None, description="When the order expires, if it is not paid.")

    example = {
        "order_id": "1001",
        "total": {"amount": 4400, "currency": "EUR"},
        "payment_method": "pm_card_visa",
        "pay_by": "2026-03-01T10:00:00.000000Z",
    }


class OutOfStock(Event, opens="reservation/{order_id}"):
    """An order wants more than the shelf holds. Nothing is put aside for it."""

    order_id: OrderId
    skus: tuple[Sku, ...] = Field(min_length=1, description="The articles that are short.")

    example = {"order_id": "1001", "skus": ["mug"]}
