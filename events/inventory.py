"""Events of stock."""

from pydantic import Field

from daybook.contracts.contract import Event
from daybook.contracts.values import Money, UtcTime
from events.values import Number, OrderId, PaymentMethod, Quantity, Sku


class StockReceived(Event, joins="stock/{sku}", sources=("warehouse.receiving",)):
    """Pieces of an article have arrived. Comes from outside: the receiving desk of the warehouse sends it."""

    sku: Sku
    quantity: Quantity
    delivery_id: Number = Field(description="The number of the delivery note.")

    example = {"sku": "mug", "quantity": 40, "delivery_id": "D-2207"}


class StockReserved(Event, opens="reservation/{order_id}"):
    """All pieces of an order are reserved."""

    order_id: OrderId
    total: Money = Field(description="The total of the order.")
    payment_method: PaymentMethod = ""
    pay_by: UtcTime | None = Field(default=None, description="When the order expires, if it is not paid.")

    example = {
        "order_id": "1001",
        "total": {"amount": 4400, "currency": "EUR"},
        "payment_method": "pm_card_visa",
        "pay_by": "2026-03-01T10:00:00.000000Z",
    }


class OutOfStock(Event, opens="reservation/{order_id}"):
    """An order exceeds the stock. Nothing is reserved for it."""

    order_id: OrderId
    skus: tuple[Sku, ...] = Field(min_length=1, description="The articles that are out of stock.")

    example = {"order_id": "1001", "skus": ["mug"]}
